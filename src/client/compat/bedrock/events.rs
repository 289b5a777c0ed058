use super::{
    convert,
    shapes::{ConverseMetrics, TokenUsage},
};
use crate::{StreamEvent, UnifiedChatResponse};
use serde::Serialize;

/// A piece of a streamed answer; as JSON it reads as an event of Bedrock's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ConverseEvent {
    /// The answer begins.
    MessageStart {
        /// Always `assistant`.
        role: &'static str,
    },
    /// A tool call begins; other blocks begin with their first piece.
    ContentBlockStart {
        /// What begins.
        start: BlockStart,
        /// The block's number.
        content_block_index: u32,
    },
    /// More of a block.
    ContentBlockDelta {
        /// The piece.
        delta: BlockDelta,
        /// The block's number.
        content_block_index: u32,
    },
    /// A block ends.
    ContentBlockStop {
        /// The block's number.
        content_block_index: u32,
    },
    /// The answer ends.
    MessageStop {
        /// Why.
        stop_reason: String,
    },
    /// What it took. Comes last.
    Metadata {
        /// The tokens counted.
        usage: TokenUsage,
        /// Times.
        metrics: ConverseMetrics,
    },
}

/// What begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum BlockStart {
    /// A tool call.
    ToolUse {
        /// What its result must name.
        tool_use_id: String,
        /// The tool.
        name: String,
    },
}

/// A piece of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum BlockDelta {
    /// Of its text.
    Text(String),
    /// Of a call's arguments.
    ToolUse {
        /// Text that is JSON once it is whole.
        input: String,
    },
    /// Of a thought.
    ReasoningContent(ReasoningDelta),
}

/// A piece of a thought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReasoningDelta {
    /// Of its text.
    Text(String),
    /// What the model wants back with it.
    Signature(String),
}

impl ConverseEvent {
    /// The text, if this is a piece of text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            ConverseEvent::ContentBlockDelta {
                delta: BlockDelta::Text(text),
                ..
            } => Some(text),
            _ => None,
        }
    }
}

/// What an event of a stream is in Bedrock's words; some have none there.
pub(super) fn event(event: StreamEvent) -> Option<ConverseEvent> {
    let delta = |part, delta| {
        Some(ConverseEvent::ContentBlockDelta {
            delta,
            content_block_index: part,
        })
    };
    match event {
        StreamEvent::TextDelta {
            part,
            text,
            choice: 0,
        }
        | StreamEvent::RefusalDelta {
            part,
            text,
            choice: 0,
        } => delta(part, BlockDelta::Text(text)),
        StreamEvent::ReasoningDelta {
            part,
            text,
            choice: 0,
        } => {
            let text = ReasoningDelta::Text(text);
            delta(part, BlockDelta::ReasoningContent(text))
        }
        StreamEvent::ReasoningSignature {
            part,
            signature,
            choice: 0,
        } => {
            let signature = ReasoningDelta::Signature(signature);
            delta(part, BlockDelta::ReasoningContent(signature))
        }
        StreamEvent::ToolCallStart {
            part,
            id,
            name,
            choice: 0,
        } => Some(ConverseEvent::ContentBlockStart {
            start: BlockStart::ToolUse {
                tool_use_id: id,
                name,
            },
            content_block_index: part,
        }),
        StreamEvent::ToolCallDelta {
            part,
            arguments,
            choice: 0,
        } => delta(part, BlockDelta::ToolUse { input: arguments }),
        StreamEvent::TextEnd { part, choice: 0 }
        | StreamEvent::ReasoningEnd { part, choice: 0 }
        | StreamEvent::ToolCallEnd {
            part, choice: 0, ..
        } => Some(ConverseEvent::ContentBlockStop {
            content_block_index: part,
        }),
        StreamEvent::Finish {
            choice: 0,
            reason,
            native,
        } => Some(ConverseEvent::MessageStop {
            stop_reason: convert::stop_reason(reason.as_ref(), native.as_deref()).to_owned(),
        }),
        _ => None,
    }
}

pub(super) fn metadata(response: &UnifiedChatResponse) -> ConverseEvent {
    let usage = response.usage.as_ref().map(convert::usage);
    ConverseEvent::Metadata {
        usage: usage.unwrap_or_default(),
        metrics: convert::metrics(&response.metrics),
    }
}
