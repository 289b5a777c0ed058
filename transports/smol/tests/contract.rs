//! The contract's cases on smol's reactor.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Arc};
use unifiedai_smol::{Options, SmolTransport, rustls::ClientConfig};
use unifiedai_transport_testing::{
    BlockOn, Blocking, async_transport_tests, each_case, network_tests, option_tests, proxy_tests,
    transport_tests, upload_tests,
};

transport_tests!(make);
upload_tests!(make);
network_tests!(make);
each_case! { make: a_connection_after_two_framings_in_one_response_is_not_reused }
async_transport_tests!(make);
proxy_tests!(make);
option_tests!(make_with);
#[cfg(feature = "gzip")]
unifiedai_transport_testing::each_case! { make: a_compressed_body_is_decoded }

fn make(tls: Arc<ClientConfig>) -> Blocking<SmolTransport, Reactor> {
    Blocking(SmolTransport::with_tls(tls), Reactor)
}

fn make_with(options: Options) -> Blocking<SmolTransport, Reactor> {
    Blocking(SmolTransport::with_options(options).unwrap(), Reactor)
}

#[derive(Clone)]
struct Reactor;

impl BlockOn for Reactor {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }
}
