//! An agent of the caller's own. It knows no limit for a chunk, so it works on another thread, which hands over what it reads.

use crate::{
    cancel::{self, Attempt},
    deadline::{self, Stage},
    error, race,
    read::Body,
};
use bytes::Bytes;
use http::{Response, request::Parts};
use std::{
    io::{self, Read},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use unifiedai_http::clock;
use unifiedai_transport::{Delivery::NotSent, FailureKind, Limits, Phase, Time, TransportError};
use ureq::{Error, Timeout};

/// What the thread reads: chunks, then nothing.
pub(crate) type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// The most that is read at a time.
const CHUNK: usize = 16 * 1024;

pub(crate) fn send(
    agent: &ureq::Agent,
    (parts, body): (Parts, Bytes),
    limits: Limits,
    place: Arc<str>,
    attempt: Option<Arc<Attempt>>,
) -> Result<Response<Body>, TransportError> {
    let by = limits.head.min(limits.total);
    let (head, heads) = mpsc::sync_channel(1);
    let (chunk, chunks) = mpsc::sync_channel(1);
    let agent = agent.clone();
    let work = move || {
        let answer = run(&agent, parts, &body, limits);
        let (answer, reader) = match answer.map(Response::into_parts) {
            Ok((head, body)) => (Ok(head), Some(body.into_reader())),
            Err(error) => (Err(error), None),
        };
        let mut reader = match (head.send(answer), reader) {
            (Ok(()), Some(reader)) => reader,
            _ => return,
        };
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = reader.read(&mut buffer);
            let read =
                read.map(|size| Bytes::copy_from_slice(buffer.get(..size).unwrap_or_default()));
            let is_over = read.as_ref().map_or(true, Bytes::is_empty);
            if chunk.send(read).is_err() || is_over {
                return;
            }
        }
    };
    let spawned = thread::Builder::new()
        .name("unifiedai-ureq-call".into())
        .spawn(work);
    spawned.map_err(|error| failed(Error::Io(error), &place))?;
    match wait(&heads, by, Stage::Sent, attempt.as_ref(), &place)? {
        Some(Ok(mut head)) => {
            head.extensions.clear();
            let body = Body::of_worker(chunks, place, attempt);
            Ok(Response::from_parts(head, body))
        }
        Some(Err(error)) => Err(failed(error, &place)),
        None => Err(failed(Error::Io(io::ErrorKind::BrokenPipe.into()), &place)),
    }
}

/// With ureq's own limits, so that the thread ends in time.
fn run(
    agent: &ureq::Agent,
    parts: Parts,
    body: &[u8],
    limits: Limits,
) -> Result<Response<ureq::Body>, Error> {
    let left = |at: Time| match at {
        Time::MAX => None,
        at => Some(
            at.saturating_since(clock::now())
                .max(Duration::from_millis(1)),
        ),
    };
    let is_empty = body.is_empty() && !matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH");
    macro_rules! configured {
        ($body:expr) => {
            agent
                .configure_request(http::Request::from_parts(parts, $body))
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .allow_non_standard_methods(true)
                .timeout_connect(left(limits.connect.min(limits.head)))
                .timeout_global(left(limits.total))
                .build()
        };
    }
    if is_empty {
        agent.run(configured!(()))
    } else {
        agent.run(configured!(body))
    }
}

/// The next message of the thread, or `None` if it has ended.
pub(crate) fn wait<T>(
    messages: &mpsc::Receiver<T>,
    by: Time,
    stage: Stage,
    attempt: Option<&Arc<Attempt>>,
    place: &str,
) -> Result<Option<T>, TransportError> {
    let (received, _) = cancel::within(attempt, || {
        deadline::within(stage, by, by, || race::receive(messages, None))
    });
    match received {
        Ok(message) => Ok(message),
        Err(_) if cancel::is_cancelled(attempt) => Err(error::cancelled(stage, place)),
        Err(_) => Err(error::from_ureq(
            Error::Timeout(Timeout::Global),
            stage,
            place,
        )),
    }
}

/// How far the request came is known from some errors only.
fn failed(error: Error, place: &str) -> TransportError {
    let kind = match &error {
        Error::HostNotFound => FailureKind::Dns,
        // The standard library has no kind for it.
        Error::Io(cause) if cause.to_string().contains("lookup address") => FailureKind::Dns,
        Error::Tls(_) | Error::TlsRequired => FailureKind::Tls,
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => FailureKind::Proxy,
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => FailureKind::Timeout(Phase::Connect),
        Error::ConnectionFailed => FailureKind::Connect,
        Error::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            FailureKind::Connect
        }
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => {
            return error::from_ureq(error, Stage::Unsent, place);
        }
        _ => return error::from_ureq(error, Stage::Sent, place),
    };
    TransportError::new(kind, NotSent, format!("no connection to {place}: {error}"))
}
