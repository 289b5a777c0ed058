//! What stays in memory of a key.

#![cfg(target_os = "linux")]

use std::future::Future;
use unifiedai_smol::SmolTransport;
use unifiedai_transport_testing::{
    BlockOn, Blocking, memory::copies_of_a_key_do_not_grow_with_calls,
};

#[derive(Clone)]
struct Reactor;

impl BlockOn for Reactor {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }
}

/// hyper's buffer of a connection holds the head of its last request, and only hyper could wipe it.
#[test]
fn copies_of_a_key_do_not_grow() {
    let client = Blocking(SmolTransport::new(), Reactor);
    copies_of_a_key_do_not_grow_with_calls(&client);
}
