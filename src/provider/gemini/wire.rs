//! The answer as it is on the wire, whole and in pieces of a stream alike, with every member optional.

use crate::provider::lenient::{Count, List, Number, Object, Raw, Text};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) candidates: List<Candidate<'a>>,
    pub(super) prompt_feedback: Raw<'a>,
    pub(super) usage_metadata: Raw<'a>,
    pub(super) model_version: Text<'a>,
    pub(super) response_id: Text<'a>,
    /// Vertex.
    pub(super) create_time: Text<'a>,
    pub(super) error: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    /// Vertex leaves out the 0.
    pub(super) index: Count,
    #[serde(borrow)]
    pub(super) content: Object<Content<'a>>,
    pub(super) finish_reason: Text<'a>,
    pub(super) finish_message: Raw<'a>,
    pub(super) safety_ratings: Raw<'a>,
    pub(super) citation_metadata: Raw<'a>,
    pub(super) grounding_metadata: Raw<'a>,
    pub(super) url_context_metadata: Raw<'a>,
    pub(super) avg_logprobs: Raw<'a>,
    pub(super) logprobs_result: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: List<Raw<'a>>,
}

/// A part. What is neither text nor a function call is handed on as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    /// Whether it is a thought: `true` or absent.
    pub(super) thought: Raw<'a>,
    pub(super) thought_signature: Text<'a>,
    pub(super) function_call: Object<FunctionCall<'a>>,
    /// Code that the provider runs.
    pub(super) executable_code: Raw<'a>,
    /// A tool that the provider calls.
    pub(super) tool_call: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) args: Raw<'a>,
    pub(super) partial_args: List<PartialArg<'a>>,
    /// Whether more of the arguments comes: `true` or absent.
    pub(super) will_continue: Raw<'a>,
}

/// A piece of a function call's arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PartialArg<'a> {
    #[serde(borrow)]
    pub(super) json_path: Text<'a>,
    pub(super) string_value: Text<'a>,
    pub(super) number_value: Raw<'a>,
    pub(super) bool_value: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PromptFeedback<'a> {
    #[serde(borrow)]
    pub(super) block_reason: Text<'a>,
    pub(super) block_reason_message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Grounding<'a> {
    #[serde(borrow)]
    pub(super) grounding_chunks: List<Raw<'a>>,
}

/// A source: a page of the web, or a passage of an uploaded document.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GroundingChunk<'a> {
    #[serde(borrow)]
    pub(super) web: Object<Source<'a>>,
    pub(super) retrieved_context: Object<Source<'a>>,
    pub(super) maps: Object<Source<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) uri: Text<'a>,
    pub(super) title: Text<'a>,
    pub(super) text: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LogprobsResult<'a> {
    #[serde(borrow)]
    pub(super) chosen_candidates: List<Token<'a>>,
    pub(super) top_candidates: List<Alternatives<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alternatives<'a> {
    #[serde(borrow)]
    pub(super) candidates: List<Token<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Token<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    pub(super) log_probability: Number,
}

/// A flag that is `true` or absent.
pub(super) fn is_true(raw: Raw<'_>) -> bool {
    raw.text() == Some("true")
}
