//! Clients that outlive runtimes, are used in several of them, or in none.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests own threads, sockets and clocks"
)]

use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{LazyLock, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use unifiedai_hyper::{HyperTransport, Options};
use unifiedai_transport::{
    AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, RequestBody, RequestDelivery,
    TransportError, TransportErrorKind,
};
use unifiedai_transport_testing::Server;

static CLIENT: LazyLock<HyperTransport> = LazyLock::new(HyperTransport::new);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn limits(client: &HyperTransport) -> AttemptDeadlines {
    let mut limits = AttemptDeadlines::NONE;
    limits.total = client.now().saturating_add(Duration::from_secs(5));
    limits
}

async fn call(client: &HyperTransport, server: &Server) -> Result<Bytes, TransportError> {
    let request = http::Request::get(server.uri("/")).body(RequestBody::default());
    let limits = limits(client);
    let sent = client.send(request.unwrap(), limits).await?;
    let mut body = sent.into_body();
    let mut all = Vec::new();
    while let Some(chunk) = poll_fn(|cx| body.poll_chunk(cx, limits.total)).await? {
        all.extend(chunk);
    }
    Ok(all.into())
}

fn server() -> Server {
    Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
}

#[test]
fn a_static_client_works_in_50_runtimes_one_after_another() {
    let server = server();
    for _ in 0..50 {
        runtime().block_on(async {
            for _ in 0..3 {
                assert_eq!(call(&CLIENT, &server).await.unwrap(), "hi");
            }
        });
    }
    assert_eq!(server.connections(), 50);
}

#[test]
fn a_static_client_works_in_8_runtimes_at_once() {
    let server = server();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let runtime = runtime();
                    for _ in 0..4 {
                        let text = runtime.block_on(call(&CLIENT, &server)).unwrap();
                        assert_eq!(text, "hi");
                    }
                }
            });
        }
    });
    assert_eq!(server.connections(), 40);
}

#[test]
fn a_runtime_that_is_alive_but_does_not_run_holds_no_other_up() {
    let (client, server) = (HyperTransport::new(), server());
    let idle = runtime();
    assert_eq!(idle.block_on(call(&client, &server)).unwrap(), "hi");
    assert_eq!(runtime().block_on(call(&client, &server)).unwrap(), "hi");
    assert_eq!(idle.block_on(call(&client, &server)).unwrap(), "hi");
    assert_eq!(server.connections(), 2);
}

#[test]
fn outside_a_runtime_the_error_says_what_to_do() {
    let (client, server) = (HyperTransport::new(), server());
    let mut sent = pin!(call(&client, &server));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = sent.as_mut().poll(&mut context) else {
        panic!("no error");
    };
    assert_eq!(error.kind(), TransportErrorKind::Request);
    assert_eq!(error.delivery(), RequestDelivery::NotSent);
    assert!(error.to_string().contains("enable_all"), "{error}");
    let later = client.now().saturating_add(Duration::from_secs(60));
    let mut sleep = pin!(client.sleep_until(later));
    assert!(sleep.as_mut().poll(&mut context).is_ready());
}

/// Neither the socket nor the timer of a body panics once its runtime has ended, and time runs out in another one.
#[test]
fn a_body_may_outlive_its_runtime_or_be_read_in_another() {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        peer.sees_close();
    });
    for ends in [false, true] {
        let client = HyperTransport::new();
        let first = runtime();
        let request = http::Request::get(server.uri("/")).body(RequestBody::default());
        let mut body = first.block_on(async {
            let sent = client.send(request.unwrap(), limits(&client)).await;
            let mut body = sent.unwrap().into_body();
            let by = limits(&client).total;
            let half = poll_fn(|cx| body.poll_chunk(cx, by)).await;
            assert_eq!(half.unwrap().unwrap(), "half");
            poll_fn(|cx| {
                assert!(body.poll_chunk(cx, by).is_pending());
                Poll::Ready(())
            })
            .await;
            body
        });
        let first = (!ends).then_some(first);
        let by = client.now().saturating_add(Duration::from_millis(100));
        let read = runtime().block_on(async { poll_fn(|cx| body.poll_chunk(cx, by)).await });
        assert_eq!(read.unwrap_err().delivery(), RequestDelivery::Answered);
        drop(first);
    }
}

/// As a program that reads its standard input between two calls does: its runtime sees nothing of what happens meanwhile.
#[test]
fn blocked_program_does_not_break_calls() {
    for parting in [
        "",
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother",
    ] {
        let client = HyperTransport::new();
        let (parted, seen) = mpsc::channel();
        let server = Server::new(move |peer| {
            if peer.request().is_some() {
                peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
                thread::sleep(Duration::from_millis(5));
                peer.write(parting.as_bytes());
                parted.send(()).unwrap();
            }
        });
        runtime().block_on(async {
            for _ in 0..15 {
                let text = call(&client, &server).await;
                assert_eq!(text.unwrap(), "hi", "{parting}");
                seen.recv().unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        });
        assert_eq!(server.connections(), 15);
    }
}

#[test]
fn a_connection_that_waits_is_closed_when_its_time_is_over() {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        let answered = Instant::now();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        let is_closed = peer.sees_close();
        closed.send((is_closed, answered.elapsed())).unwrap();
    });
    let options = Options::new().idle_timeout(Duration::from_millis(400));
    let client = HyperTransport::with_options(options).unwrap();
    runtime().block_on(async {
        call(&client, &server).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
    });
    let (is_closed, after) = seen.recv().unwrap();
    assert!(
        is_closed && after >= Duration::from_millis(380),
        "{after:?}"
    );
    assert!(after < Duration::from_millis(1200), "{after:?}");
}

/// Not at the next call: the socket would stay in CLOSE_WAIT until then.
#[test]
fn a_connection_that_the_server_closed_is_closed_at_once() {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        thread::sleep(Duration::from_millis(50));
        let since = Instant::now();
        peer.linger();
        closed.send(since.elapsed()).unwrap();
    });
    let client = HyperTransport::new();
    runtime().block_on(async {
        call(&client, &server).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
    });
    let after = seen.recv().unwrap();
    assert!(after < Duration::from_millis(600), "{after:?}");
}

#[test]
fn no_connection_is_kept_where_none_may_wait() {
    let server = server();
    let options = Options::new().max_idle_connections(0);
    let client = HyperTransport::with_options(options).unwrap();
    runtime().block_on(async {
        for _ in 0..3 {
            call(&client, &server).await.unwrap();
        }
    });
    assert_eq!(server.connections(), 3);
}
