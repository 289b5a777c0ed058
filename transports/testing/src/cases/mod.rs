//! The cases. Each takes a function that makes a transport with the given TLS configuration.

mod connections;
mod headers;
mod not_sent;
mod request;
mod response;
mod secrets;
mod support;
mod time;
mod tls;
mod truncation;
mod uploads;

pub use self::{
    connections::*, headers::*, not_sent::*, request::*, response::*, secrets::*, time::*, tls::*,
    truncation::*, uploads::*,
};
pub(crate) use support::{failure, get_text, settle, soon, text};
