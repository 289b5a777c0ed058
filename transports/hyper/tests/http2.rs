//! HTTP/2, negotiated by ALPN with a server that writes its frames by hand.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

use bytes::Bytes;
use std::{future::poll_fn, sync::mpsc, time::Duration};
use unifiedai_hyper::{Body, HyperTransport, Options};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery,
    TransportError, TransportErrorKind,
};
use unifiedai_transport_testing::{Authority, Peer, Server, SourceStep, TestSource};

#[tokio::test]
async fn requests_share_a_connection() {
    let (server, client) = serving(|peer| {
        for stream in [1, 3, 5] {
            assert_eq!(next_request(peer), Some(stream));
            head(peer, stream);
            frame(peer, DATA, END_STREAM, stream, b"hi");
        }
        next_request(peer);
    });
    for _ in 0..3 {
        let response = send(&client, &server).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        let mut body = response.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "hi");
        assert_eq!(chunk(&mut body).await.unwrap(), None);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn delivery_is_read_from_how_a_stream_was_refused() {
    let cases: [(u8, u32, u32, RequestDelivery); 4] = [
        (RST_STREAM, 1, REFUSED_STREAM, RequestDelivery::NotSent),
        (
            RST_STREAM,
            1,
            INTERNAL_ERROR,
            RequestDelivery::MaybeProcessed,
        ),
        (GOAWAY, 0, NO_ERROR, RequestDelivery::NotSent),
        (
            GOAWAY,
            0,
            ENHANCE_YOUR_CALM,
            RequestDelivery::MaybeProcessed,
        ),
    ];
    for (kind, stream, code, delivery) in cases {
        let (server, client) = serving(move |peer| {
            next_request(peer);
            let mut payload = Vec::new();
            if kind == GOAWAY {
                payload.extend(0_u32.to_be_bytes());
            }
            payload.extend(code.to_be_bytes());
            frame(peer, kind, 0, stream, &payload);
            next_request(peer);
        });
        let failure = send(&client, &server).await.err().unwrap();
        assert_eq!(failure.kind(), TransportErrorKind::Reset, "{failure:?}");
        assert_eq!(failure.delivery(), delivery, "{kind} {code}: {failure:?}");
        assert_eq!(server.connections(), 1, "the request was repeated");
    }
}

#[tokio::test]
async fn connection_closed_before_the_response_may_be_processed() {
    let (server, client) = serving(|peer| {
        next_request(peer);
    });
    let failure = send(&client, &server).await.err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Reset, "{failure:?}");
    assert_eq!(failure.delivery(), RequestDelivery::MaybeProcessed);
}

#[tokio::test]
async fn a_body_that_is_reset_or_cut_is_no_end() {
    for reset in [true, false] {
        let (server, client) = serving(move |peer| {
            next_request(peer);
            head(peer, 1);
            frame(peer, DATA, 0, 1, b"half");
            std::thread::sleep(Duration::from_millis(100));
            if reset {
                frame(peer, RST_STREAM, 0, 1, &INTERNAL_ERROR.to_be_bytes());
                next_request(peer);
            } else {
                peer.linger();
            }
        });
        let mut body = send(&client, &server).await.unwrap().into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "half");
        let failure = chunk(&mut body).await.unwrap_err();
        let kind = if reset {
            TransportErrorKind::Reset
        } else {
            TransportErrorKind::Truncated
        };
        assert_eq!(failure.kind(), kind, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::Answered);
    }
}

#[tokio::test]
async fn a_dropped_body_resets_its_stream_and_keeps_the_connection() {
    let (reset, seen) = mpsc::channel();
    let (server, client) = serving(move |peer| {
        next_request(peer);
        head(peer, 1);
        frame(peer, DATA, 0, 1, b"half");
        while let Some((kind, stream)) = next_frame(peer) {
            match kind {
                RST_STREAM => reset.send(stream).unwrap(),
                HEADERS => {
                    head(peer, stream);
                    frame(peer, DATA, END_STREAM, stream, b"whole");
                }
                _ => {}
            }
        }
    });
    let mut body = send(&client, &server).await.unwrap().into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "half");
    drop(body);
    let mut body = send(&client, &server).await.unwrap().into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "whole");
    assert_eq!(seen.recv_timeout(Duration::from_secs(3)), Ok(1));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_hundred_cold_calls_open_one_connection() {
    let (server, client) = serving(|peer| {
        while let Some(stream) = next_request(peer) {
            head(peer, stream);
            frame(peer, DATA, END_STREAM, stream, b"hi");
        }
    });
    together(&client, &server, 100).await;
    assert_eq!(server.connections(), 1);
}

/// Of the calls that wait for the connection the first one is dropped.
#[tokio::test]
async fn a_call_that_is_dropped_while_it_connects_holds_no_other_up() {
    let (server, client) = serving(|peer| {
        while let Some(stream) = next_request(peer) {
            head(peer, stream);
            frame(peer, DATA, END_STREAM, stream, b"hi");
        }
    });
    let first = tokio::time::timeout(Duration::from_micros(1), send(&client, &server));
    let (first, _) = tokio::join!(first, together(&client, &server, 10));
    assert!(first.is_err());
    assert!(server.connections() <= 2);
}

/// One more call opens a second connection instead of waiting for the end of another one.
#[tokio::test]
async fn no_call_waits_for_a_stream() {
    let (open, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let mut one = MAX_CONCURRENT_STREAMS.to_be_bytes().to_vec();
    one.extend(1_u32.to_be_bytes());
    let (server, client) = serving_with(one, move |peer| {
        let stream = next_request(peer).unwrap();
        head(peer, stream);
        frame(peer, DATA, 0, stream, b"hi");
        let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(3));
        frame(peer, DATA, END_STREAM, stream, b"");
        next_request(peer);
    });
    let mut bodies = Vec::new();
    let sent = (0..3).map(|_| {
        let (client, uri) = (client.clone(), server.uri("/"));
        tokio::spawn(async move { send_to(&client, &uri).await })
    });
    for sent in sent.collect::<Vec<_>>() {
        let mut body = sent.await.unwrap().unwrap().into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "hi");
        bodies.push(body);
    }
    assert_eq!(server.connections(), 3);
    drop(open);
}

/// As nginx does after `keepalive_requests`.
#[tokio::test]
async fn a_connection_is_replaced_without_a_failed_call() {
    let (server, client) = serving(|peer| {
        let mut last = 0;
        for _ in 0..5 {
            let Some(stream) = next_request(peer) else {
                return;
            };
            last = stream;
            head(peer, stream);
            frame(peer, DATA, END_STREAM, stream, b"hi");
        }
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(NO_ERROR.to_be_bytes());
        frame(peer, GOAWAY, 0, 0, &payload);
        while next_request(peer).is_some() {}
    });
    for _ in 0..10 {
        together(&client, &server, 8).await;
    }
    assert!(server.connections() >= 16, "{}", server.connections());
}

#[tokio::test]
async fn a_silent_connection_is_not_given_to_the_next_call() {
    let (server, client) = serving(|peer| {
        let mut count = 0;
        while let Some(stream) = next_request(peer) {
            count += 1;
            if count == 2 {
                peer.sees_close();
                return;
            }
            head(peer, stream);
            frame(peer, DATA, END_STREAM, stream, b"hi");
        }
    });
    together(&client, &server, 1).await;
    let request = http::Request::get(server.uri("/")).body(RequestBody::default());
    let mut limits = AttemptDeadlines::NONE;
    limits.headers = client.now().saturating_add(Duration::from_millis(200));
    let failure = client.send(request.unwrap(), limits).await.err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Headers));
    together(&client, &server, 1).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn idle_connection_is_probed() {
    let (pinged, seen) = mpsc::channel();
    let handle = move |peer: &mut Peer| {
        while let Some((kind, stream)) = next_frame(peer) {
            match kind {
                HEADERS => {
                    head(peer, stream);
                    frame(peer, DATA, END_STREAM, stream, b"hi");
                }
                PING => pinged.send(()).unwrap(),
                _ => {}
            }
        }
    };
    let authority = Authority::new("127.0.0.1");
    let server = h2_server(&authority, Vec::new(), handle);
    let options = Options::new()
        .tls(authority.client())
        .http2_keep_alive(Some(Duration::from_millis(100)));
    let client = HyperTransport::with_options(options).unwrap();
    together(&client, &server, 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(seen.try_recv().is_ok());
}

/// Its age counts from its last stream's end.
#[tokio::test]
async fn a_connection_is_kept_while_it_is_used_and_closed_when_it_is_not() {
    let (closed, seen) = mpsc::channel();
    let handle = move |peer: &mut Peer| {
        let first = next_request(peer).unwrap();
        head(peer, first);
        frame(peer, DATA, 0, first, b"hi");
        std::thread::sleep(Duration::from_millis(700));
        frame(peer, DATA, END_STREAM, first, b"");
        let second = next_request(peer).unwrap();
        head(peer, second);
        frame(peer, DATA, END_STREAM, second, b"hi");
        closed.send(peer.sees_close()).unwrap();
    };
    let authority = Authority::new("127.0.0.1");
    let server = h2_server(&authority, Vec::new(), handle);
    let options = Options::new()
        .tls(authority.client())
        .idle_timeout(Duration::from_millis(300));
    let client = HyperTransport::with_options(options).unwrap();
    let mut body = send(&client, &server).await.unwrap().into_body();
    while chunk(&mut body).await.unwrap().is_some() {}
    tokio::time::sleep(Duration::from_millis(100)).await;
    together(&client, &server, 1).await;
    assert_eq!(server.connections(), 1);
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(seen.try_recv(), Ok(true));
}

/// So many calls at once, all of which are answered.
/// A window of HTTP/2, which the server opens for more.
const WINDOW: usize = 65_535;

#[tokio::test]
async fn an_upload_waits_for_the_server_to_open_its_window() {
    let source = TestSource::new([SourceStep::Piece(16 * 1024); 64]);
    let watched = source.clone();
    let (server, client) = serving(move |peer| {
        next_request(peer);
        let mut size = 0;
        while size < WINDOW {
            size += next_data(peer).unwrap().1;
        }
        std::thread::sleep(Duration::from_millis(100));
        // What is sent, what waits to be sent, and what the source has ready.
        let given = usize::try_from(watched.given()).unwrap();
        assert!(size == WINDOW && given <= WINDOW + 3 * 16 * 1024, "{given}");
        for stream in [0, 1] {
            frame(peer, WINDOW_UPDATE, 0, stream, &(2_u32 << 20).to_be_bytes());
        }
        let mut is_over = false;
        while !is_over {
            let part;
            (is_over, part) = next_data(peer).unwrap();
            size += part;
        }
        assert_eq!(size, 1 << 20);
        head(peer, 1);
        frame(peer, DATA, END_STREAM, 1, b"hi");
        next_request(peer);
    });
    let response = upload(&client, &server, source.body()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "hi");
    assert_eq!(source.given(), 1 << 20);
}

#[tokio::test]
async fn a_failing_source_resets_its_stream_alone() {
    let (server, client, resets) = resetting(false);
    let source = TestSource::new([
        SourceStep::Piece(1000),
        SourceStep::Fail("the disk is gone"),
    ]);
    let failure = upload(&client, &server, source.body_of(2000)).await;
    let failure = failure.err().unwrap();
    assert_eq!(
        failure.kind(),
        TransportErrorKind::RequestBody,
        "{failure:?}"
    );
    assert!(
        failure.to_string().contains("the disk is gone"),
        "{failure}"
    );
    assert_eq!(next_reset(&resets).await, Ok(1));
    together(&client, &server, 1).await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_resets_its_stream() {
    // Where the window is closed, and where the source gives nothing.
    for steps in [
        vec![SourceStep::Piece(16 * 1024); 64],
        vec![
            SourceStep::Piece(1000),
            SourceStep::Stall,
            SourceStep::Piece(1),
        ],
    ] {
        let (server, client, resets) = resetting(false);
        let body = TestSource::new(steps).body();
        let sending = upload(&client, &server, body);
        let late = tokio::time::timeout(Duration::from_millis(200), sending).await;
        assert!(late.is_err(), "it was not dropped");
        assert_eq!(next_reset(&resets).await, Ok(1));
        together(&client, &server, 1).await;
    }
}

#[tokio::test]
async fn an_early_response_ends_its_upload() {
    let (server, client, resets) = resetting(true);
    let pause = SourceStep::Pause(Duration::from_millis(20));
    let steps = [SourceStep::Piece(100), pause].repeat(200);
    let source = TestSource::new(steps);
    let response = upload(&client, &server, source.body()).await;
    let mut body = response.unwrap().into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "hi");
    assert_eq!(chunk(&mut body).await.unwrap(), None);
    assert_eq!(next_reset(&resets).await, Ok(1));
    assert!(source.given() < 10_000, "{}", source.given());
    together(&client, &server, 1).await;
}

/// A server that answers requests without a body, and uploads as soon as they begin or never. It tells of the streams that are
/// reset.
fn resetting(is_early: bool) -> (Server, HyperTransport, mpsc::Receiver<u32>) {
    let (reset, resets) = mpsc::channel();
    let (server, client) = serving(move |peer| {
        while let Some((kind, flags, stream, _)) = read_frame(peer) {
            match kind {
                HEADERS if is_early || flags & END_STREAM != 0 => {
                    head(peer, stream);
                    frame(peer, DATA, END_STREAM, stream, b"hi");
                }
                RST_STREAM => reset.send(stream).unwrap(),
                _ => {}
            }
        }
    });
    (server, client, resets)
}

/// While the client's tasks run on.
async fn next_reset(resets: &mpsc::Receiver<u32>) -> Result<u32, mpsc::TryRecvError> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    resets.try_recv()
}

async fn upload(
    client: &HyperTransport,
    server: &Server,
    body: RequestBody,
) -> Result<http::Response<Body>, TransportError> {
    let request = http::Request::post(server.uri("/")).body(body).unwrap();
    client.send(request, AttemptDeadlines::NONE).await
}

async fn together(client: &HyperTransport, server: &Server, count: usize) {
    let sent: Vec<_> = (0..count)
        .map(|_| {
            let (client, uri) = (client.clone(), server.uri("/"));
            tokio::spawn(async move {
                let mut body = send_to(&client, &uri).await?.into_body();
                let first = chunk(&mut body).await?;
                assert_eq!(chunk(&mut body).await?, None);
                Ok::<_, TransportError>(first)
            })
        })
        .collect();
    for sent in sent {
        assert_eq!(sent.await.unwrap().unwrap().unwrap(), "hi");
    }
}

#[tokio::test(start_paused = true)]
async fn time_is_tokios_and_can_be_paused() {
    let client = HyperTransport::new();
    let start = client.now();
    let hour = Duration::from_secs(3600);
    client.sleep_until(start.saturating_add(hour)).await;
    assert!(client.now().saturating_since(start) >= hour);
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A setting of two bytes, whose value has four.
const MAX_CONCURRENT_STREAMS: u16 = 3;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn serving(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> (Server, HyperTransport) {
    serving_with(Vec::new(), handle)
}

fn serving_with(
    settings: Vec<u8>,
    handle: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> (Server, HyperTransport) {
    let authority = Authority::new("127.0.0.1");
    let server = h2_server(&authority, settings, handle);
    (server, HyperTransport::with_tls(authority.client()))
}

fn h2_server(
    authority: &Authority,
    settings: Vec<u8>,
    handle: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> Server {
    Server::tls(authority.server(&["h2", "http/1.1"]), move |peer| {
        let Some(preface) = peer.read(24) else { return };
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        frame(peer, SETTINGS, 0, 0, &settings);
        handle(peer);
    })
}

fn frame(peer: &mut Peer, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    peer.write(&frame);
}

/// `:status: 200` is the eighth entry of HPACK's static table.
fn head(peer: &mut Peer, stream: u32) {
    frame(peer, HEADERS, END_HEADERS, stream, &[0x88]);
}

/// Kind, flags, stream and payload.
fn read_frame(peer: &mut Peer) -> Option<(u8, u8, u32, Vec<u8>)> {
    let head = peer.read(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let payload = peer.read(usize::try_from(length).unwrap())?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], stream, payload))
}

fn next_frame(peer: &mut Peer) -> Option<(u8, u32)> {
    let (kind, _, stream, _) = read_frame(peer)?;
    Some((kind, stream))
}

/// Whether the next part of a request's body is the last, and its size.
fn next_data(peer: &mut Peer) -> Option<(bool, usize)> {
    loop {
        let (kind, flags, _, payload) = read_frame(peer)?;
        if kind == DATA {
            return Some((flags & END_STREAM != 0, payload.len()));
        }
    }
}

/// The stream of the next request.
fn next_request(peer: &mut Peer) -> Option<u32> {
    loop {
        let (kind, stream) = next_frame(peer)?;
        if kind == HEADERS {
            return Some(stream);
        }
    }
}

async fn send(
    client: &HyperTransport,
    server: &Server,
) -> Result<http::Response<Body>, TransportError> {
    send_to(client, &server.uri("/")).await
}

async fn send_to(
    client: &HyperTransport,
    uri: &str,
) -> Result<http::Response<Body>, TransportError> {
    let request = http::Request::get(uri).body(RequestBody::default());
    let mut limits = AttemptDeadlines::NONE;
    limits.total = client.now().saturating_add(Duration::from_secs(5));
    client.send(request.unwrap(), limits).await
}

async fn chunk(body: &mut Body) -> Result<Option<Bytes>, TransportError> {
    let deadline = HyperTransport::new()
        .now()
        .saturating_add(Duration::from_secs(5));
    poll_fn(|cx| body.poll_chunk(cx, deadline)).await
}
