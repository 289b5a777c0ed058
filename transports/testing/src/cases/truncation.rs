//! Failures after the request: it may have been processed, or the answer is cut.

use super::support::{OK, Tls, is_broken, plain, refused, settle, soon, text};
use crate::Server;
use bytes::Bytes;
use http::StatusCode;
use unifiedai_transport::{RequestBody, Transport, TransportErrorKind};

pub fn connection_closed_before_the_response_may_be_processed<T: Transport>(make: fn(Tls) -> T) {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let server = Server::closing(answer);
        refused(make, &server, TransportErrorKind::Reset);
    }
}

pub fn a_cut_length_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}content-length: 9\r\n\r\nhalf"));
    is_broken(make, &server, "half", TransportErrorKind::Truncated);
}

pub fn a_cut_chunk_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}transfer-encoding: chunked\r\n\r\n9\r\nhalf"));
    is_broken(make, &server, "half", TransportErrorKind::Truncated);
}

pub fn a_cut_in_the_framing_of_chunks_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    for cut in ["\r", "\r\n5", "\r\n5\r", "\r\n0", "\r\n0\r\nx-a: b"] {
        let server = Server::closing(format!(
            "{OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf{cut}"
        ));
        is_broken(make, &server, "half", TransportErrorKind::Truncated);
    }
}

pub fn a_missing_last_chunk_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    ));
    is_broken(make, &server, "half", TransportErrorKind::Truncated);
}

pub fn refused_upload_reports_its_status<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.head();
        peer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig");
        settle();
    });
    let transport = plain(make);
    let body = Bytes::from(vec![b'x'; 16 << 20]);
    let request = http::Request::post(server.uri("/"))
        .body(RequestBody::from(body))
        .unwrap();
    let response = transport.send(request, soon(&transport)).unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// A server that has read enough answers and closes while the request is still being written, which resets the connection.
pub fn early_response_wins_over_a_broken_request<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.head();
        peer.read(100_000);
        peer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig");
    });
    let transport = plain(make);
    let body = Bytes::from(vec![b'x'; 16 << 20]);
    for round in 0..15 {
        let request = http::Request::post(server.uri("/")).body(RequestBody::from(body.clone()));
        let response = transport.send(request.unwrap(), soon(&transport));
        let response = response.unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(text(&transport, response), "big");
    }
}
