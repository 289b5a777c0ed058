//! What failures are called: errors from what the transport, the clock and the driver did.

use super::{Input, State};
use crate::{Auth, Error, ErrorKind, Secret, TimeoutKind, error::scrub};
use std::time::{Duration, SystemTime};
use unifiedai_transport::{Delivery, FailureKind, TransportError};

pub(super) fn transport_error(failure: &TransportError) -> Error {
    let kind = match failure.kind() {
        FailureKind::Truncated => ErrorKind::Truncated,
        FailureKind::Protocol => ErrorKind::Protocol,
        FailureKind::HeadTooLarge => ErrorKind::TooLarge,
        FailureKind::Request => ErrorKind::InvalidRequest,
        FailureKind::Cancelled => ErrorKind::Cancelled,
        _ if failure.delivery() == Delivery::Answered => ErrorKind::Truncated,
        _ => ErrorKind::Connection,
    };
    let error = Error::new(kind, failure.to_string());
    match failure.kind() {
        FailureKind::Tls | FailureKind::Proxy => error.with_retryable(false),
        _ => error,
    }
}

/// `silent` is whether nothing at all came after the head (F36).
pub(super) fn timeout_error(
    timeout: TimeoutKind,
    allowed: Option<Duration>,
    silent: bool,
    failure: Option<&TransportError>,
) -> Error {
    let what = match timeout {
        TimeoutKind::Connect => "no connection stood",
        TimeoutKind::FirstByte => "the answer did not begin",
        TimeoutKind::FirstToken => "the stream brought no text",
        TimeoutKind::Idle if silent => "not a byte came after the answer's head",
        TimeoutKind::Idle => "the answer fell silent",
        TimeoutKind::Progress => "the answer made no progress",
        TimeoutKind::Total => "the call was not over",
    };
    let within = allowed.map_or_else(String::new, |limit| format!(" within {limit:?}"));
    let place = failure.map_or_else(String::new, |failure| format!(": {failure}"));
    Error::new(
        ErrorKind::Timeout,
        format!("{what}{within} ({timeout} timeout){place}"),
    )
    .with_timeout(timeout)
}

pub(super) fn held_back(wait: Duration) -> Error {
    Error::new(
        ErrorKind::RateLimit,
        format!("the pace set for this provider leaves room only in {wait:?}"),
    )
    .with_code("local_rate_limit")
    .with_retry_after(wait)
}

pub(super) fn circuit_open(wait: Duration, last: Option<&str>) -> Error {
    let last = last.map_or_else(String::new, |last| format!("; at last: {last}"));
    Error::new(
        ErrorKind::CircuitOpen,
        format!("most calls to this provider failed lately{last}"),
    )
    .with_retryable(true)
    .with_retry_after(wait)
}

/// An error in a few words, without the key, for the log of attempts.
pub(super) fn brief(error: &Error, secret: Option<&Secret>) -> String {
    let mut message = error.message().to_owned();
    if let Some(secret) = secret {
        scrub(&mut message, secret.expose());
    }
    match message.char_indices().nth(MOST_BRIEF) {
        Some((end, _)) => [message.get(..end).unwrap_or_default(), "…"].concat(),
        None => message,
    }
}

const MOST_BRIEF: usize = 256;

pub(super) fn misuse(state: &State, input: &Input) -> Error {
    let input = match input {
        Input::Head(_) => "Head",
        Input::Body(_) => "Body",
        Input::End => "End",
        Input::Failed(_) => "Failed",
    };
    let state = match state {
        State::Ready { .. } => "before the request was sent",
        State::AwaitHead => "before the response's head",
        State::Body { .. } => "inside the response's body",
        State::Done(_) => "after the end",
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

pub(super) fn seconds_between(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).saturating_neg(),
    }
}
