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
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestDelivery, TransportError,
    TransportErrorKind,
};
use unifiedai_transport_testing::{Authority, Peer, Server};

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
    let request = http::Request::get(server.uri("/")).body(Bytes::new());
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

fn next_frame(peer: &mut Peer) -> Option<(u8, u32)> {
    let head = peer.read(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    peer.read(usize::try_from(length).unwrap())?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], stream))
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
    let request = http::Request::get(uri).body(Bytes::new());
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
