//! The cases that every transport must pass.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong is to stop")]

use std::{future::Future, sync::Arc};
use unifiedai_reqwest_example::ReqwestTransport;
use unifiedai_transport_testing::{
    BlockOn, Blocking, async_transport_tests, pooling_tests, required_tests, rustls::ClientConfig,
};

// reqwest adds `accept: */*` to each request, and no setting prevents that.
required_tests!(make, except [a_get_adds_no_header a_post_carries_its_body]);
pooling_tests!(make);
async_transport_tests!(make);

fn make(_: Arc<ClientConfig>) -> Blocking<ReqwestTransport, Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let transport = ReqwestTransport::new(reqwest::Client::builder().no_proxy());
    Blocking(transport.unwrap(), Runtime(Arc::new(runtime.unwrap())))
}

#[derive(Clone)]
struct Runtime(Arc<tokio::runtime::Runtime>);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
