//! What the transports of `unifiedai` share.
//!
//! Without features: options, TLS configuration, proxy rules, error texts, clocks. With the feature `client` also an HTTP client over
//! hyper that leaves sockets, tasks and timers to a runtime.

pub mod addresses;
#[cfg(feature = "client")]
mod client;
pub mod clock;
pub mod error;
#[cfg(feature = "gzip")]
pub mod gzip;
pub mod headers;
mod no_proxy;
pub mod options;
pub mod proxy;
pub mod tls;
pub mod tunnel;

#[cfg(feature = "client")]
pub use client::{Body, Carrier, Client, Kept, ResponseBody, Runtime, ServiceClient, Timer};
pub use options::{ConfigError, Options};
/// The TLS library whose types the options take.
pub use rustls;
