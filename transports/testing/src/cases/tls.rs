//! TLS.

use super::support::{OK, Tls, failure, get, get_text, mentions_once, plain, read, secure, settle};
use crate::{Authority, Server};
use unifiedai_transport::{RequestDelivery, Transport, TransportErrorKind};

pub fn tls_to_a_trusted_server_works<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        while peer.request().is_some() {
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    assert_eq!(get_text(&make(authority.client()), &server), "hi");
}

pub fn tls_sessions_are_used_again<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        while peer.request().is_some() {
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let transport = make(authority.client());
    for _ in 0..5 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn an_untrusted_certificate_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = secure(&Authority::new("127.0.0.1"), |peer| drop(peer.request()));
    let failure = failure(&plain(make), &server.uri("/"));
    assert_eq!(failure.kind(), TransportErrorKind::Tls);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

pub fn a_certificate_for_another_host_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("other.example");
    let server = secure(&authority, |peer| drop(peer.request()));
    let failure = failure(&make(authority.client()), &server.uri("/"));
    assert_eq!(failure.kind(), TransportErrorKind::Tls);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

pub fn an_expired_certificate_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::expired("127.0.0.1");
    let server = secure(&authority, |peer| drop(peer.request()));
    let failure = failure(&make(authority.client()), &server.uri("/"));
    assert_eq!(failure.kind(), TransportErrorKind::Tls);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

/// Servers that speak TLS 1.0 or 1.1 alone refuse newer hellos with an alert.
pub fn an_old_version_of_tls_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.write(PROTOCOL_VERSION_ALERT);
        peer.sees_close();
    });
    let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
    assert_eq!(failure.kind(), TransportErrorKind::Tls);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

/// A record of TLS 1.0: fatal, `protocol_version` (RFC 5246, 7.2).
const PROTOCOL_VERSION_ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

pub fn plain_text_instead_of_tls_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.sees_close();
    });
    let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
    assert_eq!(failure.kind(), TransportErrorKind::Tls);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

pub fn tls_closed_without_notice_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    for framing in [
        "connection: close",
        "content-length: 9",
        "transfer-encoding: chunked",
    ] {
        let half = if framing.ends_with("chunked") {
            "4\r\nhalf\r\n"
        } else {
            "half"
        };
        let answer = format!("{OK}{framing}\r\n\r\n{half}");
        let server = secure(&authority, move |peer| {
            peer.request();
            peer.write(answer.as_bytes());
        });
        let transport = make(authority.client());
        let (text, end) = read(&transport, get(&transport, &server).unwrap());
        assert_eq!(text, "half");
        let failure = end.unwrap_err();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Truncated,
            "{framing}: {failure:?}"
        );
        assert_eq!(failure.delivery(), RequestDelivery::Answered);
    }
}

pub fn tls_closed_with_notice_ends_a_body<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        peer.request();
        peer.write(format!("{OK}connection: close\r\n\r\nuntil the end").as_bytes());
        peer.close_notify();
    });
    assert_eq!(
        get_text(&make(authority.client()), &server),
        "until the end"
    );
}

pub fn tls_closed_without_notice_after_a_framed_end_is_fine<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        peer.request();
        peer.write(format!("{OK}content-length: 5\r\n\r\nwhole").as_bytes());
    });
    let transport = make(authority.client());
    for _ in 0..2 {
        assert_eq!(get_text(&transport, &server), "whole");
        settle();
    }
}

pub fn the_reason_why_tls_fails_is_named<T: Transport>(make: fn(Tls) -> T) {
    let trusted = Authority::new("127.0.0.1");
    let other_name = Authority::new("other.example");
    let expired = Authority::expired("127.0.0.1");
    let authority = Authority::ca("127.0.0.1");
    let cases = [
        (
            &trusted,
            Authority::new("nobody.example").client(),
            "unknown issuer",
        ),
        (&expired, expired.client(), "expired"),
        (&other_name, other_name.client(), "wrong name"),
        (&authority, authority.client(), "authority"),
    ];
    for (shown, client, reason) in cases {
        let server = secure(shown, |peer| drop(peer.request()));
        let failure = failure(&make(client), &server.uri("/"));
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Tls,
            "{reason}: {failure:?}"
        );
        mentions_once(&failure, &[&server.address().to_string(), reason]);
    }
    for (answer, reason) in [
        (PROTOCOL_VERSION_ALERT, "old version of TLS"),
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "http://"),
    ] {
        let server = Server::new(move |peer| {
            peer.write(answer);
            peer.sees_close();
        });
        let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Tls,
            "{reason}: {failure:?}"
        );
        mentions_once(&failure, &[&server.address().to_string(), reason]);
    }
}

/// As a server does that is about to stop.
pub fn a_handshake_that_is_cut_is_no_connection<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|_| {});
    let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
    assert_eq!(failure.kind(), TransportErrorKind::Connect, "{failure:?}");
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    mentions_once(&failure, &[&server.address().to_string()]);
}
