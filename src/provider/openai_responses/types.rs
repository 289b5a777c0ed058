//! The wire format of responses, as a single body and as events; every field is optional.

use super::parts::{PARTS_PER_LIST, too_many};
use crate::{
    Error, Usage,
    chat::HostedToolUsage,
    provider::kit::lenient::{Count, List, Object, Raw, Text, object},
};
use std::borrow::Cow;

const MAX_CONTENT_PARTS: usize = PARTS_PER_LIST as usize;

object! {
    /// A `response` object.
    pub(super) struct Response<'a> {
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        pub(super) created_at: Count,
        pub(super) service_tier: Text<'a>,
        pub(super) status: Text<'a>,
        pub(super) background: Raw<'a>,
        pub(super) error: Raw<'a>,
        pub(super) incomplete_details: Object<Incomplete<'a>>,
        pub(super) output: Option<List<Raw<'a>>>,
        /// All text of `output`; some servers send it only here.
        pub(super) output_text: Text<'a>,
        pub(super) usage: Raw<'a>,
        /// xAI sends its `system_fingerprint` here.
        pub(super) metadata: Object<Metadata<'a>>,
    }
}

object! {
    pub(super) struct Incomplete<'a> {
        pub(super) reason: Text<'a>,
    }
}

object! {
    pub(super) struct Metadata<'a> {
        pub(super) system_fingerprint: Text<'a>,
    }
}

object! {
    /// An element of `output`.
    pub(super) struct Item<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) status: Text<'a>,
        pub(super) role: Text<'a>,
        pub(super) phase: Text<'a>,
        pub(super) call_id: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) arguments: Raw<'a>,
        pub(super) content: Raw<'a>,
        pub(super) summary: Raw<'a>,
    }
}

object! {
    /// A part of a message, of a reasoning item or of its summary.
    pub(super) struct Part<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) refusal: Text<'a>,
        pub(super) annotations: List<Raw<'a>>,
        pub(super) logprobs: List<Raw<'a>>,
    }
}

object! {
    /// A stream event.
    pub(super) struct Event<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) sequence_number: Count,
        pub(super) output_index: Count,
        pub(super) content_index: Count,
        pub(super) summary_index: Count,
        pub(super) item_id: Text<'a>,
        pub(super) delta: Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) refusal: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) arguments: Raw<'a>,
        pub(super) input: Raw<'a>,
        pub(super) code: Raw<'a>,
        pub(super) diff: Raw<'a>,
        pub(super) command: Raw<'a>,
        pub(super) command_index: Count,
        pub(super) logprobs: List<Raw<'a>>,
        pub(super) annotation: Raw<'a>,
        pub(super) part: Raw<'a>,
        pub(super) item: Raw<'a>,
        pub(super) response: Raw<'a>,
    }
}

object! {
    /// An event with a command's output.
    pub(super) struct ShellOutput<'a> {
        pub(super) delta: Object<Printed<'a>>,
    }
}

object! {
    pub(super) struct Printed<'a> {
        pub(super) stdout: Text<'a>,
        pub(super) stderr: Text<'a>,
    }
}

/// A part with its own text.
pub(super) struct RawPart<'a> {
    pub(super) part: Part<'a>,
    pub(super) raw: Raw<'a>,
}

impl<'a> RawPart<'a> {
    /// One part. A plain string is a part with only this text.
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let text: Text<'a> = raw.read()?;
        let part = match text.0 {
            Some(text) => Part {
                text: Text(Some(text)),
                ..Part::default()
            },
            None => raw.read().unwrap_or_default(),
        };
        Some(RawPart { part, raw })
    }

    /// The parts of a list; a plain string instead of it is a list of one.
    ///
    /// # Errors
    /// `too_large` if there are more parts than an item may have.
    pub(super) fn list(raw: Raw<'a>) -> Result<Vec<Self>, Error> {
        match raw.text() {
            Some(text) if text.starts_with('[') => {
                let list: List<Raw<'a>> = raw.parse()?;
                if list.0.len() > MAX_CONTENT_PARTS {
                    return Err(too_many("parts in an item", MAX_CONTENT_PARTS));
                }
                Ok(list.0.into_iter().filter_map(RawPart::read).collect())
            }
            Some(text) if text.starts_with('"') => Ok(RawPart::read(raw).into_iter().collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// The kind of the content, and its text.
    pub(super) fn content(&self) -> (PartKind, Cow<'_, str>) {
        let text = |text: &'_ Text<'a>| text.0.clone().unwrap_or_default();
        match self.part.r#type.as_deref().unwrap_or_default() {
            "" | "output_text" | "text" | "input_text" => (PartKind::Text, text(&self.part.text)),
            "refusal" => (PartKind::Refusal, text(&self.part.refusal)),
            "reasoning_text" | "summary_text" | "reasoning" => {
                (PartKind::Reasoning, text(&self.part.text))
            }
            _ => (PartKind::Opaque, Cow::Borrowed("")),
        }
    }
}

/// The kind of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PartKind {
    #[default]
    Text,
    Refusal,
    Reasoning,
    /// An unknown type of part.
    Opaque,
}

/// Token counts. Reasoning is part of the output, cached tokens part of the input.
pub(super) fn usage(raw: Raw<'_>) -> Option<Usage> {
    object! {
        struct UsageFields {
            input_tokens: Count,
            output_tokens: Count,
            total_tokens: Count,
            input_tokens_details: Object<Input>,
            output_tokens_details: Object<Output>,
            server_side_tool_usage_details: Object<ServerSideTools>,
        }
    }
    object! {
        /// xAI.
        struct ServerSideTools {
            web_search_calls: Count,
            code_interpreter_calls: Count,
            file_search_calls: Count,
            mcp_calls: Count,
            image_generation_calls: Count,
        }
    }
    object! {
        struct Input {
            cached_tokens: Count,
            cache_write_tokens: Count,
            image_tokens: Count,
            audio_tokens: Count,
        }
    }
    object! {
        struct Output {
            reasoning_tokens: Count,
        }
    }
    let wire: UsageFields = raw.read()?;
    let input = wire.input_tokens_details.0.unwrap_or_default();
    let output = wire.output_tokens_details.0.unwrap_or_default();
    let hosted = wire.server_side_tool_usage_details.0;
    let hosted = hosted.map(|counts| HostedToolUsage {
        web_searches: counts.web_search_calls.0,
        code_executions: counts.code_interpreter_calls.0,
        file_searches: counts.file_search_calls.0,
        mcp_calls: counts.mcp_calls.0,
        image_generations: counts.image_generation_calls.0,
        ..HostedToolUsage::default()
    });
    Some(Usage {
        hosted_tools: hosted.and_then(HostedToolUsage::into_option),
        prompt_tokens: wire.input_tokens.0,
        completion_tokens: wire.output_tokens.0,
        total_tokens: wire.total_tokens.0,
        cached_tokens: input.cached_tokens.0,
        cache_write_tokens: input.cache_write_tokens.0,
        image_tokens: input.image_tokens.0,
        audio_tokens: input.audio_tokens.0,
        reasoning_tokens: output.reasoning_tokens.0,
        raw: raw.json(),
        ..Usage::default()
    })
}
