//! Carries `unifiedai`'s HTTP on tokio, over [hyper](https://docs.rs/hyper). HTTP/1.1 and HTTP/2 (by ALPN),
//! pooled, rustls.
//!
//! Has to be used inside a tokio runtime with I/O and time enabled. A client may be used in several of them: a connection belongs to
//! the runtime that made it.
//!
//! Over HTTP/1.1 a connection is driven by the future or the body that uses it, and dropping that closes it. A connection that speaks
//! HTTP/2 is driven by a task of its own; dropping a body resets its stream.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) or the [`Options`]; loopback is never proxied.

mod connect;
mod timeout;

pub use connect::Tokio;
pub use timeout::Timer;
pub use unifiedai_http::{ConfigError, Options, proxy, rustls};

/// A response's body, read as it comes.
pub type Body = unifiedai_http::Body<Tokio>;

/// Sends requests over connections that it keeps for the next ones. Clones share them.
pub type HyperTransport = unifiedai_http::Client<Tokio>;

/// Sends requests by a service of the caller's own, with the timers of tokio.
///
/// `B` is the type of the request's body: `Bytes` for a mock, `Full<Bytes>` for hyper-util's client, `reqwest::Body` for reqwest's.
pub type ServiceTransport<S, B> = unifiedai_http::ServiceClient<S, B, Timer>;
