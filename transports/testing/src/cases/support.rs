//! What the cases use.

use crate::{Authority, Peer, Server};
use rustls::ClientConfig;
use std::{
    error::Error,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    AttemptDeadlines, RequestBody, RequestDelivery, ResponseBody, Time, Transport, TransportError,
    TransportErrorKind,
};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\n";

pub(super) type Tls = Arc<ClientConfig>;

pub(super) const SHORT: Duration = Duration::from_millis(200);

/// Connections are put back and closed by other threads or tasks, for which nothing tells when they are done.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(50));
}

pub(super) fn in_time(started: Instant) {
    let took = started.elapsed();
    assert!(took >= SHORT && took < SHORT * 5, "{took:?}");
}

pub(super) fn plain<T>(make: fn(Tls) -> T) -> T {
    make(Authority::new("nobody.example").client())
}

pub(super) fn secure(
    authority: &Authority,
    handle: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> Server {
    Server::tls(authority.server(&[]), handle)
}

/// The protocol below HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Tcp,
    Tls,
}

/// A transport, and a server that it can reach.
pub(super) fn connected<T>(
    make: fn(Tls) -> T,
    over: Over,
    handle: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> (T, Server) {
    let authority = Authority::new("127.0.0.1");
    let server = match over {
        Over::Tcp => Server::new(handle),
        Over::Tls => secure(&authority, handle),
    };
    (make(authority.client()), server)
}

pub(super) fn limit<T: Transport>(transport: &T) -> Time {
    transport.now().saturating_add(Duration::from_secs(5))
}

pub(crate) fn soon<T: Transport>(transport: &T) -> AttemptDeadlines {
    let mut limits = AttemptDeadlines::NONE;
    limits.connect = limit(transport);
    limits.headers = limit(transport);
    limits.total = transport.now().saturating_add(Duration::from_secs(10));
    limits
}

pub(super) fn request(server: &Server, path: &str) -> http::Request<RequestBody> {
    http::Request::get(server.uri(path))
        .body(RequestBody::default())
        .unwrap()
}

pub(super) fn get<T: Transport>(
    transport: &T,
    server: &Server,
) -> Result<http::Response<T::Body>, TransportError> {
    transport.send(request(server, "/"), soon(transport))
}

pub(crate) fn get_text<T: Transport>(transport: &T, server: &Server) -> String {
    text(transport, get(transport, server).unwrap())
}

pub(crate) fn text<T: Transport>(transport: &T, response: http::Response<T::Body>) -> String {
    let (text, end) = read(transport, response);
    end.unwrap();
    text
}

/// What arrived, and how it ended.
pub(super) fn read<T: Transport>(
    transport: &T,
    response: http::Response<T::Body>,
) -> (String, Result<(), TransportError>) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let end = loop {
        match body.chunk(limit(transport)) {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    if end.is_ok() {
        assert!(matches!(body.chunk(limit(transport)), Ok(None)));
    }
    (String::from_utf8(bytes).unwrap(), end)
}

pub(crate) fn failure<T: Transport>(transport: &T, uri: &str) -> TransportError {
    let request = http::Request::post(uri)
        .body(RequestBody::from("{}"))
        .unwrap();
    transport.send(request, soon(transport)).err().unwrap()
}

pub(super) fn refused<T: Transport>(make: fn(Tls) -> T, server: &Server, kind: TransportErrorKind) {
    let failure = failure(&plain(make), &server.uri("/"));
    assert_eq!(failure.kind(), kind, "{failure:?}");
    assert_eq!(failure.delivery(), RequestDelivery::MaybeProcessed);
    assert_eq!(server.connections(), 1, "the request was repeated");
}

pub(super) fn is_broken<T: Transport>(
    make: fn(Tls) -> T,
    server: &Server,
    half: &str,
    kind: TransportErrorKind,
) {
    let transport = plain(make);
    let (text, end) = read(&transport, get(&transport, server).unwrap());
    assert_eq!(text, half);
    let failure = end.unwrap_err();
    assert_eq!(failure.kind(), kind, "{failure:?}");
    assert_eq!(failure.delivery(), RequestDelivery::Answered);
}

/// Along an error and its sources each of these texts stands once.
pub(super) fn mentions_once(failure: &TransportError, texts: &[&str]) {
    let mut chain = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        chain += &format!("\n{error}");
        cause = error.source();
    }
    for text in texts {
        let count = chain.to_lowercase().matches(&text.to_lowercase()).count();
        assert_eq!(count, 1, "{text} in: {chain}");
    }
}
