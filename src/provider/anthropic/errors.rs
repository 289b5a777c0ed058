//! Errors that this API distinguishes only by their message.

use crate::{Error, ErrorKind, provider::kit::errors};
use bytes::Bytes;
use http::response;

/// Beginnings of messages that are more specific than their type `invalid_request_error`. Sources: recorded errors
/// for the first, Anthropic's error reference for the other.
const SENTENCES: [(&str, ErrorKind); 2] = [
    ("prompt is too long", ErrorKind::ContextOverflow),
    (
        "input length and `max_tokens` exceed context limit",
        ErrorKind::ContextOverflow,
    ),
];

pub(super) fn from_http(head: &response::Parts, body: &Bytes) -> Error {
    errors::by_sentence(errors::from_http(head, body), body, &SENTENCES)
}

pub(super) fn from_event(name: &str, data: &str) -> Error {
    let error = errors::from_event(name, data.as_bytes());
    errors::by_sentence(error, data.as_bytes(), &SENTENCES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_overflow_is_distinguished_from_bad_request() {
        let cases = [
            (
                "prompt is too long: 3 tokens > 2 maximum",
                ErrorKind::ContextOverflow,
            ),
            (
                "Your credit balance is too low to access the API",
                ErrorKind::QuotaExceeded,
            ),
            ("temperature: range: 0..1", ErrorKind::BadRequest),
        ];
        let head = http::Response::builder()
            .status(400)
            .body(())
            .unwrap()
            .into_parts()
            .0;
        for (message, kind) in cases {
            let body = format!(
                r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{message}"}},"request_id":"req_1"}}"#
            );
            let error = from_http(&head, &body.into());
            assert_eq!((error.kind(), error.request_id()), (kind, Some("req_1")));
        }
    }
}
