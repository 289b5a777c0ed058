//! Reading what a provider says about a failure, in any of the shapes that are in use.

use serde_json::{Map, Value};

/// What an error body says. Every member is optional because every one is missing somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorBody {
    /// What went wrong, in the provider's words.
    pub message: Option<String>,
    /// A word for programs, such as `model_not_found`.
    pub code: Option<String>,
    /// A wider word for programs, such as `invalid_request_error`.
    pub error_type: Option<String>,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// A status inside the body, which counts before the HTTP status.
    pub status: Option<u16>,
    /// The provider's id for the request.
    pub request_id: Option<String>,
    /// How long to wait, in the provider's own words (`37s`).
    pub retry_delay: Option<String>,
}

impl ErrorBody {
    /// Reads a body or a stream event that may be an error in JSON. `None` if it is not JSON or says nothing of an error.
    ///
    /// Shapes: `{"error": {..}}`, `{"error": "text"}`, the same inside an array (Gemini), flat `{"message", "type", "code"}`
    /// (Cerebras, Mistral), `{"detail": ..}` (FastAPI), AWS `{"__type", "Message"}`.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<ErrorBody> {
        // Whoever describes an error at such a length describes something else, and reading it would take a multiple of it.
        if body.len() > 1 << 20 {
            return None;
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if tree_size(body)
            > MOST_TREE
                .saturating_mul(body.len())
                .saturating_add(64 << 10)
        {
            return None;
        }
        match serde_json::from_slice(body).ok()? {
            Value::Object(object) => Self::from_object(&object),
            Value::Array(elements) => elements
                .iter()
                .find_map(|e| Self::from_object(e.as_object()?)),
            _ => None,
        }
    }

    fn from_object(object: &Map<String, Value>) -> Option<ErrorBody> {
        let mut found = ErrorBody::default();
        match object.get("error") {
            Some(Value::Object(error)) => {
                found.read(error);
                found.read_upstream(error);
            }
            Some(Value::String(text)) => {
                found.message = Some(text.clone());
                found.code = word(object.get("code"));
                found.error_type = word(object.get("error_type"));
            }
            _ => found.read(object),
        }
        found.status = ["status_code", "raw_status_code"]
            .iter()
            .find_map(|name| status(object.get(*name)))
            .or(found.status);
        found.request_id = found.request_id.or_else(|| word(object.get("request_id")));
        (found.message.is_some() || found.code.is_some() || found.error_type.is_some())
            .then_some(found)
    }

    fn read(&mut self, error: &Map<String, Value>) {
        self.message = message(error);
        self.code = word(error.get("code")).or_else(|| word(error.get("Code")));
        self.error_type = word(error.get("type")).or_else(|| word(error.get("__type")));
        // Gemini's `code` is the HTTP status and its `status` the word.
        if let Some(word) = word(error.get("status")).filter(|word| !is_number(word)) {
            self.code = Some(word);
        }
        self.param = word(error.get("param"));
        self.status = status(error.get("status_code")).or_else(|| status(error.get("code")));
        self.request_id = word(error.get("request_id"));
        for detail in error
            .get("details")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(reason) = word(detail.get("reason")) {
                self.error_type = Some(reason);
            }
            if let Some(delay) = word(detail.get("retryDelay")) {
                self.retry_delay = Some(delay);
            }
        }
        if let Some(inner) = error
            .get("innererror")
            .and_then(|inner| word(inner.get("code")))
        {
            self.error_type = Some(inner);
        }
    }

    /// OpenRouter puts the upstream's own body, as JSON in a string, into `metadata.raw`.
    fn read_upstream(&mut self, error: &Map<String, Value>) {
        let Some(raw) = error
            .get("metadata")
            .and_then(|metadata| metadata.get("raw"))
            .and_then(Value::as_str)
        else {
            return;
        };
        let upstream = match serde_json::from_str(raw) {
            Ok(Value::Object(object)) => Self::from_object(&object),
            _ => None,
        };
        if let Some(upstream) = upstream {
            if let (Some(message), Some(more)) = (&mut self.message, &upstream.message) {
                if message != more {
                    message.push_str(": ");
                    message.push_str(more);
                }
            }
            self.error_type = self.error_type.take().or(upstream.error_type);
            self.code = upstream
                .code
                .filter(|code| !is_number(code))
                .or(self.code.take());
        }
    }
}

/// How many times its text a body may take once it is read.
const MOST_TREE: usize = 4;

/// About how much memory the tree of a JSON text takes beside its strings, in bytes.
fn tree_size(text: &[u8]) -> usize {
    /// A list that grows is there twice, and a map is a tree whose nodes are not full.
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

/// The words of an error: a string, an object with `detail`, or FastAPI's list of complaints.
fn message(error: &Map<String, Value>) -> Option<String> {
    ["message", "Message", "detail"]
        .iter()
        .find_map(|name| match error.get(*name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Object(object) => message(object),
            Value::Array(complaints) => {
                let words: Vec<String> = complaints.iter().filter_map(complaint).collect();
                (!words.is_empty()).then(|| words.join("; "))
            }
            _ => None,
        })
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

/// A string or a number as a word; empty ones and nulls are nothing.
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
    fn what_says_nothing_of_an_error_is_not_one() {
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
