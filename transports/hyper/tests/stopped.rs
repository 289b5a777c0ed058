//! A client that is stopped again and again while its server closes the connections that it keeps.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Arc};
use unifiedai_hyper::{HyperTransport, Options, proxy::Proxies};
use unifiedai_transport_testing::{BlockOn, Blocking, stopped};

#[test]
fn at_most_one_call_is_lost() {
    stopped::at_most_one_call_is_lost("client");
}

#[test]
#[ignore = "run by the other test"]
fn client() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let options = Options::new().proxies(Proxies::none());
    let client = HyperTransport::with_options(options).unwrap();
    stopped::client(&Blocking(client, Runtime(Arc::new(runtime.unwrap()))));
}

#[derive(Clone)]
struct Runtime(Arc<tokio::runtime::Runtime>);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
