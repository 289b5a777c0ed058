//! The answer as it is on the wire, whole and in events, with every member optional.

use crate::provider::{
    lenient::{Count, List, Object, Raw, Text},
    logprobs::Token,
};
use serde::Deserialize;

/// A `response` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) model: Text<'a>,
    pub(super) created_at: Count,
    pub(super) service_tier: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) error: Raw<'a>,
    pub(super) incomplete_details: Object<Incomplete<'a>>,
    pub(super) output: Option<List<Raw<'a>>>,
    pub(super) usage: Raw<'a>,
    /// xAI puts its `system_fingerprint` here.
    pub(super) metadata: Object<Metadata<'a>>,
    /// Azure.
    pub(super) content_filters: Raw<'a>,
    pub(super) moderation: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) system_fingerprint: Text<'a>,
}

/// An element of `output`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    pub(super) id: Text<'a>,
    pub(super) role: Text<'a>,
    pub(super) phase: Text<'a>,
    pub(super) call_id: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) arguments: Raw<'a>,
    pub(super) content: List<Object<Part<'a>>>,
    pub(super) summary: List<Object<Part<'a>>>,
}

/// A part of a message, of a reasoning item or of its summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    pub(super) text: Text<'a>,
    pub(super) refusal: Text<'a>,
    pub(super) annotations: List<Raw<'a>>,
    pub(super) logprobs: List<Object<Token<'a>>>,
}

/// An event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    pub(super) output_index: Count,
    pub(super) content_index: Count,
    pub(super) summary_index: Count,
    pub(super) delta: Text<'a>,
    pub(super) text: Text<'a>,
    pub(super) refusal: Text<'a>,
    pub(super) logprobs: List<Object<Token<'a>>>,
    pub(super) item: Raw<'a>,
    pub(super) response: Raw<'a>,
}
