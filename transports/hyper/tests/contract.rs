//! The contract's cases over hyper.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};
use unifiedai_hyper::{HyperTransport, Options, rustls::ClientConfig};
use unifiedai_transport::{AsyncTransport, AttemptDeadlines, RequestBody};
use unifiedai_transport_testing::{
    BlockOn, Blocking, Server, async_transport_tests, each_case, network_tests, option_tests,
    proxy_tests, transport_tests, upload_tests,
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

fn make(tls: Arc<ClientConfig>) -> Blocking<HyperTransport, Runtime> {
    make_with(Options::new().tls(tls))
}

fn make_with(options: Options) -> Blocking<HyperTransport, Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let client = HyperTransport::with_options(options).unwrap();
    Blocking(client, Runtime(Arc::new(runtime.unwrap())))
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
    let client = HyperTransport::new();
    for round in 1..=3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let request = http::Request::get(server.uri("/")).body(RequestBody::default());
        let mut limits = AttemptDeadlines::NONE;
        limits.headers = client.now().saturating_add(Duration::from_secs(5));
        let sent = client.send(request.unwrap(), limits);
        let response = runtime.unwrap().block_on(sent).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(server.connections(), round);
    }
}

/// A task that has done much in one poll gets nothing from tokio's channels, even what is there, until it is polled again.
#[test]
fn response_buffered_by_tokio_is_delivered() {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        peer.sees_close();
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let client = HyperTransport::new();
    runtime.unwrap().block_on(async {
        let mut passed = Box::pin(tokio::time::sleep(Duration::ZERO));
        passed.as_mut().await;
        for done in 0..128 {
            let request = http::Request::get(server.uri("/")).body(RequestBody::default());
            // A timer would be held back, too, and wake the task.
            let mut sent = Box::pin(client.send(request.unwrap(), AttemptDeadlines::NONE));
            let answer = poll_fn(|cx| {
                for _ in 0..done {
                    let _ = passed.as_mut().poll(cx);
                }
                sent.as_mut().poll(cx)
            });
            let by = client.now().saturating_add(Duration::from_secs(3));
            let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
            assert_eq!(answer.unwrap().unwrap().status(), 200);
            assert!(client.now() < by, "found by chance behind {done}");
        }
    });
}
