//! A transport for `unifiedai` on smol, over [hyper](https://docs.rs/hyper): HTTP/1.1 and HTTP/2 (by ALPN), a
//! connection pool, rustls. It needs no tokio runtime.
//!
//! An HTTP/1.1 connection is driven by the future or the body that uses it; dropping that closes the connection. An
//! HTTP/2 connection is driven by a task of smol's global executor; dropping a body resets its stream.
//!
//! Proxies are configured by the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) or the [`Options`]; loopback hosts are
//! never proxied.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;

pub use connect::{Smol, Tcp};
pub use unifiedai_http::{ConfigError, Options, proxy, rustls, upload::UploadReader};

/// The body of a response.
pub type Body = unifiedai_http::Body<Smol>;

/// Sends requests over a connection pool. Clones share it.
pub type SmolTransport = unifiedai_http::Client<Smol>;

/// Sends requests through the caller's own service, with smol's timers.
///
/// `B` is the type of the request body: `Bytes` for a mock, `Full<Bytes>` for hyper-util's client, `reqwest::Body`
/// for reqwest's. Streamed request bodies need
/// [`with_streamed_bodies`](unifiedai_http::ServiceClient::with_streamed_bodies).
pub type ServiceTransport<S, B> = unifiedai_http::ServiceClient<S, B, Smol>;
