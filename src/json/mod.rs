//! JSON that is passed through without interpretation: schemas, provider blocks, extra fields, raw bodies. Also the
//! JSON reader and writer.
//!
//! The reader is private. It reads one pass into the final place, accepts what servers send wrongly (a member of another type, a
//! member given twice, half of a surrogate pair), and counts what a text becomes in memory against one budget. Reading through
//! `serde_json` cost 18,000 instructions more a call and 3,000 more an event (docs/performance.md). `against_serde` compares the
//! two on whole documents. A provider outside of this crate uses `serde`.

#[cfg(test)]
mod against_serde;
mod partial;
mod reader;
mod reading;
mod writer;

pub use partial::{PartialJson, PartialJsonError};
pub(crate) use reader::{Budget, JsonError, Name, Reader, plain};
pub(crate) use writer::{ListWriter, ObjectWriter};

use crate::{Error, ErrorKind};
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON value that keeps its original text: field order, number notation and white space.
///
/// Two values are equal if their texts are equal.
#[derive(Clone)]
pub struct Json(Text);

#[derive(Clone)]
enum Text {
    Value(Box<RawValue>),
    /// A part of a parsed document. `serde_json` would have to parse it again to store it, which most values never
    /// need.
    Part(Box<str>),
}

impl Json {
    /// Serialises `value` as JSON text.
    ///
    /// # Errors
    /// `invalid_request` if the value cannot be serialised as JSON (for example a map with keys that are not
    /// strings).
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Json, Error> {
        serde_json::value::to_raw_value(value)
            .map(|raw| Json(Text::Value(raw)))
            .map_err(|e| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("this value cannot be written as JSON: {e}"),
                )
            })
    }

    /// Checks and stores `text`.
    ///
    /// # Errors
    /// `invalid_request` if it is not exactly one JSON value.
    pub fn parse(text: impl Into<String>) -> Result<Json, Error> {
        RawValue::from_string(text.into())
            .map(|raw| Json(Text::Value(raw)))
            .map_err(|e| Error::new(ErrorKind::InvalidRequest, format!("not a JSON value: {e}")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Value(raw) => raw.get(),
            Text::Part(text) => text,
        }
    }

    /// Deserialises the value as a Rust type.
    ///
    /// # Errors
    /// `protocol` if the value does not have the type's shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.as_str()).map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!("the JSON value does not match the requested type: {e}"),
            )
        })
    }

    /// Stores a value that was parsed as part of a larger document.
    pub(crate) fn part(text: &str) -> Json {
        Json(Text::Part(text.into()))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    /// On one line: line breaks between tokens become spaces, so that one value stays one line.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Text::Value(raw) => serialize_on_one_line(raw, serializer),
            Text::Part(text) => {
                let raw = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                serialize_on_one_line(raw, serializer)
            }
        }
    }
}

/// JSON strings contain no line breaks, so every line break is between tokens.
pub(crate) fn serialize_on_one_line<S: Serializer>(
    raw: &RawValue,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if memchr::memchr2(b'\n', b'\r', raw.get().as_bytes()).is_none() {
        return raw.serialize(serializer);
    }
    let line = raw.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line)
        .map_err(serde::ser::Error::custom)?
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_original_text() {
        let text = r#"{"b": 1.0,"a":18446744073709551616}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.as_str(), text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
    }

    #[test]
    fn is_written_on_one_line() {
        let json = Json::parse("{\r\n  \"a\": \"b\\n\"\n}").unwrap();
        assert_eq!(
            serde_json::to_string(&json).unwrap(),
            "{    \"a\": \"b\\n\" }"
        );
    }

    #[test]
    fn refuses_input_that_is_not_one_value() {
        for text in ["", "{", "1 2", "{'a':1}", "NaN"] {
            assert_eq!(
                Json::parse(text).unwrap_err().kind(),
                ErrorKind::InvalidRequest,
                "{text}"
            );
        }
    }
}
