//! The contract's cases over ureq.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use unifiedai_transport_testing::{
    each_case, network_tests, option_tests, proxy_tests, transport_tests, upload_tests,
};
use unifiedai_ureq::{Options, UreqTransport};

transport_tests!(make);
upload_tests!(make);
network_tests!(make);
each_case! { make: a_connection_after_two_framings_in_one_response_is_not_reused }
proxy_tests!(make);
option_tests!(make_with);
#[cfg(feature = "gzip")]
each_case! { make: a_compressed_body_is_decoded }

fn make(tls: Arc<rustls::ClientConfig>) -> UreqTransport {
    UreqTransport::with_tls(tls)
}

fn make_with(options: Options) -> UreqTransport {
    UreqTransport::with_options(options).unwrap()
}
