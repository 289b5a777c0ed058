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
use unifiedai_transport::{AsyncTransport, Transport};

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
