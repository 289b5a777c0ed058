//! The cases that every transport must pass.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong is to stop")]

use std::{future::Future, sync::Arc};
use unifiedai_reqwest_example::ReqwestTransport;
use unifiedai_transport_testing::{
    BlockOn, Blocking, async_transport_tests, rustls::ClientConfig, transport_tests, upload_tests,
};

// reqwest adds `accept: */*` to each request, and no setting prevents that. Its limit of headers is about 400 KiB. It has
// no limit for connecting that differs between requests.
transport_tests!(make, except [
    a_get_adds_no_header
    a_post_carries_its_body
    a_header_bomb_is_refused
    a_handshake_that_hangs_runs_into_the_connect_limit
]);
// reqwest keeps the connection of a request whose body was not sent to its end.
upload_tests!(make, except[an_early_response_ends_the_upload]);
async_transport_tests!(make);

fn make(tls: Arc<ClientConfig>) -> Blocking<ReqwestTransport, Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let builder = reqwest::Client::builder().no_proxy();
    let transport = ReqwestTransport::new(builder.use_preconfigured_tls((*tls).clone()));
    Blocking(transport.unwrap(), Runtime(Arc::new(runtime.unwrap())))
}

#[derive(Clone)]
struct Runtime(Arc<tokio::runtime::Runtime>);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
