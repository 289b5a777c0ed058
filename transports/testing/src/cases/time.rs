//! Time: which limit holds when.

use super::support::{OK, SHORT, Tls, get, in_time, limit, plain, request, settle, soon, text};
use crate::{Peer, Server};
use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    AttemptDeadlines, Phase, RequestDelivery, ResponseBody, Time, Transport, TransportErrorKind,
};

/// On the same connection, whichever of two is the longer one.
pub fn a_limit_holds_for_its_request_alone<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("GET /slow") {
                thread::sleep(SHORT * 2);
            } else if request.head.starts_with("GET /never") {
                peer.sees_close();
            } else {
                settle();
            }
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let transport = plain(make);
    let hasty = |transport: &T| {
        let mut limits = soon(transport);
        limits.headers = transport.now().saturating_add(SHORT);
        limits
    };
    for (path, hurry) in [("/", true), ("/slow", false), ("/", false), ("/", true)] {
        let limits = if hurry {
            hasty(&transport)
        } else {
            soon(&transport)
        };
        let response = transport.send(request(&server, path), limits).unwrap();
        assert_eq!(text(&transport, response), "hi");
    }
    let started = Instant::now();
    let failure = transport.send(request(&server, "/never"), hasty(&transport));
    let kind = failure.err().unwrap().kind();
    assert_eq!(kind, TransportErrorKind::Timeout(Phase::Headers));
    in_time(started);
    assert_eq!(server.connections(), 1);
}

pub fn silent_server_hits_the_header_timeout<T: Transport>(make: fn(Tls) -> T) {
    let server = silent();
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.headers = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Headers,
        RequestDelivery::MaybeProcessed,
    );
}

pub fn total_timeout_limits_the_headers<T: Transport>(make: fn(Tls) -> T) {
    let server = silent();
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.total = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Headers,
        RequestDelivery::MaybeProcessed,
    );
}

pub fn headers_may_take_longer_than_a_pause_in_the_body<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        thread::sleep(SHORT * 2);
        peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        peer.request();
    });
    let transport = plain(make);
    let limits = soon(&transport);
    let mut response = transport.send(request(&server, "/"), limits).unwrap();
    let pause = transport.now().saturating_add(SHORT / 2);
    assert_eq!(response.body_mut().chunk(pause).unwrap().unwrap(), "hi");
}

pub fn pause_in_the_body_hits_the_deadline_and_is_not_the_end<T: Transport>(make: fn(Tls) -> T) {
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(format!("{OK}content-length: 8\r\n\r\nhalf").as_bytes());
        wait.lock().unwrap().recv().unwrap();
        peer.write(b"rest");
        peer.request();
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let body = response.body_mut();
    assert_eq!(body.chunk(limit(&transport)).unwrap().unwrap(), "half");
    for _ in 0..2 {
        let started = Instant::now();
        let failure = body
            .chunk(transport.now().saturating_add(SHORT))
            .unwrap_err();
        assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Body));
        assert_eq!(failure.delivery(), RequestDelivery::Answered);
        in_time(started);
    }
    go.send(()).unwrap();
    assert_eq!(body.chunk(limit(&transport)).unwrap().unwrap(), "rest");
    assert_eq!(body.chunk(limit(&transport)).unwrap(), None);
}

pub fn dripping_headers_hit_the_header_timeout<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}x-long: ").as_bytes());
        drip(peer, b"y");
    });
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.headers = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Headers,
        RequestDelivery::MaybeProcessed,
    );
}

/// Bytes that are no data do not put the deadline off.
pub fn a_dripping_chunk_runs_into_the_deadline<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n1;").as_bytes());
        drip(peer, b"x");
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let started = Instant::now();
    let deadline = transport.now().saturating_add(SHORT);
    let failure = response.body_mut().chunk(deadline).unwrap_err();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Body));
    in_time(started);
    let started = Instant::now();
    drop(response);
    assert!(started.elapsed() < SHORT);
}

pub fn a_deadline_in_the_past_still_reads_what_is_there<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    settle();
    let chunk = response.body_mut().chunk(Time::ZERO).unwrap();
    assert_eq!(chunk.unwrap(), "hi");
}

pub fn no_limit_is_no_limit<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for limits in [AttemptDeadlines::NONE, {
        let mut limits = AttemptDeadlines::NONE;
        limits.connect = Time::from_nanos(u64::MAX - 1);
        limits.headers = Time::from_nanos(u64::MAX - 1);
        limits.total = Time::from_nanos(u64::MAX - 1);
        limits
    }] {
        let mut response = transport.send(request(&server, "/"), limits).unwrap();
        let chunk = response.body_mut().chunk(limits.total).unwrap();
        assert_eq!(chunk.unwrap(), "hi");
        assert_eq!(response.body_mut().chunk(Time::MAX).unwrap(), None);
    }
    transport.sleep_until(Time::ZERO);
}

/// Faster than a transport may round its waits.
fn drip(peer: &mut Peer, bytes: &[u8]) {
    for _ in 0..4_000 {
        peer.write(bytes);
        thread::sleep(Duration::from_micros(250));
    }
}

fn silent() -> Server {
    Server::new(|peer| {
        peer.request();
        peer.sees_close();
    })
}

fn late<T: Transport>(
    transport: &T,
    server: &Server,
    limits: AttemptDeadlines,
    phase: Phase,
    delivery: RequestDelivery,
) {
    let started = Instant::now();
    let failure = transport.send(request(server, "/"), limits).err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(phase));
    assert_eq!(failure.delivery(), delivery);
    in_time(started);
}
