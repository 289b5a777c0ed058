//! Stream events, and how they are folded into a response.

mod accumulator;
mod response_builder;

use crate::{
    FinishReason, Json, ToolCall, Usage,
    chat::{
        Citation, Compaction, HostedToolCall, HostedToolResult, Logprobs, ProviderBlock,
        ServerTiming, Warning,
    },
};
use bytes::Bytes;

pub use accumulator::Accumulator;
pub(crate) use response_builder::{MESSAGE_KEY, ToolCallProgress};
pub use response_builder::{ResponseBuilder, ResponseLimits, ResponseStart, ToolFragment};

/// An event of a streamed response.
///
/// `choice` is the index of the choice. `part` orders the parts of its message: parts with lower numbers come first,
/// whatever the order in which they arrive. Text, reasoning and tool calls have a start event before their first
/// delta, and an end event after their last. If a server alternates between two parts, each of them starts and ends
/// several times.
///
/// ```
/// use unifiedai::StreamEvent;
///
/// fn show(event: &StreamEvent) {
///     match event {
///         StreamEvent::TextDelta { text, .. } => print!("{text}"),
///         StreamEvent::ToolCallEnd { call, .. } => println!("{}({})", call.name, call.arguments),
///         StreamEvent::Finish { reason, .. } => println!("finished: {reason:?}"),
///         _ => {}
///     }
/// }
/// # let _ = show;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The response's id, model and date. Emitted once, and again if a later message of the provider adds to them.
    Start(Box<ResponseStart>),
    /// Text begins.
    TextStart {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
    },
    /// More text.
    TextDelta {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The text.
        text: String,
    },
    /// Text ends.
    TextEnd {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
    },
    /// Reasoning begins.
    ReasoningStart {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
    },
    /// More reasoning.
    ReasoningDelta {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The text.
        text: String,
    },
    /// The signature of a reasoning part, which later requests must send back to the provider.
    ReasoningSignature {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The signature, or a part of it.
        signature: String,
    },
    /// Reasoning ends.
    ReasoningEnd {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
    },
    /// More of a refusal.
    RefusalDelta {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The text.
        text: String,
    },
    /// A tool call begins.
    ToolCallStart {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The call's id.
        id: String,
        /// The function's name.
        name: String,
    },
    /// More of a tool call's arguments. Do not execute them: only [`StreamEvent::ToolCallEnd`] is final.
    ToolCallDelta {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// A fragment of the arguments' text.
        arguments: String,
    },
    /// A tool call is complete.
    ToolCallEnd {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The complete call.
        call: Box<ToolCall>,
    },
    /// A complete call of a tool that the provider runs. Its result follows, if the API shows it.
    HostedToolCall {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The call.
        call: Box<HostedToolCall>,
    },
    /// The result of a tool that the provider ran.
    HostedToolResult {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The result.
        result: Box<HostedToolResult>,
    },
    /// The provider replaced the earlier conversation with a summary.
    Compaction {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The summary.
        compaction: Box<Compaction>,
    },
    /// A content block in the provider's own JSON.
    ProviderBlock {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The block.
        block: Box<ProviderBlock>,
    },
    /// A source for the text of a part.
    Citation {
        /// Index of the choice.
        choice: u32,
        /// Number of the part.
        part: u32,
        /// The source.
        citation: Box<Citation>,
    },
    /// Log probabilities of the tokens since the last such event.
    Logprobs {
        /// Index of the choice.
        choice: u32,
        /// The probabilities.
        logprobs: Box<Logprobs>,
    },
    /// Token counts; they replace earlier counts.
    Usage(Box<Usage>),
    /// The times that the server reports.
    Timing {
        /// In this library's form.
        server: ServerTiming,
        /// The provider's JSON object.
        raw: Option<Box<Json>>,
    },
    /// A field of the response that this library has no field for; a later value of the same name replaces it.
    Extra {
        /// The field's name.
        name: Box<str>,
        /// Its value.
        value: Box<Json>,
    },
    /// A choice is finished. Emitted once per choice.
    Finish {
        /// Index of the choice.
        choice: u32,
        /// The reason; `None` if the provider gave none.
        reason: Option<FinishReason>,
        /// The reason in the provider's own word.
        native: Option<Box<str>>,
    },
    /// A problem that the caller should know, but that is no error.
    Warning(Box<Warning>),
    /// A frame as received, if [`ChatRequest::include_raw_frames`](crate::ChatRequest::include_raw_frames) is set.
    Raw(Bytes),
}

impl StreamEvent {
    /// Whether a user could have seen it. After the first such event a failed call is not retried.
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
                | StreamEvent::HostedToolCall { .. }
                | StreamEvent::HostedToolResult { .. }
                | StreamEvent::Compaction { .. }
                | StreamEvent::ProviderBlock { .. }
        )
    }

    /// Moves the part behind `parts` other part numbers.
    pub(crate) fn shift_part(&mut self, parts: u32) {
        match self {
            StreamEvent::TextStart { part, .. }
            | StreamEvent::TextDelta { part, .. }
            | StreamEvent::TextEnd { part, .. }
            | StreamEvent::ReasoningStart { part, .. }
            | StreamEvent::ReasoningDelta { part, .. }
            | StreamEvent::ReasoningSignature { part, .. }
            | StreamEvent::ReasoningEnd { part, .. }
            | StreamEvent::RefusalDelta { part, .. }
            | StreamEvent::ToolCallStart { part, .. }
            | StreamEvent::ToolCallDelta { part, .. }
            | StreamEvent::ToolCallEnd { part, .. }
            | StreamEvent::HostedToolCall { part, .. }
            | StreamEvent::HostedToolResult { part, .. }
            | StreamEvent::Compaction { part, .. }
            | StreamEvent::ProviderBlock { part, .. }
            | StreamEvent::Citation { part, .. } => *part = part.saturating_add(parts),
            StreamEvent::Start(_)
            | StreamEvent::Logprobs { .. }
            | StreamEvent::Usage(_)
            | StreamEvent::Timing { .. }
            | StreamEvent::Extra { .. }
            | StreamEvent::Finish { .. }
            | StreamEvent::Warning(_)
            | StreamEvent::Raw(_) => {}
        }
    }

    /// The text, if this is a text delta.
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
