//! The cases that every transport must pass, with a client that has neither TLS nor a pool.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests have a clock and sockets, and stop when something is wrong"
)]

mod transport;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};
use transport::PlainTransport;
use unifiedai::transport::{
    AttemptDeadlines, CancelHandle, RequestBody, RequestDelivery, Transport, TransportErrorKind,
};
use unifiedai_transport_testing::{Server, required_tests, rustls::ClientConfig, upload_tests};

required_tests!(make);
upload_tests!(make);

fn make(_: Arc<ClientConfig>) -> PlainTransport {
    PlainTransport {
        start: Instant::now(),
    }
}

#[test]
fn a_call_without_deadlines_is_cancelled() {
    let (received, request) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        received.send(()).unwrap();
        peer.sees_close();
    });
    let cancel = CancelHandle::new();
    let mine = cancel.clone();
    let uri = server.uri("/");
    let call = thread::spawn(move || {
        let transport = PlainTransport {
            start: Instant::now(),
        };
        let mut request = http::Request::new(RequestBody::default());
        *request.uri_mut() = uri.parse().unwrap();
        request.extensions_mut().insert(mine);
        transport.send(request, AttemptDeadlines::NONE).err()
    });
    request.recv().unwrap();
    cancel.cancel();
    let error = call.join().unwrap().unwrap();
    assert_eq!(error.kind(), TransportErrorKind::Cancelled);
    assert_eq!(error.delivery(), RequestDelivery::MaybeProcessed);
}

/// Groups of cases leave out those that a client cannot pass.
mod left_out {
    unifiedai_transport_testing::each_case! { crate::make, except [tls_to_a_trusted_server_works]:
        http_1_0_response_is_read
        tls_to_a_trusted_server_works
    }
}
