//! The contract's cases over hyper.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use std::{future::Future, sync::Arc, time::Duration};
use unifiedai_hyper::Client;
use unifiedai_transport::{AsyncTransport, Limits};
use unifiedai_transport_testing::{
    BlockOn, Blocking, Server, async_transport_tests, proxy_tests, transport_tests,
};

transport_tests!(make);
async_transport_tests!(make);
proxy_tests!(make);

fn make(tls: Arc<rustls::ClientConfig>) -> Blocking<Client, Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    Blocking(Client::with_tls(tls), Runtime(Arc::new(runtime.unwrap())))
}

#[derive(Clone)]
struct Runtime(Arc<tokio::runtime::Runtime>);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

/// What waits in its pool belongs to a runtime that is gone.
#[test]
fn a_client_outlives_its_runtime() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let client = Client::new();
    for round in 1..=3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let request = http::Request::get(server.uri("/")).body(Bytes::new());
        let mut limits = Limits::NONE;
        limits.head = client.now().saturating_add(Duration::from_secs(5));
        let sent = client.send(request.unwrap(), limits);
        let response = runtime.unwrap().block_on(sent).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(server.connections(), round);
    }
}
