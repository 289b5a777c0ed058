//! The way back: which answers there are, and what arrives of them.

use super::support::{OK, Tls, get, get_text, is_broken, plain, read, settle, soon, text};
use crate::Server;
use http::StatusCode;
use unifiedai_transport::{RequestBody, Transport, TransportErrorKind};

pub fn a_chunked_body_arrives<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n0a\r\ndefghijklm\r\n0\r\nx-trailer: 1\r\n\r\n",
    );
    assert_eq!(get_text(&plain(make), &server), "abcdefghijklm");
}

pub fn a_body_ended_by_the_connection_arrives<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}connection: close\r\n\r\nuntil the end"));
    assert_eq!(get_text(&plain(make), &server), "until the end");
}

pub fn responses_without_a_body_end_immediately<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    for status in ["204 No Content", "304 Not Modified"] {
        let server = Server::answering(format!("HTTP/1.1 {status}\r\n\r\n"));
        assert_eq!(get_text(&transport, &server), "");
    }
    let server = Server::answering(format!("{OK}content-length: 5\r\n\r\n"));
    let request = http::Request::head(server.uri("/")).body(RequestBody::default());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "");
}

pub fn http_1_0_response_is_read<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing("HTTP/1.0 200 OK\r\n\r\nold");
    assert_eq!(get_text(&plain(make), &server), "old");
}

pub fn statuses_above_400_are_responses<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nwait",
    );
    let transport = plain(make);
    let response = get(&transport, &server).unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(text(&transport, response), "wait");
}

pub fn redirects_are_not_followed<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    let other = Server::answering(format!("{OK}content-length: 0\r\n\r\n"));
    for (status, body) in [(301, ""), (302, "there"), (307, "there"), (308, "")] {
        let server = Server::answering(format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: {}\r\n\r\n{body}",
            other.uri("/"),
            body.len(),
        ));
        let request = http::Request::post(server.uri("/")).body(RequestBody::from("secret"));
        let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["location"], other.uri("/"));
        assert_eq!(text(&transport, response), body);
    }
    assert_eq!(other.connections(), 0);
}

pub fn interim_responses_are_skipped<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    assert_eq!(get_text(&plain(make), &server), "hi");
}

pub fn a_garbage_chunk_is_a_protocol_error<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").as_bytes());
        settle();
        peer.write(b"not a length\r\n");
        peer.sees_close();
    });
    is_broken(make, &server, "abc", TransportErrorKind::Protocol);
}

/// With a transport's feature `gzip`: some proxies compress what was asked for as it is.
pub fn a_compressed_body_is_decoded<T: Transport>(make: fn(Tls) -> T) {
    let whole = GZIP.len();
    for cut in [whole, whole / 2, 3] {
        let server = Server::new(move |peer| {
            while peer.request().is_some() {
                let head = format!("{OK}content-encoding: gzip\r\ncontent-length: {whole}\r\n\r\n");
                peer.write(head.as_bytes());
                let (first, rest) = GZIP.split_at(cut);
                peer.write(first);
                settle();
                peer.write(rest);
            }
        });
        let transport = plain(make);
        for _ in 0..2 {
            let response = get(&transport, &server).unwrap();
            assert!(!response.headers().contains_key("content-encoding"));
            assert!(!response.headers().contains_key("content-length"));
            assert_eq!(text(&transport, response), "compressed on the way");
        }
        assert_eq!(server.connections(), 1);
    }
    let cut = [
        format!("{OK}content-encoding: gzip\r\nconnection: close\r\n\r\n").as_bytes(),
        &GZIP[..20],
    ]
    .concat();
    let transport = plain(make);
    let (_, end) = read(&transport, get(&transport, &Server::closing(cut)).unwrap());
    assert_eq!(end.unwrap_err().kind(), TransportErrorKind::Truncated);
}

/// `compressed on the way`
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03K\xce\xcf-(J-.NMQ\xc8\xcfS(\xc9HU(O\xac\x04\x00\x8f\x0c\x16\x17\x15\x00\x00\x00";
