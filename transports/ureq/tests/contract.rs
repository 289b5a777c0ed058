//! The contract's cases over ureq.

use std::sync::Arc;
use unifiedai_transport_testing::{network_tests, proxy_tests, transport_tests};
use unifiedai_ureq::Agent;

transport_tests!(make);
network_tests!(make);
proxy_tests!(make);

fn make(tls: Arc<rustls::ClientConfig>) -> Agent {
    Agent::with_tls(tls)
}
