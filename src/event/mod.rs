//! What a stream is made of, and how events add up to a response.

mod accumulator;
mod response_builder;

use crate::{
    FinishReason, Json, ToolCall, Usage,
    chat::{Citation, Logprobs, ProviderBlock, ServerTiming, Warning},
};
use bytes::Bytes;

pub use accumulator::Accumulator;
pub(crate) use response_builder::{MESSAGE_KEY, ToolCallProgress};
pub use response_builder::{ResponseBuilder, ResponseLimits, ResponseStart, ToolFragment};

/// Something that happened in an answer.
///
/// `choice` is the number of the answer, `part` the place of a piece within its message: parts with lower numbers come
/// first, whatever the order in which they arrive. Text, reasoning and tool calls are started before their first delta
/// and ended after their last; a server that goes back and forth between two parts makes several such rounds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// Who answers. Comes once, or again where a later event of the provider says more.
    Start(Box<ResponseStart>),
    /// Text begins.
    TextStart {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
    },
    /// More text.
    TextDelta {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The text.
        text: String,
    },
    /// Text ends.
    TextEnd {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
    },
    /// Reasoning begins.
    ReasoningStart {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
    },
    /// More reasoning.
    ReasoningDelta {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The text.
        text: String,
    },
    /// What the provider wants back with a reasoning part.
    ReasoningSignature {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The signature, or a piece of it.
        signature: String,
    },
    /// Reasoning ends.
    ReasoningEnd {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
    },
    /// More of a refusal.
    RefusalDelta {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The text.
        text: String,
    },
    /// A tool call begins.
    ToolCallStart {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The call's id.
        id: String,
        /// The function's name.
        name: String,
    },
    /// More of a tool call's arguments. Not to be acted upon: only [`StreamEvent::ToolCallEnd`] is final.
    ToolCallDelta {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// A piece of the arguments' text.
        arguments: String,
    },
    /// A tool call is complete.
    ToolCallEnd {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The whole call.
        call: Box<ToolCall>,
    },
    /// A piece in the provider's own JSON.
    ProviderBlock {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The piece.
        block: Box<ProviderBlock>,
    },
    /// A source for the text of a part.
    Citation {
        /// The answer.
        choice: u32,
        /// The place in its message.
        part: u32,
        /// The source.
        citation: Box<Citation>,
    },
    /// Log probabilities of the tokens since the last such event.
    Logprobs {
        /// The answer.
        choice: u32,
        /// The probabilities.
        logprobs: Box<Logprobs>,
    },
    /// The tokens counted; replaces earlier counts.
    Usage(Box<Usage>),
    /// What the server says of its own time, and its own object for it.
    Timing {
        /// In the library's words.
        server: ServerTiming,
        /// As it came.
        raw: Option<Box<Json>>,
    },
    /// A member of the answer that has no place in the response; the last one of a name counts.
    Extra {
        /// The member's name.
        name: Box<str>,
        /// Its value.
        value: Box<Json>,
    },
    /// An answer is finished. Comes once per choice.
    Finish {
        /// The answer.
        choice: u32,
        /// Why, in OpenAI's words; `None` if the provider gave no reason.
        reason: Option<FinishReason>,
        /// Why, in the provider's word.
        native: Option<Box<str>>,
    },
    /// Something that the caller should know and that is no error.
    Warning(Box<Warning>),
    /// A frame as it came, if [`ChatRequest::include_raw_frames`](crate::ChatRequest::include_raw_frames) asked for it.
    Raw(Bytes),
}

impl StreamEvent {
    /// Whether a user could see it. After the first such event a failed call is not tried again by itself.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        matches!(
            self,
            StreamEvent::TextDelta { .. }
                | StreamEvent::ReasoningDelta { .. }
                | StreamEvent::RefusalDelta { .. }
                | StreamEvent::ToolCallStart { .. }
                | StreamEvent::ToolCallDelta { .. }
                | StreamEvent::ToolCallEnd { .. }
                | StreamEvent::ProviderBlock { .. }
        )
    }

    /// The text, if this is a piece of text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            StreamEvent::TextDelta { text, .. } => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visibility_and_text_of_events() {
        let (choice, part) = (0, 0);
        let words = || "word".to_owned();
        let (text, id, name, arguments) = (words(), words(), words(), words());
        let visible = [
            StreamEvent::TextDelta { choice, part, text },
            StreamEvent::ReasoningDelta {
                choice,
                part,
                text: words(),
            },
            StreamEvent::RefusalDelta {
                choice,
                part,
                text: words(),
            },
            StreamEvent::ToolCallStart {
                choice,
                part,
                id,
                name,
            },
            StreamEvent::ToolCallDelta {
                choice,
                part,
                arguments,
            },
        ];
        assert!(visible.iter().all(StreamEvent::is_visible));
        let texts: Vec<_> = visible.iter().filter_map(StreamEvent::text).collect();
        assert_eq!(texts, ["word"]);
        let unseen = [
            StreamEvent::TextStart { choice, part },
            StreamEvent::Warning(Box::new(Warning::new("w", "word"))),
            StreamEvent::Raw(Bytes::from_static(b"word")),
        ];
        assert!(!unseen.iter().any(StreamEvent::is_visible));
        assert!(unseen.iter().all(|event| event.text().is_none()));
    }
}
