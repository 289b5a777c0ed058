//! A client that is stopped again and again while its server closes the connections that it keeps.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::Future;
use unifiedai_smol::{Options, SmolTransport, proxy::Proxies};
use unifiedai_transport_testing::{BlockOn, Blocking, stopped};

#[test]
fn at_most_one_call_is_lost() {
    stopped::at_most_one_call_is_lost("client");
}

#[test]
#[ignore = "run by the other test"]
fn client() {
    let options = Options::new().proxies(Proxies::none());
    let client = SmolTransport::with_options(options).unwrap();
    stopped::client(&Blocking(client, Reactor));
}

#[derive(Clone)]
struct Reactor;

impl BlockOn for Reactor {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }
}
