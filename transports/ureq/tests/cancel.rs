//! Calls that another thread cancels, wherever they wait.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests own threads, sockets and clocks"
)]

use bytes::Bytes;
use std::{
    cell::RefCell,
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    AttemptDeadlines, CancelHandle, RequestBody, RequestDelivery, ResponseBody as _, Time,
    Transport as _, TransportError, TransportErrorKind,
};
use unifiedai_transport_testing::{Authority, Server, SourceStep, TestSource};
use unifiedai_ureq::{Body, Options, UreqTransport, proxy::Proxies};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn agent() -> UreqTransport {
    UreqTransport::with_options(Options::new().proxies(Proxies::none())).unwrap()
}

fn request(uri: &str, handle: &CancelHandle) -> http::Request<RequestBody> {
    let mut request = http::Request::post(uri)
        .body(RequestBody::from("{}"))
        .unwrap();
    request.extensions_mut().insert(handle.clone());
    request
}

/// Cancels a moment from now, and gives how long the work took from then on.
fn cancelled<T>(handle: &CancelHandle, work: impl FnOnce() -> T) -> (T, Duration) {
    let handle = handle.clone();
    let cancelling = thread::spawn(move || {
        thread::sleep(Duration::from_millis(150));
        let at = Instant::now();
        handle.cancel();
        at
    });
    let done = work();
    let over = Instant::now();
    (
        done,
        over.saturating_duration_since(cancelling.join().unwrap()),
    )
}

fn fails(uri: &str, delivery: RequestDelivery) {
    let handle = CancelHandle::new();
    let send = || agent().send(request(uri, &handle), AttemptDeadlines::NONE);
    let (sent, took) = cancelled(&handle, send);
    let failure = sent.err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Cancelled, "{failure:?}");
    assert_eq!(failure.delivery(), delivery, "{failure:?}");
    assert!(took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn cancel_ends_a_call_that_waits_for_headers() {
    let authority = Authority::new("127.0.0.1");
    let silent = Server::new(|peer| {
        peer.request();
        peer.sees_close();
    });
    fails(&silent.uri("/"), RequestDelivery::MaybeProcessed);
    let tls = Server::tls(authority.server(&[]), |peer| {
        peer.request();
        peer.sees_close();
    });
    let handle = CancelHandle::new();
    let agent = UreqTransport::with_tls(authority.client());
    let send = || agent.send(request(&tls.uri("/"), &handle), AttemptDeadlines::NONE);
    let (sent, took) = cancelled(&handle, send);
    assert_eq!(sent.err().unwrap().kind(), TransportErrorKind::Cancelled);
    assert!(took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn an_upload_ends_where_the_server_reads_nothing_and_where_the_source_gives_nothing() {
    let server = Server::new(|peer| {
        peer.head();
        thread::sleep(Duration::from_millis(600));
    });
    for steps in [
        vec![SourceStep::Piece(64 * 1024); 1024],
        vec![
            SourceStep::Piece(10),
            SourceStep::Stall,
            SourceStep::Piece(1),
        ],
    ] {
        for agent in [
            agent(),
            UreqTransport::from(ureq::Agent::new_with_defaults()),
        ] {
            let handle = CancelHandle::new();
            let body = TestSource::new(steps.clone()).body();
            let request = request(&server.uri("/"), &handle).map(|_| body);
            let send = || agent.send(request, AttemptDeadlines::NONE);
            let (sent, took) = cancelled(&handle, send);
            let failure = sent.err().unwrap();
            assert_eq!(failure.kind(), TransportErrorKind::Cancelled, "{failure:?}");
            assert!(took < Duration::from_millis(300), "{took:?}");
        }
    }
}

#[test]
fn a_call_that_connects_ends() {
    // Never accepted, so that the handshake waits.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    fails(&format!("https://{address}/"), RequestDelivery::NotSent);
}

fn read(body: &mut Body) -> Result<Option<Bytes>, TransportError> {
    body.chunk(Time::MAX)
}

#[test]
fn a_body_that_waits_ends_however_it_is_framed() {
    for framing in [
        "content-length: 9",
        "transfer-encoding: chunked",
        "connection: close",
    ] {
        let half = if framing.ends_with("chunked") {
            "4\r\nhalf\r\n"
        } else {
            "half"
        };
        let answer = format!("{OK}{framing}\r\n\r\n{half}");
        let server = Server::new(move |peer| {
            peer.request();
            peer.write(answer.as_bytes());
            peer.sees_close();
        });
        let handle = CancelHandle::new();
        let response = agent().send(request(&server.uri("/"), &handle), AttemptDeadlines::NONE);
        let mut body = response.unwrap().into_body();
        assert_eq!(read(&mut body).unwrap().unwrap(), "half");
        let (end, took) = cancelled(&handle, || read(&mut body));
        let failure = end.unwrap_err();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Cancelled,
            "{framing}: {failure:?}"
        );
        assert_eq!(failure.delivery(), RequestDelivery::Answered);
        assert!(took < Duration::from_millis(300), "{took:?}");
    }
}

#[test]
fn cancelled_handle_prevents_sending() {
    let server = Server::answering(format!("{OK}content-length: 0\r\n\r\n"));
    let handle = CancelHandle::new();
    handle.cancel();
    let failure = agent()
        .send(request(&server.uri("/"), &handle), AttemptDeadlines::NONE)
        .err()
        .unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Cancelled);
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    assert_eq!(server.connections(), 0);
}

/// A connection that a call has given back is not its own any more.
#[test]
fn the_connections_of_others_stay_open() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let server = Server::new(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("POST /slow") {
                wait.lock().unwrap().recv().unwrap();
            }
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let agent = agent();
    let handle = CancelHandle::new();
    let response = agent.send(request(&server.uri("/"), &handle), AttemptDeadlines::NONE);
    let mut first = response.unwrap().into_body();
    while read(&mut first).unwrap().is_some() {}
    let other = CancelHandle::new();
    let (sent, _) = cancelled(&handle, || {
        let released = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            go.send(()).unwrap();
        });
        let sent = agent.send(
            request(&server.uri("/slow"), &other),
            AttemptDeadlines::NONE,
        );
        released.join().unwrap();
        sent
    });
    let mut body = sent.unwrap().into_body();
    assert_eq!(read(&mut body).unwrap().unwrap(), "hi");
    assert_eq!(server.connections(), 1);
    drop(first);
}

/// As what a thread holds is dropped: in the opposite order of its first use.
#[test]
fn a_body_may_be_dropped_when_its_thread_ends() {
    thread_local! {
        static HELD: RefCell<Option<Body>> = const { RefCell::new(None) };
    }
    let answer = format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    let server = Server::answering(answer);
    let agent = agent();
    for _ in 0..2 {
        let (agent, uri) = (agent.clone(), server.uri("/"));
        let thread = thread::spawn(move || {
            HELD.with_borrow_mut(|held| *held = None);
            let response = agent.send(request(&uri, &CancelHandle::new()), AttemptDeadlines::NONE);
            let mut body = response.unwrap().into_body();
            assert_eq!(read(&mut body).unwrap().unwrap(), "hi");
            HELD.with_borrow_mut(|held| *held = Some(body));
        });
        thread.join().unwrap();
    }
}
