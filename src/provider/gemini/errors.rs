//! What this wire tells of a failure only in words.

use crate::{Error, ErrorKind, provider::kit::errors};
use bytes::Bytes;
use http::response;

/// How the messages begin that tell a context overflow; their status is `INVALID_ARGUMENT` like any other. Source:
/// recorded errors.
const OVERFLOW: [(&str, ErrorKind); 1] = [("The input token count", ErrorKind::ContextOverflow)];

pub(super) fn from_http(head: &response::Parts, body: &Bytes) -> Error {
    errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
}

pub(super) fn from_event(name: &str, data: &str) -> Error {
    let error = errors::from_event(name, data.as_bytes());
    errors::by_sentence(error, data.as_bytes(), &OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_kinds_in_both_shapes() {
        let cases = [
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
                ErrorKind::Authentication,
                None,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#,
                ErrorKind::ContextOverflow,
                None,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                ErrorKind::BadRequest,
                None,
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}"#,
                ErrorKind::PermissionDenied,
                None,
            ),
            (
                429,
                r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"37s"}]}}]"#,
                ErrorKind::RateLimit,
                Some(37),
            ),
            (
                503,
                r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#,
                ErrorKind::ServiceUnavailable,
                None,
            ),
        ];
        for (status, body, kind, wait) in cases {
            let head = http::Response::builder()
                .status(status)
                .body(())
                .unwrap()
                .into_parts()
                .0;
            let error = from_http(&head, &Bytes::from_static(body.as_bytes()));
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(
                error.retry_after().map(|wait| wait.as_secs()),
                wait,
                "{body}"
            );
        }
    }
}
