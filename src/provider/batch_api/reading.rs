//! Decoding of values that all batch APIs have: times, counts, files, lines that cannot be read.

use crate::{
    Error, ErrorKind, Json,
    codec::rfc3339::rfc3339,
    error::states_an_error,
    provider::kit::errors,
    provider_batch::{BatchItem, ItemOutcome, StoredFile},
};
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, de::IgnoredAny};
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// Parses a body. `what` names the expected content in errors.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    name: &str,
    what: &str,
    body: &'a [u8],
) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let kind = if error.is_eof() {
            ErrorKind::Truncated
        } else {
            ErrorKind::Protocol
        };
        Error::new(
            kind,
            format!("the body from `{name}` is not {what}: {error}"),
        )
    })
}

/// The id that a description must have. A body without an id may be an error although its status is a success.
pub(crate) fn require_id(
    name: &str,
    what: &str,
    id: Option<String>,
    body: &[u8],
) -> Result<String, Error> {
    id.filter(|id| !id.is_empty())
        .ok_or_else(|| missing(name, what, "id", body))
}

/// The error of a body without a member that it must have. The body may state an error although its status is a success.
pub(crate) fn missing(name: &str, what: &str, member: &str, body: &[u8]) -> Error {
    if std::str::from_utf8(body).is_ok_and(states_an_error) {
        return errors::from_event("", body);
    }
    Error::new(
        ErrorKind::Protocol,
        format!("the body from `{name}` is not {what}: it has no {member}"),
    )
}

/// A time: seconds since 1970, or a date. Any other value is no time.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Moment<'a> {
    Seconds(u64),
    Date(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl Moment<'_> {
    pub(crate) fn seconds(&self) -> Option<u64> {
        match self {
            Moment::Seconds(seconds) => Some(*seconds),
            Moment::Date(text) => {
                // xAI returns days. A day stands for its midnight, UTC.
                let date = match text.contains('T') {
                    true => rfc3339(text),
                    false => rfc3339(&[text, "T00:00:00Z"].concat()),
                };
                let since = date?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                Some(since.as_secs())
            }
            Moment::Other(_) => None,
        }
    }
}

pub(crate) fn seconds(moment: &Option<Moment<'_>>) -> Option<u64> {
    moment.as_ref()?.seconds()
}

/// A count: a number, or a number in a string (Gemini). Any other value is no count.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Count {
    Number(u64),
    Text(String),
    Other(IgnoredAny),
}

pub(crate) fn count(count: &Option<Count>) -> Option<u64> {
    match count.as_ref()? {
        Count::Number(number) => Some(*number),
        Count::Text(text) => text.parse().ok(),
        Count::Other(_) => None,
    }
}

/// The description of a file, in the format of OpenAI and Anthropic.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FileObject<'a> {
    id: Option<String>,
    filename: Option<String>,
    #[serde(alias = "size_bytes")]
    bytes: Option<Count>,
    #[serde(alias = "mime_type")]
    mimetype: Option<String>,
    purpose: Option<String>,
    #[serde(borrow)]
    created_at: Option<Moment<'a>>,
    #[serde(borrow)]
    expires_at: Option<Moment<'a>>,
}

pub(crate) fn read_file(name: &str, body: &[u8]) -> Result<StoredFile, Error> {
    stored_file(name, parse(name, "a file", body)?, body)
}

pub(crate) fn stored_file(
    name: &str,
    object: FileObject<'_>,
    body: &[u8],
) -> Result<StoredFile, Error> {
    Ok(StoredFile {
        id: require_id(name, "a file", object.id, body)?,
        name: object.filename,
        bytes: count(&object.bytes),
        media_type: object.mimetype,
        purpose: object.purpose.filter(|purpose| !purpose.is_empty()),
        uri: None,
        created_at: seconds(&object.created_at),
        expires_at: seconds(&object.expires_at),
    })
}

/// How long to wait before the next poll, from the `retry-after` header of a successful response.
pub(crate) fn poll_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// The item of a line that is not valid JSON. Its id is searched for in the text, by the names of the members that can have it, so
/// that the request is known although its response is not.
pub(crate) fn unreadable_line(
    line: &str,
    error: &serde_json::Error,
    id_names: &[&str],
) -> BatchItem<Json> {
    let id = id_names.iter().find_map(|name| id_in(line, name));
    let error = Error::new(
        ErrorKind::Protocol,
        format!("this line of the results cannot be read: {error}"),
    )
    .with_body(Bytes::copy_from_slice(
        line.as_bytes()
            .get(..line.len().min(2048))
            .unwrap_or_default(),
    ));
    BatchItem::new(id.unwrap_or_default(), ItemOutcome::Failed(error))
}

/// The string value of the first member with this name.
fn id_in(line: &str, name: &str) -> Option<String> {
    let quoted = ["\"", name, "\""].concat();
    let (_, rest) = line.split_once(&quoted)?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    strings.next()?.ok()
}

/// The outcome for an error's code or status, if it says that the request did not run.
pub(crate) fn never_ran(code: &str) -> Option<ItemOutcome<Json>> {
    match code {
        "batch_expired" | "expired" => Some(ItemOutcome::Expired),
        "batch_cancelled" | "batch_canceled" | "cancelled" | "canceled" => {
            Some(ItemOutcome::Cancelled)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_dates_and_days() {
        for (text, expected) in [
            ("1787150474", Some(1_787_150_474)),
            (r#""2025-01-12T05:59:14.154311+00:00""#, Some(1_736_661_554)),
            (r#""2026-08-10""#, Some(1_786_320_000)),
            (r#""soon""#, None),
            ("[]", None),
            ("1.5", None),
        ] {
            let moment: Moment<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(moment.seconds(), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_line_keeps_its_id() {
        let line = r#"{"id": "batch_req_1", "custom_id" : "a\"7", "response": {"body": {"#;
        let broken = serde_json::from_str::<IgnoredAny>(line).unwrap_err();
        let item = unreadable_line(line, &broken, &["key", "custom_id"]);
        assert_eq!(item.id, "a\"7");
        assert_eq!(item.outcome.as_str(), "failed");
    }

    #[test]
    fn a_body_without_an_id_is_an_error_or_nothing() {
        let stated = br#"{"error":{"message":"no","type":"server_error"}}"#;
        let error = require_id("p", "a batch", None, stated).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InternalServer);
        let error = require_id("p", "a batch", Some(String::new()), b"{}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}
