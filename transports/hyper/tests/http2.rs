//! HTTP/2, negotiated by ALPN with a server that writes its frames by hand.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

use bytes::Bytes;
use std::{future::poll_fn, sync::mpsc, time::Duration};
use unifiedai_hyper::{Body, Client};
use unifiedai_transport::{
    AsyncBody, AsyncTransport, Delivery, FailureKind, Limits, TransportError,
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
    let cases: [(u8, u32, u32, Delivery); 4] = [
        (RST_STREAM, 1, REFUSED_STREAM, Delivery::NotSent),
        (RST_STREAM, 1, INTERNAL_ERROR, Delivery::MaybeProcessed),
        (GOAWAY, 0, NO_ERROR, Delivery::NotSent),
        (GOAWAY, 0, ENHANCE_YOUR_CALM, Delivery::MaybeProcessed),
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
        assert_eq!(failure.kind(), FailureKind::Reset, "{failure:?}");
        assert_eq!(failure.delivery(), delivery, "{kind} {code}: {failure:?}");
        assert_eq!(server.connections(), 1, "the request was repeated");
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_may_be_processed() {
    let (server, client) = serving(|peer| {
        next_request(peer);
    });
    let failure = send(&client, &server).await.err().unwrap();
    assert_eq!(failure.kind(), FailureKind::Reset, "{failure:?}");
    assert_eq!(failure.delivery(), Delivery::MaybeProcessed);
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
            FailureKind::Reset
        } else {
            FailureKind::Truncated
        };
        assert_eq!(failure.kind(), kind, "{failure:?}");
        assert_eq!(failure.delivery(), Delivery::Answered);
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

#[tokio::test(start_paused = true)]
async fn time_is_tokios_and_can_be_paused() {
    let client = Client::new();
    let start = client.now();
    let hour = Duration::from_secs(3600);
    client.sleep_until(start.saturating_add(hour)).await;
    assert!(client.now().saturating_since(start) >= hour);
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn serving(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> (Server, Client) {
    let authority = Authority::new("127.0.0.1");
    let server = Server::tls(authority.server(&["h2", "http/1.1"]), move |peer| {
        let preface = peer.read(24).unwrap();
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        frame(peer, SETTINGS, 0, 0, &[]);
        handle(peer);
    });
    (server, Client::with_tls(authority.client()))
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

async fn send(client: &Client, server: &Server) -> Result<http::Response<Body>, TransportError> {
    let request = http::Request::get(server.uri("/")).body(Bytes::new());
    let mut limits = Limits::NONE;
    limits.total = client.now().saturating_add(Duration::from_secs(5));
    client.send(request.unwrap(), limits).await
}

async fn chunk(body: &mut Body) -> Result<Option<Bytes>, TransportError> {
    let deadline = Client::new().now().saturating_add(Duration::from_secs(5));
    poll_fn(|cx| body.poll_chunk(cx, deadline)).await
}
