//! The shell that does the I/O: one driver that blocks and one that does not, each written once for all transports.

mod blocking;
mod nonblocking;
#[cfg(feature = "testing")]
pub mod testing;

pub use blocking::{ChatStream, Driver};
pub use nonblocking::{AsyncChatStream, AsyncDriver};

use crate::{Error, ErrorKind};

fn handed_out() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "the call is over and its error was handed out already",
    )
}
