//! The shared parts of `unifiedai`'s transports.
//!
//! Without features: options, TLS configuration, proxy rules, error texts, clocks. The feature `client` adds an HTTP
//! client over hyper that is generic over the runtime's sockets, tasks and timers.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub mod target;
pub mod tls;
pub mod tunnel;
pub mod upload;

#[cfg(feature = "client")]
pub use client::{Body, Client, ResponseBody, Runtime, ServiceClient};
pub use options::{ConfigError, Options};
/// The TLS library whose types the options use.
pub use rustls;
