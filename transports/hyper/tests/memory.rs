//! What stays in memory of a key.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Arc};
use tokio::runtime::{Builder, Runtime};
use unifiedai_hyper::HyperTransport;
use unifiedai_transport_testing::{
    BlockOn, Blocking, memory::copies_of_a_key_do_not_grow_with_calls,
};

#[derive(Clone)]
struct Tokio(Arc<Runtime>);

impl BlockOn for Tokio {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

/// hyper's buffer of a connection holds the head of its last request, and only hyper could wipe it.
#[test]
fn copies_of_a_key_do_not_grow() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = Blocking(HyperTransport::new(), Tokio(Arc::new(runtime)));
    copies_of_a_key_do_not_grow_with_calls(&client);
}
