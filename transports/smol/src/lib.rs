//! Carries `unifiedai`'s HTTP on smol, over [hyper](https://docs.rs/hyper). HTTP/1.1 and HTTP/2 (by ALPN), pooled, rustls. No tokio
//! runtime.
//!
//! Over HTTP/1.1 a connection is driven by the future or the body that uses it, and dropping that closes it. A connection that speaks
//! HTTP/2 is driven by a task of smol's own executor; dropping a body resets its stream.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) or the [`Options`]; loopback is never proxied.

mod connect;
mod tcp;
mod timeout;

pub use connect::Smol;
pub use tcp::Tcp;
pub use timeout::Timer;
pub use unifiedai_http::{ConfigError, Options, proxy, rustls};

/// A response's body, read as it comes.
pub type Body = unifiedai_http::Body<Smol>;

/// Sends requests over connections that it keeps for the next ones. Clones share them.
pub type SmolTransport = unifiedai_http::Client<Smol>;

/// Sends requests by a service of the caller's own, with the timers of smol.
///
/// `B` is the type of the request's body: `Bytes` for a mock, `Full<Bytes>` for hyper-util's client, `reqwest::Body` for reqwest's.
pub type ServiceTransport<S, B> = unifiedai_http::ServiceClient<S, B, Timer>;
