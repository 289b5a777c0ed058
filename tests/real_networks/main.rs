//! The transports behind real proxies and servers: tinyproxy, squid, microsocks, nginx, with a private CA and client
//! certificates.
//!
//! The test starts the programs on loopback. A program that is not installed is skipped with a message; Debian's
//! packages are `tinyproxy-bin`, `squid`, `microsocks` and `nginx-light`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests own threads, processes and clocks"
)]

mod authority;
mod programs;
mod proxies;
mod servers;
#[cfg(feature = "platform-verifier")]
mod system_roots;

use std::{future::Future, sync::Arc, time::Duration};
use unifiedai::transport::{
    self, AttemptDeadlines, Options, RequestBody, ResponseBody as _, Transport, TransportError,
    proxy::Proxies,
};
use unifiedai_transport_testing::{BlockOn, Blocking};

/// A GET over one of the transports: status and body.
type Fetch = Arc<dyn Fn(&str) -> Result<(u16, String), TransportError> + Send + Sync>;

/// One client per transport, with these options.
fn clients(options: &Options) -> [(&'static str, Fetch); 3] {
    let agent = transport::UreqTransport::with_options(options.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let tokio = transport::HyperTransport::with_options(options.clone()).unwrap();
    let tokio = Blocking(tokio, Tokio(Arc::new(runtime)));
    let smol = Blocking(
        transport::SmolTransport::with_options(options.clone()).unwrap(),
        Smol,
    );
    [
        ("ureq", Arc::new(move |uri| fetch(&agent, uri))),
        ("hyper", Arc::new(move |uri| fetch(&tokio, uri))),
        ("smol", Arc::new(move |uri| fetch(&smol, uri))),
    ]
}

fn fetch<T: Transport>(transport: &T, uri: &str) -> Result<(u16, String), TransportError> {
    let by = transport.now().saturating_add(Duration::from_secs(20));
    let mut limits = AttemptDeadlines::NONE;
    (limits.connect, limits.headers, limits.total) = (by, by, by);
    let request = http::Request::get(uri)
        .body(RequestBody::default())
        .unwrap();
    let response = transport.send(request, limits)?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.chunk(by)? {
        text.extend_from_slice(&chunk);
    }
    Ok((status, String::from_utf8(text).unwrap()))
}

#[derive(Clone)]
struct Tokio(Arc<tokio::runtime::Runtime>);

impl BlockOn for Tokio {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

#[derive(Clone)]
struct Smol;

impl BlockOn for Smol {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        ::smol::block_on(future)
    }
}

fn through(url: &str) -> Options {
    Options::new().proxies(Proxies::all(url))
}
