//! Drivers and transports: one blocking and one async driver, each written once for all transports.

pub(crate) mod blocking;
pub(crate) mod nonblocking;
pub(crate) mod partial;
mod supply;
#[cfg(feature = "testing")]
pub mod testing;

pub use blocking::Driver;
pub use nonblocking::AsyncDriver;
#[cfg(feature = "hyper")]
pub use unifiedai_hyper::{ConfigError, Options, UploadReader, proxy, rustls};
#[cfg(feature = "hyper")]
pub use unifiedai_hyper::{HyperTransport, ServiceTransport as HyperServiceTransport};
#[cfg(all(feature = "smol", not(feature = "hyper")))]
pub use unifiedai_smol::{ConfigError, Options, UploadReader, proxy, rustls};
#[cfg(feature = "smol")]
pub use unifiedai_smol::{ServiceTransport as SmolServiceTransport, SmolTransport};
#[cfg(feature = "ureq")]
pub use unifiedai_ureq::UreqTransport;
#[cfg(all(feature = "ureq", not(any(feature = "hyper", feature = "smol"))))]
pub use unifiedai_ureq::{ConfigError, Options, proxy, rustls};

use crate::{Error, ErrorKind};
pub use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, BodyError, BodyPieces, BodySource,
    BoxedAsyncTransport, BoxedTransport, CancelHandle, Interrupt, Phase, PollPieces, RequestBody,
    RequestDelivery, ResponseBody, Time, Transport, TransportError, TransportErrorKind,
    UploadProgress,
};

/// The result of a stream whose driver is gone without one.
fn no_result() -> Error {
    Error::new(
        ErrorKind::Misuse,
        "the stream has no result, because an observer panicked when the call ended",
    )
}
