//! Failures before the request: it may be sent again.

use super::support::{SHORT, Tls, failure, in_time, mentions_once, plain, soon};
use std::{net::TcpListener, time::Instant};
use unifiedai_transport::{Phase, RequestBody, RequestDelivery, Transport, TransportErrorKind};

pub fn a_closed_port_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    closed_port(make, "http");
}

pub fn a_closed_https_port_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    closed_port(make, "https");
}

fn closed_port<T: Transport>(make: fn(Tls) -> T, scheme: &str) {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failure = failure(&plain(make), &format!("{scheme}://{closed}/"));
    assert_eq!(failure.kind(), TransportErrorKind::Connect);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

pub fn an_unknown_name_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let failure = failure(&plain(make), "http://no-such-host.invalid/");
    assert_eq!(failure.kind(), TransportErrorKind::Dns);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    assert!(
        failure.to_string().contains("no-such-host.invalid"),
        "{failure}"
    );
}

pub fn a_uri_without_a_host_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    for uri in ["/only/a/path", "ftp://127.0.0.1/"] {
        let failure = failure(&plain(make), uri);
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Request,
            "{uri}: {failure:?}"
        );
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    }
}

pub fn a_handshake_that_hangs_runs_into_the_connect_limit<T: Transport>(make: fn(Tls) -> T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.connect = transport.now().saturating_add(SHORT);
    let started = Instant::now();
    let request = http::Request::get(uri)
        .body(RequestBody::default())
        .unwrap();
    let failure = transport.send(request, limits).err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Connect));
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    in_time(started);
}

pub fn no_time_to_connect_is_a_limit<T: Transport>(make: fn(Tls) -> T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.connect = transport.now();
    let started = Instant::now();
    let request = http::Request::get(uri)
        .body(RequestBody::default())
        .unwrap();
    let failure = transport.send(request, limits).err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Connect));
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    assert!(started.elapsed() < SHORT);
}

pub fn a_closed_port_is_named_with_the_cause<T: Transport>(make: fn(Tls) -> T) {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failure = failure(&plain(make), &format!("http://{closed}/"));
    mentions_once(&failure, &[&closed.to_string(), "refused"]);
}

pub fn a_silent_port_is_named<T: Transport>(make: fn(Tls) -> T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.connect = transport.now().saturating_add(SHORT);
    let request = http::Request::get(format!("https://{address}/")).body(RequestBody::default());
    let failure = transport.send(request.unwrap(), limits).err().unwrap();
    mentions_once(&failure, &[&address.to_string(), "in time"]);
}
