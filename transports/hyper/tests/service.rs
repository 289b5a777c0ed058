//! Clients of the caller's own.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::{
    client::legacy::{Client as LegacyClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    error::Error,
    future::{Future, poll_fn, ready},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;
use unifiedai_hyper::{ServiceTransport, UploadReader};
use unifiedai_transport::{
    AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery,
    TransportErrorKind,
};
use unifiedai_transport_testing::{Server, SourceStep, TestSource, byte_at};

fn hyper_util() -> ServiceTransport<LegacyClient<HttpConnector, Full<Bytes>>, Full<Bytes>> {
    ServiceTransport::new(LegacyClient::builder(TokioExecutor::new()).build_http())
}

async fn text<T: AsyncTransport>(client: &T, uri: &str) -> String {
    let request = http::Request::post(uri).body(RequestBody::from("{}"));
    let response = client
        .send(request.unwrap(), AttemptDeadlines::NONE)
        .await
        .unwrap();
    let mut body = response.into_body();
    let mut all = Vec::new();
    let by = client.now().saturating_add(Duration::from_secs(5));
    while let Some(chunk) = poll_fn(|cx| body.poll_chunk(cx, by)).await.unwrap() {
        all.extend(chunk);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_client_of_hyper_util_carries_requests() {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            assert_eq!(request.body, b"{}");
            peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    let client = hyper_util();
    assert_eq!(text(&client, &server.uri("/")).await, "hi");
}

#[tokio::test]
async fn a_client_of_hyper_util_carries_streamed_bodies() {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            let (length, last) = (request.body.len(), request.body[199_999]);
            assert_eq!((length, last), (200_000, byte_at(199_999)));
            peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    let client = LegacyClient::builder(TokioExecutor::new()).build_http();
    let client = ServiceTransport::<_, AnyBody>::new(client);
    let source = TestSource::new([SourceStep::Piece(100_000); 2]);
    let request = || {
        http::Request::post(server.uri("/"))
            .body(source.body())
            .unwrap()
    };
    let refused = client.send(request(), AttemptDeadlines::NONE).await;
    let failure = refused.err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Request, "{failure}");
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    let client = client.with_streamed_bodies(AnyBody::Streamed);
    let response = client.send(request(), AttemptDeadlines::NONE).await;
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn limits_and_failures_are_those_of_the_contract() {
    let silent = Server::new(|peer| {
        peer.request();
        peer.sees_close();
    });
    let client = hyper_util();
    let mut limits = AttemptDeadlines::NONE;
    limits.headers = client.now().saturating_add(Duration::from_millis(100));
    let request = http::Request::get(silent.uri("/")).body(RequestBody::default());
    let failure = client.send(request.unwrap(), limits).await.err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Headers));
    assert_eq!(failure.delivery(), RequestDelivery::MaybeProcessed);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let request = http::Request::get(uri).body(RequestBody::default());
    let failure = client
        .send(request.unwrap(), AttemptDeadlines::NONE)
        .await
        .err()
        .unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Connect, "{failure}");
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
}

enum AnyBody {
    Whole(Full<Bytes>),
    Streamed(UploadReader),
}

impl From<Bytes> for AnyBody {
    fn from(bytes: Bytes) -> Self {
        AnyBody::Whole(Full::new(bytes))
    }
}

impl Body for AnyBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            AnyBody::Whole(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            AnyBody::Streamed(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnyBody::Whole(body) => body.size_hint(),
            AnyBody::Streamed(body) => body.size_hint(),
        }
    }
}

/// Answers with the path of the request.
#[derive(Clone)]
struct Mock;

impl Service<http::Request<Bytes>> for Mock {
    type Response = http::Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Bytes>) -> Self::Future {
        let path = Bytes::from(request.uri().path().to_owned());
        ready(match &*path {
            b"/broken" => Err(io::Error::other("https://user:CANARY@a.test/ is broken")),
            b"/gzip" => Ok(compressed(GZIP)),
            b"/cut" => Ok(compressed(GZIP.get(..20).unwrap())),
            _ => Ok(http::Response::new(Full::new(path))),
        })
    }
}

#[tokio::test]
async fn a_mock_needs_no_network_and_its_errors_show_no_uri() {
    let client = ServiceTransport::<_, Bytes>::new(Mock);
    assert_eq!(text(&client, "https://a.test/x").await, "/x");
    let request = http::Request::get("https://a.test/broken").body(RequestBody::default());
    let mut sent = pin!(client.send(request.unwrap(), AttemptDeadlines::NONE));
    let failure = poll_fn(|cx| sent.as_mut().poll(cx)).await.err().unwrap();
    let shown = format!("{failure} {failure:?}");
    assert!(
        shown.contains("a.test:443") && !shown.contains("CANARY"),
        "{shown}"
    );
}

/// `compressed on the way`
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03K\xce\xcf-(J-.NMQ\xc8\xcfS(\xc9HU(O\xac\x04\x00\x8f\x0c\x16\x17\x15\x00\x00\x00";

fn compressed(body: &'static [u8]) -> http::Response<Full<Bytes>> {
    http::Response::builder()
        .header("content-encoding", "gzip")
        .body(Full::new(Bytes::from_static(body)))
        .unwrap()
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_compressed_body_is_decoded() {
    let client = ServiceTransport::<_, Bytes>::new(Mock);
    let whole = text(&client, "https://a.test/gzip").await;
    assert_eq!(whole, "compressed on the way");
    let request = http::Request::get("https://a.test/cut").body(RequestBody::default());
    let response = client
        .send(request.unwrap(), AttemptDeadlines::NONE)
        .await
        .unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
    let mut body = response.into_body();
    let by = client.now().saturating_add(Duration::from_secs(5));
    let failure = loop {
        match poll_fn(|cx| body.poll_chunk(cx, by)).await {
            Ok(chunk) => assert!(chunk.is_some(), "a cut body ended as a whole one"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.kind(), TransportErrorKind::Truncated, "{failure}");
}
