//! tokio gives a task that has done much in one poll nothing more, even of what is there, until it is polled again.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests own threads, sockets and clocks"
)]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    thread,
    time::Duration,
};
use unifiedai_hyper::HyperTransport;
use unifiedai_transport::{AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, RequestBody};
use unifiedai_transport_testing::Server;

/// One less than tokio lets a task do.
const MOST: usize = 127;

/// Without limits, whose timers would wake the task.
async fn call(client: &HyperTransport, server: &Server) {
    let request = http::Request::get(server.uri("/")).body(RequestBody::default());
    let sent = client.send(request.unwrap(), AttemptDeadlines::NONE);
    let mut body = sent.await.unwrap().into_body();
    let mut chunk = async || poll_fn(|cx| body.poll_chunk(cx, AttemptDeadlines::NONE.total)).await;
    while chunk().await.unwrap().is_some() {}
}

/// Does so much before each poll.
async fn behind(mut done: impl FnMut() -> usize, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let mut passed = Box::pin(tokio::time::sleep(Duration::ZERO));
    passed.as_mut().await;
    let work = poll_fn(|cx| {
        for _ in 0..done() {
            let _ = passed.as_mut().poll(cx);
        }
        work.as_mut().poll(cx)
    });
    let ended = tokio::time::timeout(Duration::from_secs(3), work).await;
    assert!(ended.is_ok(), "forgotten");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The end of an answer comes by itself, so that nothing is left to do once it was read.
fn server() -> Server {
    Server::new(|peer| {
        while peer.request().is_some() {
            peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh");
            thread::sleep(Duration::from_millis(5));
            peer.write(b"i");
        }
    })
}

#[test]
fn a_request_over_a_kept_connection_is_not_forgotten() {
    let (client, server) = (HyperTransport::new(), server());
    runtime().block_on(async {
        for done in 0..=MOST {
            behind(|| done, call(&client, &server)).await;
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_is_not_forgotten_where_its_runtime_rests_at_once() {
    let (client, server) = (HyperTransport::new(), server());
    let runtime = runtime();
    for done in 0..=MOST {
        runtime.block_on(behind(|| done, call(&client, &server)));
        runtime.block_on(behind(|| 0, call(&client, &server)));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_closed_connection_that_cannot_be_looked_at_is_not_used() {
    let client = HyperTransport::new();
    let server = Server::new(|peer| {
        peer.request();
        peer.write(b"HTTP/1.1 204 No Content\r\n\r\n");
        thread::sleep(Duration::from_millis(20));
    });
    runtime().block_on(async {
        call(&client, &server).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut all = Some(MOST + 1);
        behind(|| all.take().unwrap_or(0), call(&client, &server)).await;
    });
    assert_eq!(server.connections(), 2);
}

#[test]
fn long_header_block_is_kept() {
    let long = "x".repeat(3_000);
    let head = format!("HTTP/1.1 204 No Content\r\nconnection: close\r\nlong: {long}\r\n\r\n");
    let (client, server) = (HyperTransport::new(), Server::closing(head));
    runtime().block_on(async {
        for done in 0..=MOST {
            // Nothing is left every other time.
            let mut all = [done, MOST + 1].into_iter().cycle();
            behind(|| all.next().unwrap(), call(&client, &server)).await;
        }
    });
}

#[test]
fn a_half_read_connection_is_not_used_again() {
    let client = HyperTransport::new();
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            let long = request.head.starts_with("POST");
            peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
            peer.write(if long { b"ha" } else { b"full" });
        }
    });
    runtime().block_on(async {
        call(&client, &server).await;
        let mut all = Some(MOST + 1);
        let half = async {
            let request = http::Request::post(server.uri("/")).body(RequestBody::default());
            let sent = client.send(request.unwrap(), AttemptDeadlines::NONE);
            let mut body = sent.await.unwrap().into_body();
            let half = poll_fn(|cx| body.poll_chunk(cx, AttemptDeadlines::NONE.total)).await;
            assert_eq!(half.unwrap().unwrap(), "ha");
            poll_fn(|cx| {
                assert!(
                    body.poll_chunk(cx, AttemptDeadlines::NONE.total)
                        .is_pending()
                );
                Poll::Ready(())
            })
            .await;
        };
        behind(|| all.take().unwrap_or(0), half).await;
        call(&client, &server).await;
    });
    assert_eq!(server.connections(), 2);
}
