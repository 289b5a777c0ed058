//! Errors caused by the transport, the clock, the server and the driver. Nothing here changes the state of a call.

use super::{Exchange, Input, Operation, State};
use crate::{
    Error, ErrorKind,
    chat::RateLimit,
    error::{TimeoutKind, scrub},
    policy::retry_after,
    provider::{Auth, Provider, kit::errors::parse_wait},
};
use bytes::Bytes;
use http::{HeaderValue, response};
use std::time::{Duration, SystemTime};
use unifiedai_transport::{Phase, RequestDelivery, TransportError, TransportErrorKind};

impl<O: Operation> Exchange<O> {
    /// `failure` is the transport's error, if it noticed the timeout; it names host and port.
    pub(super) fn timeout_error(
        &self,
        timeout: TimeoutKind,
        failure: Option<&TransportError>,
    ) -> Error {
        let silent = matches!(&self.state, State::Body { reader, .. } if reader.is_empty());
        let allowed = self
            .deadlines
            .configured_limit(timeout, &self.target.timeouts);
        timeout_error(timeout, allowed, silent, failure)
    }

    pub(super) fn http_error(&self, body: Bytes) -> Error {
        let State::Body {
            error_headers: Some(head),
            ..
        } = &self.state
        else {
            return Error::new(ErrorKind::Protocol, "the error response has no headers");
        };
        let limits = &self.metadata.rate_limits;
        http_error(
            &*self.target.provider,
            head,
            body,
            limits,
            self.wall_clock_now(),
        )
    }
}

pub(super) fn transport_error(failure: &TransportError) -> Error {
    let kind = match failure.kind() {
        TransportErrorKind::Truncated => ErrorKind::Truncated,
        TransportErrorKind::Protocol => ErrorKind::Protocol,
        TransportErrorKind::HeadersTooLarge => ErrorKind::TooLarge,
        TransportErrorKind::Request | TransportErrorKind::RequestBody => ErrorKind::InvalidRequest,
        TransportErrorKind::Cancelled => ErrorKind::Cancelled,
        _ if failure.delivery() == RequestDelivery::Answered => ErrorKind::Truncated,
        _ => ErrorKind::Connection,
    };
    let error = Error::new(kind, failure.to_string());
    match failure.kind() {
        TransportErrorKind::Tls | TransportErrorKind::Proxy => error.with_retryable(false),
        _ => error,
    }
}

/// `silent`: no body byte was received after the headers.
fn timeout_error(
    timeout: TimeoutKind,
    allowed: Option<Duration>,
    silent: bool,
    failure: Option<&TransportError>,
) -> Error {
    let is_upload =
        failure.is_some_and(|it| it.kind() == TransportErrorKind::Timeout(Phase::RequestBody));
    let what = match timeout {
        TimeoutKind::Connect => "no connection was established",
        TimeoutKind::FirstByte => "no response headers were received",
        TimeoutKind::FirstToken => "the stream sent no text, reasoning or tool call",
        TimeoutKind::Idle if is_upload => "no more of the request body was sent",
        TimeoutKind::Idle if silent => "no body byte was received after the response headers",
        TimeoutKind::Idle => "no data was received",
        TimeoutKind::Progress => "the stream sent no event",
        TimeoutKind::Total => "the call was not complete",
    };
    let within = allowed.map_or_else(String::new, |limit| format!(" within {limit:?}"));
    let place = failure.map_or_else(String::new, |failure| format!(": {failure}"));
    Error::new(
        ErrorKind::Timeout,
        format!("{what}{within} ({timeout} timeout){place}"),
    )
    .with_timeout(timeout)
}

/// The error of an unsuccessful status. `limits` are the headers' rate limits, `wall` is the time of day.
fn http_error(
    provider: &dyn Provider,
    head: &response::Parts,
    body: Bytes,
    limits: &[RateLimit],
    wall: SystemTime,
) -> Error {
    let mut error = provider.decode_error(head, &body);
    if error.retry_after().is_none() {
        if let Some(wait) = retry_after(&head.headers, wall) {
            error = error.with_retry_after(wait);
        }
    }
    error = parse_wait(error);
    if error.kind() == ErrorKind::RateLimit && error.retry_after().is_none() {
        if let Some(wait) = exhausted_for(limits) {
            error = error.with_retry_after(wait);
        }
    }
    match head
        .headers
        .get("x-should-retry")
        .map(HeaderValue::as_bytes)
    {
        // A server's header cannot make retryable what a retry cannot fix: an oversized request, an exhausted quota.
        Some(b"true") if !error.kind().is_lasting() => error = error.with_retryable(true),
        Some(b"false") => error = error.with_retryable(false),
        _ => {}
    }
    error.with_status(head.status.as_u16()).with_body(body)
}

/// The time until the exhausted rate limits are reset, according to the headers.
fn exhausted_for(limits: &[RateLimit]) -> Option<Duration> {
    let used_up = limits.iter().filter(|limit| limit.remaining == Some(0));
    used_up.filter_map(|limit| limit.reset).max()
}

pub(super) fn rate_limited_locally(wait: Duration) -> Error {
    Error::new(
        ErrorKind::RateLimit,
        format!("local rate limit: the next request to this provider is allowed in {wait:?}"),
    )
    .with_code("local_rate_limit")
    .with_retry_after(wait)
}

pub(super) fn circuit_open(wait: Duration, last: Option<&str>) -> Error {
    let last = last.map_or_else(String::new, |last| format!("; last error: {last}"));
    Error::new(
        ErrorKind::CircuitOpen,
        format!("the circuit breaker is open, because most calls to this provider failed within the last minute{last}"),
    )
    .with_retryable(true)
    .with_retry_after(wait)
}

/// A short form of an error, without the key, for the log of attempts.
pub(super) fn error_summary<'s>(error: &Error, secrets: impl Iterator<Item = &'s str>) -> String {
    let mut message = error.message().to_owned();
    for secret in secrets {
        scrub(&mut message, secret);
    }
    match message.char_indices().nth(MAX_SUMMARY_BYTES) {
        Some((end, _)) => [message.get(..end).unwrap_or_default(), "…"].concat(),
        None => message,
    }
}

const MAX_SUMMARY_BYTES: usize = 256;

pub(super) fn misuse(state: &State, input: &Input) -> Error {
    let input = match input {
        Input::Upload(_) => "Upload",
        Input::Headers(_) => "Headers",
        Input::Body(_) => "Body",
        Input::BodyEnd => "BodyEnd",
        Input::TransportError(_) => "TransportError",
        Input::Supplied(_) => "Supplied",
    };
    let state = match state {
        State::Ready { .. } => "before the request was sent",
        State::Fetching(_) => "while a token is fetched, which waits for something else",
        State::AwaitHeaders => "before the response headers",
        State::Body { .. } => "inside the response's body",
        State::Done(_) => "after the end of the call",
    };
    Error::new(
        ErrorKind::Misuse,
        format!("Input::{input} was handled {state}"),
    )
}

pub(super) fn is_signed(auth: &Auth) -> bool {
    match auth {
        #[cfg(feature = "bedrock")]
        Auth::SigV4(_) => true,
        _ => false,
    }
}
