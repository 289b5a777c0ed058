//! The cases. Each takes a function that makes a transport with the given TLS configuration.

mod answer;
mod broken_off;
mod connections;
mod head;
mod help;
mod not_sent;
mod request;
mod secrets;
mod time;
mod tls;

pub use self::{
    answer::*, broken_off::*, connections::*, head::*, not_sent::*, request::*, secrets::*,
    time::*, tls::*,
};
pub(crate) use help::{failure, get_text, settle, soon, text};
