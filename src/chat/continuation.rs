//! The position in a response that the provider keeps.

use serde::{Deserialize, Serialize};

/// The position in a response that the provider keeps, such as a [background](crate::ChatRequest::background) response.
///
/// It is a plain value without secrets. Store it as JSON, and another process can go on: with
/// [`resume`](crate::Client::resume) or [`resume_stream`](crate::Client::resume_stream) of a client that has the provider of
/// this name.
///
/// ```
/// # use unifiedai::chat::Continuation;
/// let stored = r#"{"provider":"openai-responses","model":"gpt-5","response_id":"resp_1","streamed":true,"cursor":16}"#;
/// let position: Continuation = serde_json::from_str(stored)?;
/// assert_eq!(serde_json::to_string(&position)?, stored);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Continuation {
    /// The name of the provider that has the response.
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// The provider's id of the response.
    pub response_id: String,
    /// Whether the response was created as a stream. A provider may stream only such a response later.
    #[serde(default)]
    pub streamed: bool,
    /// The last event of the stream whose content was returned to the caller; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

impl Continuation {
    /// The beginning of a response, for an id that was stored in another way.
    #[must_use]
    pub fn new(
        provider: impl Into<String>,
        model: impl Into<String>,
        response_id: impl Into<String>,
    ) -> Self {
        Continuation {
            provider: provider.into(),
            model: model.into(),
            response_id: response_id.into(),
            streamed: false,
            cursor: None,
        }
    }

    /// Sets [`streamed`](Self::streamed).
    #[must_use]
    pub fn streamed(mut self, streamed: bool) -> Self {
        self.streamed = streamed;
        self
    }
}

/// A position in a stream, in the provider's own terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Cursor {
    /// The number of an event, such as `sequence_number` of OpenAI's Responses API.
    Number(u64),
    /// An opaque id of an event, such as `event_id` of Gemini's Interactions API.
    Token(String),
}

impl Cursor {
    /// Whether an event at this position comes at `other` or after it. The ids of events have no order: an id is only known to
    /// be at its own position.
    pub(crate) fn reaches(&self, other: &Cursor) -> bool {
        match (self, other) {
            (Cursor::Number(own), Cursor::Number(other)) => own >= other,
            (own, other) => own == other,
        }
    }

    pub(crate) fn size(&self) -> usize {
        match self {
            Cursor::Number(_) => 0,
            Cursor::Token(token) => token.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_ordered() {
        let token = |text: &str| Cursor::Token(text.to_owned());
        for (own, other, reaches) in [
            (Cursor::Number(4), Cursor::Number(5), false),
            (Cursor::Number(5), Cursor::Number(5), true),
            (Cursor::Number(6), Cursor::Number(5), true),
            (token("a"), token("a"), true),
            (token("b"), token("a"), false),
            (Cursor::Number(5), token("5"), false),
        ] {
            assert_eq!(own.reaches(&other), reaches, "{own:?} {other:?}");
        }
    }

    #[test]
    fn continuation_survives_json_with_either_cursor() {
        for cursor in [
            None,
            Some(Cursor::Number(u64::MAX)),
            Some(Cursor::Token("evt_1".into())),
        ] {
            let position = Continuation {
                cursor,
                ..Continuation::new("p", "m", "id").streamed(true)
            };
            let text = serde_json::to_string(&position).unwrap();
            let read: Continuation = serde_json::from_str(&text).unwrap();
            assert_eq!(read, position, "{text}");
        }
    }
}
