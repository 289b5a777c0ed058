//! What errors say: host and port and cause, each once.

use super::{error_contains, plain};
use crate::{Server, cases::failure};
use std::net::TcpListener;
use unifiedai_http::Options;
use unifiedai_transport::{RequestDelivery, Transport, TransportErrorKind};

pub fn connect_errors_name_address_and_cause<T: Transport>(make: fn(Options) -> T) {
    let transport = make(plain());
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for scheme in ["http", "https"] {
        let failure = failure(&transport, &format!("{scheme}://{closed}/"));
        assert_eq!(failure.kind(), TransportErrorKind::Connect);
        error_contains(&failure, &[&closed.to_string(), "refused"]);
    }
    let unknown = failure(&transport, "https://no-such-host.invalid/");
    assert_eq!(unknown.kind(), TransportErrorKind::Dns);
    error_contains(&unknown, &["no-such-host.invalid:443", "resolved"]);
    // A server that closes during the handshake may be starting: it may be tried again.
    let closing = Server::new(|peer| {
        peer.some();
    });
    let cut = failure(&transport, &format!("https://{}/", closing.address()));
    assert_eq!(cut.kind(), TransportErrorKind::Connect, "{cut:?}");
    assert_eq!(cut.delivery(), RequestDelivery::NotSent);
    error_contains(
        &cut,
        &[
            &closing.address().to_string(),
            "connection closed",
            "handshake",
        ],
    );
}

/// It will not pass, and is not tried again.
pub fn plain_http_on_an_https_port_is_no_failure_to_connect<T: Transport>(make: fn(Options) -> T) {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "<!DOCTYPE HTML><html>Bad request</html>",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let server = Server::new(move |peer| {
            peer.some();
            peer.write(answer.as_bytes());
            peer.sees_close();
        });
        let failure = failure(&make(plain()), &format!("https://{}/", server.address()));
        assert_eq!(failure.kind(), TransportErrorKind::Tls, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        error_contains(&failure, &[&server.address().to_string(), "plain HTTP"]);
        assert_eq!(server.connections(), 1);
    }
}

pub fn what_is_not_http_is_named<T: Transport>(make: fn(Options) -> T) {
    let server = Server::closing("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let failure = failure(&make(plain()), &server.uri("/"));
    assert_eq!(failure.kind(), TransportErrorKind::Protocol, "{failure:?}");
    error_contains(&failure, &[&server.address().to_string(), "not valid HTTP"]);
}
