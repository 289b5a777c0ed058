//! The way there: what a request looks like on the wire.

use super::support::{Tls, plain, soon, text};
use crate::{Server, server};
use bytes::Bytes;
use std::sync::mpsc;
use unifiedai_transport::{RequestBody, RequestDelivery, Transport, TransportErrorKind};

pub fn a_get_adds_no_header<T: Transport>(make: fn(Tls) -> T) {
    let (server, heads) = recording("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi");
    let transport = plain(make);
    let request = http::Request::get(server.uri("/a?b=c"))
        .header("x-mine", "1")
        .body(RequestBody::default());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(text(&transport, response), "hi");

    let head = heads.recv().unwrap().head;
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert_eq!(names(&head), ["host", "x-mine"]);
    let host = server::header(&head, "host").unwrap();
    assert_eq!(host, server.address().to_string());
}

pub fn a_post_carries_its_body<T: Transport>(make: fn(Tls) -> T) {
    let (server, requests) = recording("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let transport = plain(make);
    let body = Bytes::from("x".repeat(300_000));
    let request = http::Request::post(server.uri("/")).body(RequestBody::from(body.clone()));
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "");

    let request = requests.recv().unwrap();
    assert_eq!(names(&request.head), ["content-length", "host"]);
    assert_eq!(request.body, body);
}

pub fn an_empty_post_has_a_length<T: Transport>(make: fn(Tls) -> T) {
    let (server, requests) = recording("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let transport = plain(make);
    let request = http::Request::post(server.uri("/")).body(RequestBody::default());
    transport.send(request.unwrap(), soon(&transport)).unwrap();
    let head = requests.recv().unwrap().head;
    assert_eq!(server::header(&head, "content-length"), Some("0"));
}

fn recording(answer: &'static str) -> (Server, mpsc::Receiver<crate::Request>) {
    let (sender, requests) = mpsc::channel();
    let server = Server::new(move |peer| {
        while let Some(request) = peer.request() {
            sender.send(request).unwrap();
            peer.write(answer.as_bytes());
        }
    });
    (server, requests)
}

/// The names of the headers without those of the connection, in lower case: HTTP/1.1 does not distinguish case.
fn names(head: &str) -> Vec<String> {
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
        .filter(|name| name != "connection")
        .collect();
    names.sort_unstable();
    names
}

/// Neither is the body cut to it, nor does the server wait for bytes that do not come.
pub fn a_content_length_other_than_the_bodys_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    for length in ["2", "9", "many"] {
        let transport = plain(make);
        let request = http::Request::post(server.uri("/")).header("content-length", length);
        let request = request.body(RequestBody::from("12345")).unwrap();
        let failure = transport.send(request, soon(&transport)).err().unwrap();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Request,
            "{length}: {failure:?}"
        );
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    }
    let transport = plain(make);
    let request = http::Request::post(server.uri("/")).header("content-length", "5");
    let request = request.body(RequestBody::from("12345")).unwrap();
    let response = transport.send(request, soon(&transport)).unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(server.connections(), 1);
}
