//! Connections: which ones are used again.

use super::support::{
    OK, Over, Tls, connected, get, get_text, limit, plain, request, settle, soon, text,
};
use crate::Server;
use std::sync::mpsc;
use unifiedai_transport::{RequestBody, ResponseBody, Transport};

pub fn a_read_connection_is_used_again<T: Transport + Clone>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for _ in 0..5 {
        assert_eq!(get_text(&transport.clone(), &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_after_chunks_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..5 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_with_connection_close_is_not_reused<T: Transport>(make: fn(Tls) -> T) {
    for long in [0, 3_000] {
        let long = "y".repeat(long);
        let server =
            Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 2\r\n\r\nhi"));
        let transport = plain(make);
        for _ in 0..2 {
            let request = http::Request::get(server.uri("/")).header("connection", "close");
            let request = request.body(RequestBody::default()).unwrap();
            let response = transport.send(request, soon(&transport)).unwrap();
            assert_eq!(text(&transport, response), "hi");
            settle();
        }
        assert_eq!(server.connections(), 2);
    }
}

pub fn a_connection_after_long_trailers_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    let trailer = "y".repeat(5_000);
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-long: {trailer}\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..3 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_is_used_again_when_only_the_end_was_left<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n0\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..3 {
        let mut response = get(&transport, &server).unwrap();
        let first = response.body_mut().chunk(limit(&transport)).unwrap();
        assert_eq!(first.unwrap(), "[DONE]");
        drop(response);
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_half_read_connection_is_not_used_again<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("GET /half") {
                peer.write(format!("{OK}content-length: 100\r\n\r\nhalf").as_bytes());
                settle();
                peer.write(b" and the rest that nobody reads");
            } else {
                peer.write(format!("{OK}content-length: 5\r\n\r\nwhole").as_bytes());
            }
        }
    });
    let transport = plain(make);
    for read in [false, true] {
        let mut response = transport
            .send(request(&server, "/half"), soon(&transport))
            .unwrap();
        if read {
            let first = response.body_mut().chunk(limit(&transport)).unwrap();
            assert_eq!(first.unwrap(), "half");
        }
        drop(response);
        assert_eq!(get_text(&transport, &server), "whole");
    }
    assert!(server.connections() >= 2);
}

/// Wherever they wait: not read yet, read ahead, or beside a head that was too long for the usual buffer.
pub fn bytes_after_a_response_are_no_response<T: Transport>(make: fn(Tls) -> T) {
    let stray = format!("{OK}content-length: 5\r\n\r\nstray");
    for long in [0, 3_000] {
        let head = format!("{OK}x-long: {}\r\n", "y".repeat(long));
        let answers = [
            format!("{head}content-length: 5\r\n\r\nfirst{stray}"),
            format!("{head}content-length: 5\r\n\r\nfirst{}", stray.repeat(400)),
            format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n{stray}"),
        ];
        for answer in answers {
            let server = Server::new(move |peer| {
                if peer.request().is_some() {
                    peer.write(answer.as_bytes());
                    peer.linger();
                }
            });
            let transport = plain(make);
            for _ in 0..3 {
                assert_eq!(get_text(&transport, &server), "first");
                settle();
            }
            assert_eq!(server.connections(), 3);
        }
    }
}

pub fn an_idle_connection_that_died_is_not_used<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for _ in 0..3 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 3);
}

pub fn a_connection_that_closes_while_it_waits_is_not_used<T: Transport>(make: fn(Tls) -> T) {
    closed_while_idle(make, Over::Tcp);
}

pub fn a_tls_connection_that_closes_while_it_waits_is_not_used<T: Transport>(make: fn(Tls) -> T) {
    closed_while_idle(make, Over::Tls);
}

/// The server announces the reason, or closes without notice.
fn closed_while_idle<T: Transport>(make: fn(Tls) -> T, over: Over) {
    for why in ["", "HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n"] {
        let (closing, closed) = mpsc::channel();
        let (transport, server) = connected(make, over, move |peer| {
            if peer.request().is_some() {
                peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
                settle();
                peer.write(why.as_bytes());
                closing.send(()).unwrap();
            }
        });
        for _ in 0..3 {
            assert_eq!(get_text(&transport, &server), "hi");
            closed.recv().unwrap();
            settle();
        }
        assert_eq!(server.connections(), 3);
    }
}

pub fn a_dropped_body_closes_its_connection<T: Transport>(make: fn(Tls) -> T) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").as_bytes());
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let first = response.body_mut().chunk(limit(&transport)).unwrap();
    assert_eq!(first.unwrap(), "hi");
    drop(response);
    assert!(seen.recv().unwrap(), "the connection was left open");
}

/// Where the answer ends is a matter of opinion (RFC 9112, 6.3).
pub fn a_connection_after_two_framings_in_one_response_is_not_reused<T: Transport>(
    make: fn(Tls) -> T,
) {
    let server = Server::answering(format!(
        "{OK}content-length: 12\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..2 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 2);
}

pub fn a_body_before_trailers_of_40_kib_arrives<T: Transport>(make: fn(Tls) -> T) {
    let trailer = "y".repeat(10 << 10);
    let trailers: String = (0..4).map(|i| format!("x-{i}: {trailer}\r\n")).collect();
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n"
    ));
    let transport = plain(make);
    for _ in 0..2 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
}
