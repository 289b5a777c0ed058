//! The answer as it is on the wire. A body and its events name their members alike, so that one type reads each of them
//! whole and in pieces; every member is optional.

use crate::provider::lenient::{Count, List, Object, Raw, Text};
use serde::Deserialize;

/// The body of Converse; also the events `messageStop` and `metadata`, which have some of its members.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) output: Object<Output<'a>>,
    pub(super) stop_reason: Text<'a>,
    pub(super) additional_model_response_fields: Raw<'a>,
    pub(super) usage: Raw<'a>,
    pub(super) metrics: Raw<'a>,
    pub(super) trace: Raw<'a>,
    pub(super) performance_config: Raw<'a>,
    pub(super) service_tier: Object<ServiceTier<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Output<'a> {
    #[serde(borrow)]
    pub(super) message: Object<Message<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    /// Each is read by itself, so that a block of a new kind costs no more than itself.
    #[serde(borrow)]
    pub(super) content: List<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceTier<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
}

/// `contentBlockStart`, `contentBlockDelta`, `contentBlockStop`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BlockEvent<'a> {
    pub(super) content_block_index: Count,
    #[serde(borrow)]
    pub(super) start: Object<Block<'a>>,
    pub(super) delta: Object<Block<'a>>,
}

/// A content block, the start of one, or a piece of one: a union, so that one member is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Block<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    pub(super) tool_use: Object<ToolUse<'a>>,
    /// An object in a block and in a start, a list of pieces of its content in a delta.
    pub(super) tool_result: Raw<'a>,
    pub(super) reasoning_content: Object<Reasoning<'a>>,
    /// In a whole answer.
    pub(super) citations_content: Object<CitationsContent<'a>>,
    /// In a stream.
    pub(super) citation: Raw<'a>,
    pub(super) image: Object<Image<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow)]
    pub(super) tool_use_id: Text<'a>,
    pub(super) name: Text<'a>,
    /// A JSON value in a block, a piece of its text in a delta.
    pub(super) input: Raw<'a>,
    #[serde(rename = "type")]
    pub(super) kind: Text<'a>,
}

impl ToolUse<'_> {
    /// Whether the service runs the tool itself. Recordings also have `tool_use` here, which says nothing.
    pub(super) fn is_of_server(&self) -> bool {
        self.kind.as_deref() == Some("server_tool_use")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ToolResultStart<'a> {
    #[serde(borrow)]
    pub(super) tool_use_id: Text<'a>,
    pub(super) status: Text<'a>,
    #[serde(rename = "type")]
    pub(super) kind: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Reasoning<'a> {
    /// In a whole answer.
    #[serde(borrow)]
    pub(super) reasoning_text: Object<ReasoningText<'a>>,
    /// In a stream, each in an event of its own.
    pub(super) text: Text<'a>,
    pub(super) signature: Text<'a>,
    /// Base64.
    pub(super) redacted_content: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReasoningText<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    pub(super) signature: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CitationsContent<'a> {
    #[serde(borrow)]
    pub(super) content: List<Object<TextPiece<'a>>>,
    pub(super) citations: List<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TextPiece<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Citation<'a> {
    #[serde(borrow)]
    pub(super) title: Text<'a>,
    pub(super) source_content: List<Object<TextPiece<'a>>>,
    pub(super) location: Object<Location<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Location<'a> {
    #[serde(borrow)]
    pub(super) web: Object<Web<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Web<'a> {
    #[serde(borrow)]
    pub(super) url: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Image<'a> {
    #[serde(borrow)]
    pub(super) format: Text<'a>,
    pub(super) source: Object<ImageSource<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageSource<'a> {
    /// Base64.
    #[serde(borrow)]
    pub(super) bytes: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Usage {
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
    pub(super) total_tokens: Count,
    pub(super) cache_read_input_tokens: Count,
    pub(super) cache_write_input_tokens: Count,
    /// The same numbers under names that the service model does not have.
    pub(super) cache_read_input_token_count: Count,
    pub(super) cache_write_input_token_count: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metrics {
    pub(super) latency_ms: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Trace<'a> {
    #[serde(borrow)]
    pub(super) prompt_router: Object<PromptRouter<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PromptRouter<'a> {
    #[serde(borrow)]
    pub(super) invoked_model_id: Text<'a>,
}
