use super::{
    convert,
    shapes::{ConverseMetrics, TokenUsage},
};
use crate::{StreamEvent, UnifiedChatResponse};
use serde::Serialize;

/// An event of a streamed response; its JSON has the form of a Bedrock event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ConverseEvent {
    /// The response starts.
    MessageStart {
        /// Always `assistant`.
        role: &'static str,
    },
    /// A tool call starts; other blocks start with their first delta.
    ContentBlockStart {
        /// The block that starts.
        start: BlockStart,
        /// The block's index.
        content_block_index: u32,
    },
    /// More content of a block.
    ContentBlockDelta {
        /// The content.
        delta: BlockDelta,
        /// The block's index.
        content_block_index: u32,
    },
    /// A block ends.
    ContentBlockStop {
        /// The block's index.
        content_block_index: u32,
    },
    /// The response ends.
    MessageStop {
        /// The reason.
        stop_reason: String,
    },
    /// Usage and latency. The last event.
    Metadata {
        /// Token counts.
        usage: TokenUsage,
        /// Latency.
        metrics: ConverseMetrics,
    },
}

/// The start of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum BlockStart {
    /// A tool call.
    ToolUse {
        /// The call's id, which its result must repeat.
        tool_use_id: String,
        /// The tool's name.
        name: String,
    },
}

/// More content of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum BlockDelta {
    /// Text.
    Text(String),
    /// Arguments of a tool call.
    ToolUse {
        /// A fragment of the JSON text.
        input: String,
    },
    /// Reasoning.
    ReasoningContent(ReasoningDelta),
}

/// More content of a reasoning block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReasoningDelta {
    /// Text.
    Text(String),
    /// The signature, which the next request must repeat.
    Signature(String),
}

impl ConverseEvent {
    /// The text, if this is a text delta.
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

/// Converts a stream event; `None` for events that Bedrock lacks.
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
