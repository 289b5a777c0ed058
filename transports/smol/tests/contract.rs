//! The contract's cases on smol's reactor.

use std::{future::Future, sync::Arc};
use unifiedai_smol::Client;
use unifiedai_transport_testing::{
    BlockOn, Blocking, async_transport_tests, network_tests, proxy_tests, transport_tests,
};

transport_tests!(make);
network_tests!(make);
async_transport_tests!(make);
proxy_tests!(make);

fn make(tls: Arc<rustls::ClientConfig>) -> Blocking<Client, Reactor> {
    Blocking(Client::with_tls(tls), Reactor)
}

#[derive(Clone)]
struct Reactor;

impl BlockOn for Reactor {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }
}
