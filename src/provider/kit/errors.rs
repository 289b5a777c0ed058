//! Decodes errors: the part that most providers share.

use crate::{
    Error, ErrorKind,
    error::{ErrorBody, classify, excerpt},
    policy::parse_duration,
};
use bytes::Bytes;
use http::{StatusCode, header, response};

/// The error of a status of 300 or above. The status counts even if the body cannot be parsed.
#[must_use]
pub fn from_http(head: &response::Parts, body: &Bytes) -> Error {
    let status = head.status;
    if status.is_redirection() {
        return redirect(head);
    }
    match ErrorBody::of_failure(body) {
        Some(parsed) => from_body(status.as_u16(), &parsed),
        None => {
            let kind = classify(status.as_u16(), &ErrorBody::default());
            Error::new(kind, unreadable(status, head, body))
        }
    }
}

/// The error in a stream, or in a response with status 200.
#[must_use]
pub fn from_event(name: &str, data: &[u8]) -> Error {
    let mut parsed = ErrorBody::parse(data).unwrap_or_default();
    if !name.is_empty() && name != "error" && parsed.code.is_none() {
        parsed.code = Some(name.to_owned());
    }
    // The event's own type (`{"type": "error", ..}`), which does not tell the reason.
    parsed.error_type = parsed.error_type.filter(|word| word != "error");
    let said_nothing =
        parsed.message.is_none() && parsed.code.is_none() && parsed.error_type.is_none();
    if said_nothing {
        parsed.message = Some(excerpt(data));
    }
    let error = parse_wait(from_body(200, &parsed));
    // An error without a reason is the provider's failure, because it accepted the request.
    let unknown = error.kind() == ErrorKind::Protocol;
    let error = if unknown {
        error.with_kind(ErrorKind::InternalServer)
    } else {
        error
    };
    error.with_body(beginning(data))
}

/// The error with this JSON value, which a response with status 200 has in its field `error`.
pub(crate) fn from_value(value: &str) -> Error {
    from_event("", ["{\"error\":", value, "}"].concat().as_bytes())
}

/// The part of a stream's event, or of a response with status 200, that its error keeps: 64 KiB.
pub(crate) fn beginning(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(data.get(..data.len().min(64 << 10)).unwrap_or_default())
}

/// The error that a body describes.
#[must_use]
pub fn from_body(status: u16, body: &ErrorBody) -> Error {
    let kind = classify(status, body);
    let message = body
        .message
        .clone()
        .unwrap_or_else(|| "the provider gave no reason".to_owned());
    let mut error = Error::new(kind, message).with_status(status);
    if let Some(code) = &body.code {
        error = error.with_code(code);
    }
    if let Some(error_type) = &body.error_type {
        error = error.with_error_type(error_type);
    }
    if let Some(param) = &body.param {
        error = error.with_param(param);
    }
    if let Some(id) = &body.request_id {
        error = error.with_request_id(id);
    }
    let wait = body.retry_delay.as_deref().and_then(parse_duration);
    // The quota is not reset within the seconds that the message names.
    if let Some(wait) = wait.filter(|_| kind != ErrorKind::QuotaExceeded) {
        error = error.with_retry_after(wait);
    }
    error
}

/// The wait in a rate limit's message, if no other field has one.
pub(crate) fn parse_wait(error: Error) -> Error {
    if error.kind() != ErrorKind::RateLimit || error.retry_after().is_some() {
        return error;
    }
    match crate::error::parse_wait(error.message()) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// The kind that only the beginning of a message tells, for APIs without an error code for it.
pub(crate) fn by_sentence(error: Error, body: &[u8], sentences: &[(&str, ErrorKind)]) -> Error {
    if error.kind() != ErrorKind::BadRequest {
        return error;
    }
    let message = ErrorBody::parse(body).and_then(|body| body.message);
    let message = message.unwrap_or_default();
    let meant = sentences
        .iter()
        .find(|(sentence, _)| message.starts_with(sentence));
    match meant {
        Some((_, kind)) => error.with_kind(*kind),
        None => error,
    }
}

/// A redirect is not followed, because the key would be sent to its target. The message shows only the target's
/// host.
fn redirect(head: &response::Parts) -> Error {
    let target = head
        .headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok());
    let host = target
        .and_then(|target| target.parse::<http::Uri>().ok())
        .and_then(|uri| uri.host().map(str::to_owned));
    let to = match (&host, target) {
        (Some(host), _) => format!(" to `{host}`"),
        (None, Some(_)) => " to another path".to_owned(),
        (None, None) => String::new(),
    };
    Error::new(
        ErrorKind::Redirect,
        format!("the server sent a redirect{to}, which is not followed: check the base URL"),
    )
}

fn unreadable(status: StatusCode, head: &response::Parts, body: &Bytes) -> String {
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    if body.is_empty() {
        return format!("{reason}, without a body");
    }
    let content_type = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    format!(
        "{reason} ({}): {}",
        content_type.unwrap_or("no content type"),
        excerpt(body)
    )
}
