//! The contract's cases over hyper.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Arc};
use unifiedai_hyper::Client;
use unifiedai_transport_testing::{
    BlockOn, Blocking, async_transport_tests, proxy_tests, transport_tests,
};

transport_tests!(make);
async_transport_tests!(make);
proxy_tests!(make);

fn make(tls: Arc<rustls::ClientConfig>) -> Blocking<Client, Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    Blocking(Client::with_tls(tls), Runtime(Arc::new(runtime.unwrap())))
}

#[derive(Clone)]
struct Runtime(Arc<tokio::runtime::Runtime>);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
