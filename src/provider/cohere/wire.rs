//! The answer as it is on the wire, whole and in events, with every member optional.

use crate::provider::lenient::{Count, List, Number, Object, Raw, Text};
use serde::Deserialize;

/// A whole answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) finish_reason: Text<'a>,
    pub(super) message: Object<Message<'a>>,
    pub(super) usage: Raw<'a>,
    pub(super) logprobs: List<Object<Logprob<'a>>>,
}

/// An event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    pub(super) id: Text<'a>,
    pub(super) index: Count,
    pub(super) delta: Object<Delta<'a>>,
    pub(super) logprobs: Object<Logprob<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) message: Object<Message<'a>>,
    pub(super) finish_reason: Text<'a>,
    pub(super) usage: Raw<'a>,
    /// Why a generation failed.
    pub(super) error: Raw<'a>,
}

/// A message, or a piece of one: lists in the first are single objects in the second.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Raw<'a>,
    pub(super) tool_plan: Text<'a>,
    pub(super) tool_calls: Raw<'a>,
    pub(super) citations: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    pub(super) text: Text<'a>,
    pub(super) thinking: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) function: Object<Function<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) arguments: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Citation<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    pub(super) content_index: Count,
    pub(super) sources: List<Object<Source<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) document: Object<Document<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document<'a> {
    #[serde(borrow)]
    pub(super) title: Text<'a>,
    pub(super) url: Text<'a>,
}

/// A piece of text and the probabilities of its tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Logprob<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    pub(super) logprobs: List<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) tokens: Object<Tokens>,
    pub(super) billed_units: Object<Tokens>,
    pub(super) cached_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
    pub(super) reasoning_tokens: Count,
    pub(super) image_tokens: Count,
}
