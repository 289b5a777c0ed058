//! Heads: long ones, those that are too long, and what is none.

use super::support::{OK, Over, Tls, connected, get, plain, read, refused, settle, soon, text};
use crate::{Peer, Server};
use unifiedai_transport::{RequestBody, Transport, TransportErrorKind};

pub fn headers_of_60_kib_are_accepted<T: Transport>(make: fn(Tls) -> T) {
    let long = "y".repeat(60 * 1024);
    let server = Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    let response = get(&transport, &server).unwrap();
    assert_eq!(response.headers()["x-long"], long);
    assert_eq!(text(&transport, response), "hi");
}

pub fn long_headers_in_chunks_for_any_method<T: Transport>(make: fn(Tls) -> T) {
    long_headers_in_chunks(make);
}

pub fn a_connection_after_long_headers_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    assert_eq!(long_headers_in_chunks(make).connections(), 1);
}

fn long_headers_in_chunks<T: Transport>(make: fn(Tls) -> T) -> Server {
    let long = "y".repeat(3_000);
    let server = Server::new({
        let long = long.clone();
        move |peer| {
            while let Some(request) = peer.request() {
                peer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-long: ");
                peer.write(long.as_bytes());
                settle();
                peer.write(b"\r\ncontent-length: 2\r\n\r\n");
                if !request.head.starts_with("HEAD") {
                    peer.write(b"hi");
                }
            }
        }
    });
    let transport = plain(make);
    for (method, body) in [("POST", "hi"), ("HEAD", ""), ("GET", "hi"), ("HEAD", "")] {
        let request = http::Request::builder().method(method).uri(server.uri("/"));
        let request = request.body(RequestBody::default()).unwrap();
        let response = transport.send(request, soon(&transport)).unwrap();
        assert_eq!(response.headers()["x-long"], long, "{method}");
        assert_eq!(text(&transport, response), body, "{method}");
        settle();
    }
    server
}

pub fn long_headers_and_body_in_one_read<T: Transport>(make: fn(Tls) -> T) {
    long_headers_and_body(make, Over::Tcp);
}

pub fn a_connection_after_long_headers_and_body_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    assert_eq!(long_headers_and_body(make, Over::Tcp).connections(), 1);
}

pub fn long_headers_and_body_in_one_read_over_tls<T: Transport>(make: fn(Tls) -> T) {
    long_headers_and_body(make, Over::Tls);
}

pub fn a_tls_connection_after_long_headers_and_body_is_used_again<T: Transport>(
    make: fn(Tls) -> T,
) {
    assert_eq!(long_headers_and_body(make, Over::Tls).connections(), 1);
}

fn long_headers_and_body<T: Transport>(make: fn(Tls) -> T, over: Over) -> Server {
    let (long, piece) = ("y".repeat(5_000), "z".repeat(0x1800));
    let interim = format!("HTTP/1.1 103 Early Hints\r\nlink: {long}\r\n\r\n");
    let chunks = format!("1800;extended=yes\r\n{piece}\r\n").repeat(3);
    let head = format!("{OK}x-long: {long}\r\ntransfer-encoding: chunked\r\n\r\n");
    let answer = format!("{interim}{interim}{head}{chunks}0\r\n\r\n");
    let (transport, server) = connected(make, over, move |peer| {
        while peer.request().is_some() {
            peer.write(answer.as_bytes());
        }
    });
    for _ in 0..3 {
        let response = get(&transport, &server).unwrap();
        assert_eq!(response.headers()["x-long"], long);
        assert_eq!(text(&transport, response), piece.repeat(3));
        settle();
    }
    server
}

pub fn long_headers_before_a_close_are_read<T: Transport>(make: fn(Tls) -> T) {
    long_headers_before_a_close(make, Over::Tcp);
    let cut = Server::closing(format!("{OK}x-long: {}", "y".repeat(3_000)));
    refused(make, &cut, TransportErrorKind::Reset);
}

pub fn long_headers_before_a_tls_close_are_read<T: Transport>(make: fn(Tls) -> T) {
    long_headers_before_a_close(make, Over::Tls);
}

fn long_headers_before_a_close<T: Transport>(make: fn(Tls) -> T, over: Over) {
    let long = "y".repeat(3_000);
    for (framing, cut) in [("connection: close", false), ("content-length: 9", true)] {
        let answer = format!("{OK}x-long: {long}\r\n{framing}\r\n\r\nhalf");
        let handle = move |peer: &mut Peer| {
            peer.request();
            peer.write(answer.as_bytes());
            peer.close_notify();
        };
        let (transport, server) = connected(make, over, handle);
        let (text, end) = read(&transport, get(&transport, &server).unwrap());
        assert_eq!(text, "half");
        let end = end.map_err(|failure| failure.kind());
        let expected = if cut {
            Err(TransportErrorKind::Truncated)
        } else {
            Ok(())
        };
        assert_eq!(end, expected, "{framing}");
    }
}

pub fn a_header_bomb_is_refused<T: Transport>(make: fn(Tls) -> T) {
    let long = "y".repeat(128 * 1024);
    let server = Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 0\r\n\r\n"));
    refused(make, &server, TransportErrorKind::HeadersTooLarge);
}

pub fn too_many_headers_are_refused<T: Transport>(make: fn(Tls) -> T) {
    let headers = "a: b\r\n".repeat(5_000);
    let server = Server::answering(format!("{OK}{headers}content-length: 0\r\n\r\n"));
    refused(make, &server, TransportErrorKind::HeadersTooLarge);
}

pub fn garbage_headers_are_a_protocol_error<T: Transport>(make: fn(Tls) -> T) {
    for garbage in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "\0\x01\x02\x03 what\r\n\r\n"] {
        let server = Server::closing(garbage);
        refused(make, &server, TransportErrorKind::Protocol);
    }
}
