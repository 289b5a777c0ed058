//! A client that is stopped again and again while its server closes the connections that it keeps.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use unifiedai_transport_testing::stopped;
use unifiedai_ureq::{Options, UreqTransport, proxy::Proxies};

#[test]
fn at_most_one_call_is_lost() {
    stopped::at_most_one_call_is_lost("client");
}

#[test]
#[ignore = "run by the other test"]
fn client() {
    let options = Options::new().proxies(Proxies::none());
    stopped::client(&UreqTransport::with_options(options).unwrap());
}
