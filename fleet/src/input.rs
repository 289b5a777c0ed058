//! Lines of an input, and the requests that they are.

use crate::FleetError;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};
use unifiedai::{ChatRequest, ContentPart, Message, Role};

/// Where the line of an item is: a file or URL, an offset and a length in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemSource {
    /// The path or the URL.
    pub uri: String,
    /// The offset of the line.
    pub place: u64,
    /// The length of the line.
    pub size: usize,
}

impl ItemSource {
    pub(crate) fn new((uri, place, size): (String, u64, usize)) -> Self {
        ItemSource { uri, place, size }
    }

    pub(crate) fn is_url(&self) -> bool {
        self.uri.starts_with("http://") || self.uri.starts_with("https://")
    }

    /// Reads the line from a file.
    pub(crate) fn read_file(&self) -> Result<Vec<u8>, FleetError> {
        let path = Path::new(&self.uri);
        let failed = |e| FleetError::file(path, e);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.place)).map_err(failed)?;
        let mut line = vec![0; self.size];
        file.read_exact(&mut line).map_err(failed)?;
        Ok(line)
    }
}

/// A line of an input: its id, and its body as it is written.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) key: String,
    pub(crate) body: &'a str,
}

/// The longest id.
const MAX_KEY: usize = 512;

/// Reads `{"custom_id": .., "body": {..}}`; other members are ignored.
pub(crate) fn parse_line(line: &[u8]) -> Result<Line<'_>, String> {
    #[derive(Deserialize)]
    struct Known<'a> {
        custom_id: Option<Value>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(line).map_err(|e| format!("it is not UTF-8: {e}"))?;
    let known: Known<'_> =
        serde_json::from_str(text).map_err(|e| format!("it is not a JSON object: {e}"))?;
    let Some(Value::String(key)) = known.custom_id else {
        return Err("`custom_id` is missing or is not a string".into());
    };
    if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
        return Err(format!(
            "`custom_id` must have 1 to {MAX_KEY} bytes, none of them NUL"
        ));
    }
    let body = known.body.map_or("null", RawValue::get);
    Ok(Line { key, body })
}

/// The request of an item's body. `model` is for a body that names none.
///
/// A message with a role and a text is read; another message, and each member except `model`, `messages`, `stream`, `max_tokens` and
/// `temperature`, is sent as it is.
///
/// # Errors
/// What is wrong with the body, as text.
pub fn read_item(body: &str, model: Option<&str>) -> Result<ChatRequest, String> {
    let body: Value = serde_json::from_str(body).map_err(|e| format!("`body` is not JSON: {e}"))?;
    let Value::Object(body) = body else {
        return Err("`body` is missing or is not an object".into());
    };
    let model = match body.get("model") {
        None => {
            model.ok_or("`body.model` is missing, and the run was submitted without --model")?
        }
        Some(named) => named.as_str().ok_or("`body.model` is not a string")?,
    };
    let Some(Value::Array(messages)) = body.get("messages") else {
        return Err("`body.messages` is missing or is not an array".into());
    };
    let mut request = ChatRequest::new(model);
    match messages.iter().map(plain).collect::<Option<Vec<Message>>>() {
        Some(plain) => request = request.messages(plain),
        None => {
            // The array of the body replaces this message.
            request = request.user("-");
            request = extra(request, "messages", &Value::Array(messages.clone()))?;
        }
    }
    members(request, &body)
}

fn members(mut request: ChatRequest, body: &Map<String, Value>) -> Result<ChatRequest, String> {
    for (name, value) in body {
        match (name.as_str(), value) {
            ("model" | "messages" | "stream", _) => {}
            ("max_tokens" | "max_completion_tokens", value) if value.is_u64() => {
                request.max_tokens = value.as_u64();
            }
            ("temperature", value) if value.is_number() => request.temperature = value.as_f64(),
            _ => request = extra(request, name, value)?,
        }
    }
    Ok(request)
}

fn extra(request: ChatRequest, name: &str, value: &Value) -> Result<ChatRequest, String> {
    request
        .extra(name, value)
        .map_err(|error| error.message().to_owned())
}

/// A message of only a role and a text.
fn plain(message: &Value) -> Option<Message> {
    let message = message.as_object()?;
    let text = message.get("content")?.as_str()?;
    if message.len() != 2 {
        return None;
    }
    match message.get("role")?.as_str()? {
        "system" => Some(Message::system(text)),
        "user" => Some(Message::user(text)),
        "assistant" => Some(Message::assistant(text)),
        "developer" => Some(Message::new(Role::Developer, vec![ContentPart::text(text)])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_id_and_its_body_as_written() {
        let line =
            parse_line(br#"{"custom_id": "a", "method": "POST", "body": {"n":  1.10}}"#).unwrap();
        assert_eq!((line.key.as_str(), line.body), ("a", r#"{"n":  1.10}"#));
        assert_eq!(parse_line(br#"{"custom_id": "a"}"#).unwrap().body, "null");
    }

    #[test]
    fn a_bad_line_is_refused_with_its_fault() {
        for (line, what) in [
            ("", "not a JSON object"),
            ("{\"body\": {}}", "`custom_id` is missing"),
            ("{\"custom_id\": 1}", "is not a string"),
            ("{\"custom_id\": \"\"}", "1 to 512 bytes"),
        ] {
            let error = parse_line(line.as_bytes()).unwrap_err();
            assert!(error.contains(what), "{line}: {error}");
        }
        assert!(
            parse_line(&[b'"', 0xff, b'"'])
                .unwrap_err()
                .contains("UTF-8")
        );
    }

    #[test]
    fn a_body_is_a_request_and_keeps_what_is_not_known() {
        let body = r#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "temperature": 0.5, "seed": 7}"#;
        let request = read_item(body, Some("m")).unwrap();
        assert_eq!(
            (
                request.model.as_str(),
                request.max_tokens,
                request.temperature
            ),
            ("m", Some(5), Some(0.5))
        );
        assert!(read_item(body, None).unwrap_err().contains("--model"));
        for bad in ["null", "[]", r#"{"model": 1}"#, r#"{"model": "m"}"#] {
            assert!(read_item(bad, Some("m")).is_err(), "{bad}");
        }
    }
}
