//! Streamed request bodies.

use super::support::{OK, SHORT, Tls, in_time, plain, request, settle, soon, text};
use crate::{
    Server,
    server::header,
    source::{
        SourceStep::{self, Fail, Pause, Piece, Stall},
        TestSource, byte_at,
    },
};
use std::{
    iter,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    AttemptDeadlines, Phase, RequestBody, RequestDelivery, Transport, TransportError,
    TransportErrorKind,
};

const MIB: usize = 1 << 20;

fn upload<T: Transport>(
    transport: &T,
    server: &Server,
    body: RequestBody,
    limits: AttemptDeadlines,
) -> Result<http::Response<T::Body>, TransportError> {
    let request = http::Request::post(server.uri("/upload")).body(body);
    transport.send(request.unwrap(), limits)
}

/// Tells for each request whether all of its body came.
fn receiving() -> (Server, mpsc::Receiver<(String, Option<u64>)>) {
    let (sender, received) = mpsc::channel();
    let server = Server::new(move |peer| {
        while let Some(head) = peer.head() {
            let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            let mut at = 0;
            while at < length {
                let part = usize::try_from(length - at).unwrap().min(64 * 1024);
                let Some(bytes) = peer.read(part) else { break };
                let is_right = |(offset, byte): (u64, &u8)| byte_at(offset) == *byte;
                assert!((at..).zip(&bytes).all(is_right), "other bytes after {at}");
                at += part as u64;
            }
            let whole = (at == length).then_some(length);
            sender.send((head, whole)).unwrap();
            if whole.is_none() {
                return;
            }
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    (server, received)
}

/// The length of the next body that arrived whole. A client that gives up early may not even send the head.
fn arrived(received: &mpsc::Receiver<(String, Option<u64>)>) -> Option<u64> {
    received.recv_timeout(SHORT * 4).ok()?.1
}

pub fn a_streamed_body_arrives_with_its_length<T: Transport>(make: fn(Tls) -> T) {
    let (server, received) = receiving();
    let transport = plain(make);
    let pause = Pause(Duration::from_millis(20));
    let source = TestSource::new([
        Piece(1),
        pause,
        Piece(100_000),
        Piece(0),
        pause,
        Piece(2 * MIB),
        Piece(3),
        pause,
    ]);
    // Each request starts the source again, on the same connection where there is one to keep.
    for _ in 0..2 {
        let response = upload(&transport, &server, source.body(), soon(&transport)).unwrap();
        assert_eq!(text(&transport, response), "hi");
        let (head, whole) = received.recv().unwrap();
        assert_eq!(whole, Some(2 * MIB as u64 + 100_004));
        assert_eq!(header(&head, "transfer-encoding"), None, "{head}");
    }
    // An empty one needs no source.
    let empty = TestSource::new([]).body();
    let response = upload(&transport, &server, empty, soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "hi");
    let head = received.recv().unwrap().0;
    assert_eq!(header(&head, "content-length"), Some("0"));
}

/// The server never takes a part for the whole.
pub fn a_source_of_another_length_is_no_request<T: Transport>(make: fn(Tls) -> T) {
    let (server, received) = receiving();
    for (length, problem) in [
        (300_001, "ended after 300000 of the announced 300001 bytes"),
        (299_999, "gave more than the announced 299999 bytes"),
        (200_000, "gave more than the announced 200000 bytes"),
    ] {
        let transport = plain(make);
        let source = TestSource::new([Piece(100_000); 3]);
        let failure = upload(
            &transport,
            &server,
            source.body_of(length),
            soon(&transport),
        );
        is_of_the_source(&failure.err().unwrap(), problem);
        assert_eq!(arrived(&received), None, "{problem}");
    }
}

pub fn a_failing_source_is_named<T: Transport>(make: fn(Tls) -> T) {
    let (server, received) = receiving();
    let transport = plain(make);
    let pause = Pause(Duration::from_millis(20));
    let source = TestSource::new([Piece(100_000), pause, Fail("the disk is gone")]);
    let failure = upload(
        &transport,
        &server,
        source.body_of(200_000),
        soon(&transport),
    );
    is_of_the_source(
        &failure.err().unwrap(),
        "failed after 100000 of 200000 bytes: the disk is gone",
    );
    assert_eq!(arrived(&received), None);
}

fn is_of_the_source(failure: &TransportError, problem: &str) {
    assert_eq!(
        failure.kind(),
        TransportErrorKind::RequestBody,
        "{failure:?}"
    );
    assert_ne!(failure.delivery(), RequestDelivery::Answered);
    assert!(failure.to_string().contains(problem), "{failure}");
}

/// A server that has seen enough answers, and neither reads on nor closes.
pub fn an_early_response_ends_the_upload<T: Transport>(make: fn(Tls) -> T) {
    let (closed, seen) = mpsc::channel();
    let closed = Mutex::new(closed);
    let server = Server::new(move |peer| {
        let Some(head) = peer.head() else { return };
        if head.starts_with("POST") {
            peer.read(10_000);
            peer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
            let is_closed = peer.sees_close();
            closed.lock().unwrap().send(is_closed).unwrap();
        } else {
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let fast = iter::repeat_n(Piece(64 * 1024), 2000);
    let slow = iter::repeat_n([Piece(20_000), Pause(Duration::from_millis(10))], 2000).flatten();
    let slow: Vec<SourceStep> = slow.collect();
    for steps in [fast.collect(), slow] {
        let transport = plain(make);
        let source = TestSource::new(steps);
        let body = source.body();
        let length = body.len();
        let response = upload(&transport, &server, body, soon(&transport)).unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(text(&transport, response), "big");
        assert!(seen.recv().unwrap(), "the connection was left open");
        settle();
        let given = source.given();
        assert!(given < length / 2, "{given} of {length} bytes were read");
        let response = transport.send(request(&server, "/"), soon(&transport));
        assert_eq!(text(&transport, response.unwrap()), "hi");
    }
    assert_eq!(server.connections(), 4);
}

/// The source is read as fast as the server reads.
pub fn a_slow_server_slows_the_source<T: Transport>(make: fn(Tls) -> T) {
    let source = TestSource::new([Piece(64 * 1024); 512]);
    let watched = source.clone();
    let (sender, most) = mpsc::channel();
    let server = Server::new(move |peer| {
        let Some(head) = peer.head() else { return };
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        thread::sleep(SHORT * 2);
        sender.send(watched.given()).unwrap();
        peer.read(length).unwrap();
        peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
    });
    let transport = plain(make);
    let response = upload(&transport, &server, source.body(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "hi");
    // Most of it is in the sockets' buffers.
    let most = most.recv().unwrap();
    assert!(most < 20 * MIB as u64, "{most} bytes were read at once");
    assert_eq!(source.given(), 32 * MIB as u64);
}

pub fn an_upload_may_take_longer_than_its_headers<T: Transport>(make: fn(Tls) -> T) {
    let (server, received) = receiving();
    let transport = plain(make);
    let steps = iter::repeat_n([Piece(1000), Pause(SHORT / 2)], 8).flatten();
    let mut limits = soon(&transport);
    limits.headers = transport.now().saturating_add(SHORT);
    limits.write_pause = SHORT * 4;
    limits.response_wait = SHORT * 4;
    let source = TestSource::new(steps);
    let response = upload(&transport, &server, source.body(), limits).unwrap();
    assert_eq!(text(&transport, response), "hi");
    assert_eq!(received.recv().unwrap().1, Some(8000));
}

pub fn an_upload_that_stops_hits_its_limit<T: Transport>(make: fn(Tls) -> T) {
    // Neither a server that reads nothing nor a source that gives nothing is progress.
    let unread = Server::new(|peer| {
        peer.head();
        thread::sleep(SHORT * 8);
    });
    let (reading, _received) = receiving();
    let endless = [Piece(64 * 1024); 1024];
    for (server, steps) in [
        (&unread, endless.to_vec()),
        (&reading, vec![Piece(1000), Stall, Piece(1000)]),
    ] {
        let transport = plain(make);
        let mut limits = soon(&transport);
        limits.write_pause = SHORT;
        let started = Instant::now();
        let failure = upload(&transport, server, TestSource::new(steps).body(), limits);
        let failure = failure.err().unwrap();
        let kind = TransportErrorKind::Timeout(Phase::RequestBody);
        assert_eq!(failure.kind(), kind, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::MaybeProcessed);
        in_time(started);
    }
}

pub fn a_silent_server_after_an_upload_hits_the_response_limit<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.sees_close();
    });
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.response_wait = SHORT;
    let started = Instant::now();
    let source = TestSource::new([Piece(1000), Piece(1000)]);
    let failure = upload(&transport, &server, source.body(), limits);
    let failure = failure.err().unwrap();
    let kind = TransportErrorKind::Timeout(Phase::Headers);
    assert_eq!(failure.kind(), kind, "{failure:?}");
    in_time(started);
}
