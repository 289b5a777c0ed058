//! Parses error bodies in all known formats.

use super::limits::{self, Limit};
use crate::{
    codec::sse::{SseDecoder, SseEvent},
    json::Reader,
};
use serde_json::{Map, Value};

/// A longer body is not an error description, and parsing it would need a multiple of its size in memory.
const MOST_BODY: usize = 1 << 20;

/// Maximum depth of an `error` in a gateway's own fields.
const MOST_WRAPPERS: usize = 4;

/// The content of an error body. Every field is optional, because some provider lacks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The provider's message.
    pub message: Option<String>,
    /// The provider's error code, such as `model_not_found`.
    pub code: Option<String>,
    /// The provider's error type, such as `invalid_request_error`.
    pub error_type: Option<String>,
    /// The name of the invalid parameter.
    pub param: Option<String>,
    /// A status inside the body; it has precedence over the HTTP status.
    pub status: Option<u16>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// How long to wait, as the provider writes it (`37s`).
    pub retry_delay: Option<String>,
    /// The kind of limit, according to the names of the exceeded quotas.
    pub(crate) limit: Option<Limit>,
    /// Whether one of these quotas is zero.
    pub(crate) is_zero: bool,
    /// An upstream's message that a gateway quotes, if it is not JSON.
    pub(crate) quoted: Option<String>,
}

impl ErrorBody {
    /// Parses a body or a stream event that may be an error in JSON. `None` if it is not JSON or not an error.
    ///
    /// Formats: `{"error": {..}}`, `{"error": "text"}`, the same inside an array (Gemini), flat `{"message", "type",
    /// "code"}` (Cerebras, Mistral), `{"detail": ..}` (FastAPI), AWS `{"__type", "Message"}`, `{"errors": [{..}]}`
    /// (Cloudflare), `{"base_resp": {..}}` (MiniMax); each of them also as the data of an event (`data: {..}`), and
    /// an upstream's body quoted by a gateway.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<ErrorBody> {
        if body.len() > MOST_BODY {
            return None;
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if !fits(body) {
            return None;
        }
        match serde_json::from_slice(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self::from_events(body),
        }
    }

    /// Parses the body of a response whose status is a failure. If it has none of the known formats, an `error`
    /// inside a gateway's own fields counts (`{"response": {"body": {"error": {..}}}}`).
    pub(crate) fn of_failure(body: &[u8]) -> Option<ErrorBody> {
        let plain = Self::parse(body);
        if plain.as_ref().is_some_and(|plain| plain.message.is_some()) {
            return plain;
        }
        let wrapped = (body.len() <= MOST_BODY && fits(body))
            .then(|| serde_json::from_slice(body).ok())
            .flatten()
            .and_then(|value: Value| Self::inside(&value, MOST_WRAPPERS));
        wrapped.or(plain)
    }

    /// The error in one of the value's fields, at any depth.
    fn inside(value: &Value, depth: usize) -> Option<ErrorBody> {
        let depth = depth.checked_sub(1)?;
        let object = value.as_object()?;
        let mut members = object.values().filter_map(Value::as_object);
        members
            .find_map(|member| {
                let error = member.get("error")?;
                (error.is_object() || error.is_string()).then(|| Self::from_object(member))?
            })
            .or_else(|| {
                let mut members = object.values();
                members.find_map(|member| Self::inside(member, depth))
            })
    }

    fn from_value(value: &Value) -> Option<ErrorBody> {
        match value {
            Value::Object(object) => Self::from_object(object),
            Value::Array(elements) => elements
                .iter()
                .find_map(|e| Self::from_object(e.as_object()?)),
            _ => None,
        }
    }

    /// An error in event framing although the status is a failure. The first event with an error counts.
    fn from_events(body: &[u8]) -> Option<ErrorBody> {
        let mut decoder = SseDecoder::new(body.len());
        let read = |event: SseEvent<'_>| {
            if let Ok(value) = serde_json::from_str(event.data) {
                return Self::from_value(&value);
            }
            // The blank line between two events may be missing.
            let mut lines = event.data.lines();
            lines.find_map(|line| Self::from_value(&serde_json::from_str(line).ok()?))
        };
        let mut rest = body.trim_ascii_start();
        while let Some(event) = decoder.next(&mut rest).ok()? {
            if let Some(found) = read(event) {
                return Some(found);
            }
        }
        // The blank line after an event may be missing.
        read(decoder.finish().ok()??)
    }

    fn from_object(object: &Map<String, Value>) -> Option<ErrorBody> {
        let mut found = ErrorBody::default();
        match object.get("error") {
            Some(Value::Object(error)) => found.read_nested(error),
            Some(Value::String(text)) => found.read_text(text, object),
            _ => match error_elsewhere(object) {
                Some(error) => found.read_nested(error),
                None => found.read(object),
            },
        }
        found.status = ["status_code", "raw_status_code", "statusCode"]
            .iter()
            .find_map(|name| status(object.get(*name)))
            .or(found.status);
        found.request_id = found.request_id.or_else(|| word(object.get("request_id")));
        found.retry_delay = found.retry_delay.take().or_else(|| retry_delay(object));
        (found.message.is_some() || found.code.is_some() || found.error_type.is_some())
            .then_some(found)
    }

    /// `{"error": "text", "code"}`, and `{"error": "word", "message": "text"}`.
    fn read_text(&mut self, text: &str, object: &Map<String, Value>) {
        self.code = word(object.get("code"));
        self.error_type = word(object.get("error_type")).or_else(|| word(object.get("type")));
        match message(object).filter(|_| !text.contains(' ')) {
            Some(more) => {
                self.message = Some(more);
                self.code = self.code.take().or_else(|| Some(text.to_owned()));
            }
            None => self.message = Some(text.to_owned()),
        }
        self.read_quoted();
    }

    fn read_nested(&mut self, error: &Map<String, Value>) {
        self.read(error);
        self.read_upstream(error);
        self.read_quoted();
        if self.message.is_none() {
            // `{"error": {"error": {..}}}`
            if let Some(inner) = Self::from_object(error).filter(|_| error.contains_key("error")) {
                *self = inner;
            }
        }
    }

    fn read(&mut self, error: &Map<String, Value>) {
        self.message = message(error);
        self.code = ["code", "Code"]
            .iter()
            .find_map(|name| word(error.get(*name)));
        self.error_type = word(error.get("type")).or_else(|| word(error.get("__type")));
        // In Gemini's errors `code` is the HTTP status and `status` is the error type.
        if let Some(word) = word(error.get("status")).filter(|word| !is_number(word)) {
            self.code = Some(word);
        }
        self.param = word(error.get("param"));
        self.status = status(error.get("status_code")).or_else(|| status(error.get("code")));
        // MiniMax's numbers are not HTTP statuses.
        if let Some(text) = word(error.get("status_msg")) {
            self.message = Some(text);
            self.code = word(error.get("status_code"));
        }
        self.request_id = word(error.get("request_id"));
        self.retry_delay = retry_delay(error);
        match error.get("details") {
            Some(Value::Array(details)) => {
                details.iter().for_each(|detail| self.detail(detail));
                // Azure AI Foundry: pydantic's validation errors.
                let complaints = complaints(details);
                self.message = match (self.message.take(), complaints) {
                    (Some(message), Some(complaints)) => Some([message, complaints].join(": ")),
                    (message, complaints) => message.or(complaints),
                };
            }
            // Anthropic
            Some(Value::Object(details)) => {
                let code = word(details.get("error_code"));
                self.code = self.code.take().or(code);
            }
            _ => {}
        }
        // Google's older form
        if self.error_type.is_none() {
            let reason = error.get("errors").and_then(|errors| errors.get(0));
            self.error_type = word(reason.and_then(|reason| reason.get("reason")));
        }
        if let Some(inner) = error
            .get("innererror")
            .and_then(|inner| word(inner.get("code")))
        {
            self.error_type = Some(inner);
        }
    }

    /// Reads one of Google's details: `ErrorInfo`, `RetryInfo`, `QuotaFailure`.
    fn detail(&mut self, detail: &Value) {
        if let Some(reason) = word(detail.get("reason")) {
            self.error_type = Some(reason);
        }
        if let Some(delay) = word(detail.get("retryDelay")) {
            self.retry_delay = Some(delay);
        }
        let violations = detail.get("violations").and_then(Value::as_array);
        for violation in violations.into_iter().flatten() {
            self.quota(violation, "quotaId", "quotaValue");
        }
        if let Some(metadata) = detail.get("metadata") {
            self.quota(metadata, "quota_limit", "quota_limit_value");
        }
    }

    /// Reads an exceeded quota. The one with the longest period counts.
    fn quota(&mut self, quota: &Value, name: &str, value: &str) {
        let limit = word(quota.get(name)).and_then(|name| limits::of_name(&name));
        if self.limit != Some(Limit::Lasting) {
            self.limit = limit.or(self.limit);
        }
        self.is_zero |= word(quota.get(value)).is_some_and(|value| value == "0");
    }

    /// OpenRouter puts the upstream's body, as JSON in a string, into `metadata.raw`.
    fn read_upstream(&mut self, error: &Map<String, Value>) {
        let raw = error
            .get("metadata")
            .and_then(|metadata| metadata.get("raw"));
        let upstream = match raw {
            Some(Value::String(raw)) if !fits(raw.as_bytes()) => None,
            Some(Value::String(raw)) => match serde_json::from_str(raw) {
                Ok(Value::Object(object)) => Self::from_object(&object),
                Ok(Value::Array(list)) => {
                    list.iter().find_map(|e| Self::from_object(e.as_object()?))
                }
                Ok(_) => None,
                Err(_) => {
                    self.quoted = Some(raw.clone());
                    None
                }
            },
            Some(Value::Object(object)) => Self::from_object(object),
            _ => None,
        };
        if let Some(upstream) = upstream {
            if let (Some(message), Some(more)) = (&mut self.message, &upstream.message) {
                if message != more {
                    message.push_str(": ");
                    message.push_str(more);
                }
            }
            self.adopt(upstream);
        }
    }

    /// Gateways such as LiteLLM quote the upstream's body in their message.
    fn read_quoted(&mut self) {
        let Some(quoted) = self
            .message
            .as_deref()
            .and_then(|text| text.get(text.find('{')?..))
            .filter(|text| fits(text.as_bytes()))
        else {
            return;
        };
        let mut values = serde_json::Deserializer::from_str(quoted).into_iter::<Value>();
        if let Some(Ok(Value::Object(object))) = values.next() {
            if let Some(upstream) =
                Self::from_object(&object).filter(|_| object.contains_key("error"))
            {
                self.adopt(upstream);
            }
        }
    }

    /// Adopts the upstream's other fields.
    fn adopt(&mut self, upstream: ErrorBody) {
        self.error_type = self.error_type.take().or(upstream.error_type);
        self.code = upstream
            .code
            .filter(|code| status(Some(&Value::String(code.clone()))).is_none())
            .or(self.code.take());
        self.retry_delay = self.retry_delay.take().or(upstream.retry_delay);
        self.limit = self.limit.or(upstream.limit);
        self.is_zero |= upstream.is_zero;
    }
}

/// Whether a body or an event is an error in any format and has no content of a response. Keeps nothing of what it
/// parses.
pub(crate) fn states_an_error(text: &str) -> bool {
    let mut reader = Reader::new(text);
    let (mut errors, mut answers) = (false, false);
    let mut member = |name: &str, reader: &mut Reader<'_>| {
        let first = reader.peek()?;
        match name {
            "error" => errors |= matches!(first, b'{' | b'"'),
            "message" | "detail" => errors |= first == b'"',
            "errors" => errors |= first == b'[',
            "base_resp" => errors |= first == b'{',
            "choices" | "candidates" | "content" | "output" => answers |= first != b'n',
            _ => {}
        }
        reader.skip_unread()
    };
    let read = match reader.peek() {
        Ok(b'{') => reader.object(member),
        Ok(b'[') => reader.list(|reader| match reader.peek()? {
            b'{' => reader.object(&mut member),
            _ => reader.skip_unread(),
        }),
        _ => return false,
    };
    read.is_ok() && errors && !answers && ErrorBody::parse(text.as_bytes()).is_some()
}

/// An error that is not in `error`.
fn error_elsewhere(object: &Map<String, Value>) -> Option<&Map<String, Value>> {
    // FastAPI's `detail` can be what a handler raised.
    let detail = object.get("detail").and_then(Value::as_object);
    if let Some(detail) = detail {
        return Some(detail);
    }
    // Cloudflare
    let errors = object.get("errors").and_then(Value::as_array);
    if let Some(first) = errors
        .and_then(|errors| errors.first())
        .and_then(Value::as_object)
    {
        return (!object.contains_key("message")).then_some(first);
    }
    // MiniMax sends it with every response.
    let base = object.get("base_resp").and_then(Value::as_object)?;
    let failed = base.get("status_code").and_then(Value::as_i64) != Some(0);
    failed.then_some(base)
}

/// In seconds, if no unit is given.
fn retry_delay(error: &Map<String, Value>) -> Option<String> {
    ["retry_after", "retry_after_seconds", "retryAfter"]
        .iter()
        .find_map(|name| word(error.get(*name)))
}

/// Maximum size of a parsed body, as a multiple of its text.
const MAX_TREE_BYTES: usize = 4;

/// Whether the parsed text would have a size in proportion to it.
fn fits(text: &[u8]) -> bool {
    let most = MAX_TREE_BYTES
        .saturating_mul(text.len())
        .saturating_add(64 << 10);
    tree_size(text) <= most
}

/// The approximate size of the parsed JSON text without its strings, in bytes.
fn tree_size(text: &[u8]) -> usize {
    /// A growing list needs twice its size, and the nodes of a map are not full.
    const ELEMENT: usize = 3 * size_of::<Value>();
    const MAP: usize = 11 * (size_of::<String>() + size_of::<Value>());
    let (mut size, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b',' | b'[' => size = size.saturating_add(ELEMENT),
            b'{' => size = size.saturating_add(MAP),
            _ => {}
        }
    }
    size
}

/// The message of an error: a string, an object with `detail`, or FastAPI's list of validation errors.
fn message(error: &Map<String, Value>) -> Option<String> {
    ["message", "Message", "detail"]
        .iter()
        .find_map(|name| match error.get(*name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Object(object) => message(object),
            Value::Array(list) => complaints(list),
            _ => None,
        })
}

/// pydantic's validation errors, with their locations.
fn complaints(list: &[Value]) -> Option<String> {
    let words: Vec<String> = list.iter().filter_map(complaint).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn complaint(complaint: &Value) -> Option<String> {
    let text = complaint.get("msg")?.as_str()?;
    let place: Vec<String> = complaint
        .get("loc")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|step| word(Some(step)))
        .collect();
    Some(if place.is_empty() {
        text.to_owned()
    } else {
        format!("{}: {text}", place.join("."))
    })
}

/// A string or a number as text; `None` if empty or null.
fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn status(value: Option<&Value>) -> Option<u16> {
    let number = match value? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    u16::try_from(number)
        .ok()
        .filter(|status| (400..=599).contains(status))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> ErrorBody {
        ErrorBody::parse(body.as_bytes()).unwrap_or_else(|| panic!("not read: {body}"))
    }

    // F28, F30, F43
    #[test]
    fn reads_every_shape_in_use() {
        let cases = [
            (
                r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#,
                "m",
                Some("c"),
                Some("t"),
            ),
            (
                r#"{"message":"m","type":"t","param":"p","code":"c"}"#,
                "m",
                Some("c"),
                Some("t"),
            ),
            (r#"{"error":"m"}"#, "m", None, None),
            (
                r#"{"code":"invalid-argument","error":"m"}"#,
                "m",
                Some("invalid-argument"),
                None,
            ),
            (
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                "m",
                Some("INVALID_ARGUMENT"),
                None,
            ),
            (r#"{"detail":"m"}"#, "m", None, None),
            (
                r#"{"object":"error","message":{"detail":[{"loc":["body","x"],"msg":"m"}]},"type":"t"}"#,
                "body.x: m",
                None,
                Some("t"),
            ),
            (
                r#"{"Message":"m","__type":"ns#Thing"}"#,
                "m",
                None,
                Some("ns#Thing"),
            ),
            (
                r#"{"error":{"code":404,"message":"m"}}"#,
                "m",
                Some("404"),
                None,
            ),
            ("\u{feff}{\"message\":\"m\"}", "m", None, None),
        ];
        for (body, message, code, error_type) in cases {
            let read = parse(body);
            assert_eq!(read.message.as_deref(), Some(message), "{body}");
            assert_eq!(read.code.as_deref(), code, "{body}");
            assert_eq!(read.error_type.as_deref(), error_type, "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_gateways_fields_is_read_if_the_status_is_a_failure() {
        for body in [
            r#"{"status":"error","body":{"response":{"error":{"code":"c","message":"m"}}}}"#,
            r#"{"message":{"error":{"code":"c","message":"m"}}}"#,
            r#"{"success":false,"result":{"error":{"code":"c","message":"m"}},"messages":[]}"#,
        ] {
            let read = ErrorBody::of_failure(body.as_bytes()).unwrap();
            assert_eq!(read.message.as_deref(), Some("m"), "{body}");
            assert_eq!(read.code.as_deref(), Some("c"), "{body}");
        }
        let plain = br#"{"message":"m","upstream":{"error":{"message":"other"}}}"#;
        let read = ErrorBody::of_failure(plain).unwrap();
        assert_eq!(read.message.as_deref(), Some("m"));
        for silent in [&b"{\"id\":1}"[..], b"<html>", b"[]"] {
            assert_eq!(ErrorBody::of_failure(silent), None);
        }
        let deep = [
            r#"{"a":"#.repeat(9),
            r#"{"error":"m"}"#.into(),
            "}".repeat(9),
        ]
        .concat();
        assert_eq!(ErrorBody::of_failure(deep.as_bytes()), None);
    }

    #[test]
    fn pydantic_errors_are_reported_with_their_location() {
        let complaint = r#"[{"type":"extra_forbidden","loc":["body","top_k"],"msg":"Extra inputs are not permitted"}]"#;
        for (body, message) in [
            (
                format!(r#"{{"detail":{complaint}}}"#),
                "body.top_k: Extra inputs are not permitted",
            ),
            (
                format!(
                    r#"{{"error":{{"code":"Invalid input","status":422,"message":"invalid input error","details":{complaint}}}}}"#
                ),
                "invalid input error: body.top_k: Extra inputs are not permitted",
            ),
        ] {
            assert_eq!(parse(&body).message.as_deref(), Some(message), "{body}");
        }
    }

    #[test]
    fn a_status_inside_the_body_is_read() {
        assert_eq!(
            parse(r#"{"error":{"message":"m"},"status_code":429}"#).status,
            Some(429)
        );
        assert_eq!(
            parse(r#"{"error":{"message":"m","code":502}}"#).status,
            Some(502)
        );
        assert_eq!(parse(r#"{"error":{"message":"m","code":7}}"#).status, None);
    }

    #[test]
    fn an_upstream_error_in_a_string_is_unwrapped() {
        let body = r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}"}}}"#;
        let read = parse(body);
        assert_eq!(
            read.message.as_deref(),
            Some("Provider returned error: too long")
        );
        assert_eq!(read.code.as_deref(), Some("context_length_exceeded"));
    }

    #[test]
    fn body_without_error_is_not_an_error() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            "3",
            r#"{"choices":[]}"#,
            "{\"error\":",
            r#"{"error":null}"#,
        ] {
            assert_eq!(ErrorBody::parse(body.as_bytes()), None, "{body}");
        }
    }
}
