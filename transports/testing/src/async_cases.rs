//! Cases about futures: dropping them, and running several.

use crate::{
    Authority, BlockOn, Blocking, Server,
    cases::{settle, soon},
};
use bytes::Bytes;
use rustls::ClientConfig;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, mpsc},
    task::Poll,
    time::Duration,
};
use unifiedai_transport::{AsyncTransport, Body as _, Transport};

type Make<T, E> = fn(Arc<ClientConfig>) -> Blocking<T, E>;

pub fn a_dropped_send_closes_its_connection<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = plain(make);
    let limits = soon(&transport);
    let until = transport.now().saturating_add(Duration::from_millis(200));
    let Blocking(client, executor) = &transport;
    executor.block_on(async {
        let mut send = Box::pin(client.send(get(&server), limits));
        let mut sleep = pin!(client.sleep_until(until));
        poll_fn(|cx| {
            assert!(send.as_mut().poll(cx).is_pending());
            sleep.as_mut().poll(cx)
        })
        .await;
        drop(send);
    });
    assert!(seen.recv().unwrap(), "the connection was left open");
}

pub fn a_send_that_is_never_polled_connects_to_nothing<T: AsyncTransport, E: BlockOn>(
    make: Make<T, E>,
) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let transport = plain(make);
    let limits = soon(&transport);
    let Blocking(client, executor) = &transport;
    executor.block_on(async { drop(client.send(get(&server), limits)) });
    settle();
    assert_eq!(server.connections(), 0);
}

/// The server may go on to wait for the rest.
pub fn a_long_head_before_the_end_of_the_request_ends_its_connection<
    T: AsyncTransport,
    E: BlockOn,
>(
    make: Make<T, E>,
) {
    let server = Server::new(|peer| {
        let Some(head) = peer.head() else { return };
        if head.starts_with("POST") {
            let long = "y".repeat(3_000);
            let head = format!("HTTP/1.1 413 Large\r\nx-long: {long}\r\ncontent-length: 2\r\n\r\n");
            peer.write(head.as_bytes());
            peer.write(b"no");
            peer.sees_close();
        } else {
            peer.write(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let transport = plain(make);
    let upload = http::Request::post(server.uri("/")).body(Bytes::from(vec![0; 64 << 20]));
    let mut response = transport.send(upload.unwrap(), soon(&transport)).unwrap();
    assert_eq!(response.status(), 413);
    let deadline = soon(&transport).head;
    let mut read = || response.body_mut().chunk(deadline).unwrap();
    assert_eq!(read().unwrap(), "no");
    assert_eq!(read(), None);
    let response = transport.send(get(&server), soon(&transport)).unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(server.connections(), 2);
}

pub fn sends_can_run_side_by_side<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let transport = plain(make);
    let limits = soon(&transport);
    let Blocking(client, executor) = &transport;
    executor.block_on(async {
        let send = |_| Box::pin(client.send(get(&server), limits));
        let mut open: Vec<_> = (0..20).map(send).collect();
        poll_fn(|cx| {
            open.retain_mut(|send| match send.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    assert_eq!(answer.unwrap().status(), 204);
                    false
                }
                Poll::Pending => true,
            });
            if open.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    });
    assert!(server.connections() <= 20);
}

fn plain<T, E>(make: Make<T, E>) -> Blocking<T, E> {
    make(Authority::new("nobody.example").client())
}

fn get(server: &Server) -> http::Request<Bytes> {
    http::Request::get(server.uri("/"))
        .body(Bytes::new())
        .unwrap()
}
