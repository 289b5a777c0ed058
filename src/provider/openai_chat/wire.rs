//! The answer as it is on the wire, whole and in chunks, with every member optional.

use super::usage::{Counts, TimeInfo, Timings};
use crate::{
    few::Few,
    json::{Fault, Reader},
    provider::lenient::{Count, Fill, List, Object, Raw, Spelled, Text, object},
};
use std::borrow::Cow;

object! {
    /// A `chat.completion` or a `chat.completion.chunk`.
    pub(super) struct Completion<'a> {
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        pub(super) created: Count,
        pub(super) system_fingerprint: Text<'a>,
        pub(super) service_tier: Text<'a>,
        pub(super) choices: Option<Few<Choice<'a>>>,
        pub(super) usage: Spelled<'a, Counts>,
        pub(super) error: Raw<'a>,
        /// Cerebras: seconds.
        pub(super) time_info: Spelled<'a, TimeInfo>,
        /// llama.cpp: milliseconds.
        pub(super) timings: Spelled<'a, Timings>,
        /// Groq.
        pub(super) x_groq: Object<XGroq<'a>>,
        /// Perplexity, xAI.
        pub(super) citations: Raw<'a>,
        /// Perplexity.
        pub(super) search_results: Raw<'a>,
        /// Azure.
        pub(super) prompt_filter_results: Raw<'a>,
        /// vLLM and SGLang send `{"object": "error", ..}` inside streams.
        pub(super) object: Text<'a>,
    }
}

object! {
    pub(super) struct XGroq<'a> {
        pub(super) usage: Spelled<'a, Counts>,
        pub(super) error: Raw<'a>,
    }
}

object! {
    pub(super) struct Choice<'a> {
        pub(super) index: Count,
        pub(super) delta: Object<Message<'a>>,
        pub(super) message: Object<Message<'a>>,
        pub(super) finish_reason: Text<'a>,
        pub(super) native_finish_reason: Text<'a>,
        pub(super) logprobs: Raw<'a>,
        pub(super) reasoning_logprobs: Raw<'a>,
        /// OpenRouter.
        pub(super) error: Raw<'a>,
    }
}

object! {
    pub(super) struct Message<'a> {
        pub(super) content: Content<'a>,
        pub(super) reasoning: Content<'a>,
        pub(super) reasoning_content: Content<'a>,
        pub(super) reasoning_details: List<Raw<'a>>,
        pub(super) refusal: Text<'a>,
        pub(super) tool_calls: List<ToolCall<'a>>,
        pub(super) function_call: Object<Function<'a>>,
        pub(super) annotations: List<Raw<'a>>,
        pub(super) extra_content: Raw<'a>,
    }
}

object! {
    pub(super) struct ToolCall<'a> {
        pub(super) index: Count,
        pub(super) id: Text<'a>,
        pub(super) function: Object<Function<'a>>,
        pub(super) extra_content: Raw<'a>,
    }
}

object! {
    pub(super) struct Function<'a> {
        pub(super) name: Text<'a>,
        pub(super) arguments: Raw<'a>,
    }
}

/// Text, or a list of parts (Mistral), or nothing.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

object! {
    pub(super) struct Part<'a> {
        pub(super) text: Text<'a>,
        /// Mistral: the parts of a `thinking` part.
        pub(super) thinking: Raw<'a>,
    }
}

impl<'a> Content<'a> {
    /// The text, unless it comes in parts.
    fn as_text(&self) -> Option<&str> {
        match self {
            Content::Nothing => Some(""),
            Content::Text(text) => Some(text),
            Content::Parts(_) => None,
        }
    }

    /// The text, or that of all parts together; `None` if there is none.
    #[inline]
    pub(super) fn take_text(&mut self) -> Option<Cow<'a, str>> {
        let text = match std::mem::take(self) {
            Content::Nothing => return None,
            Content::Text(text) => text,
            Content::Parts(parts) => parts
                .iter()
                .filter_map(|part| part.text.as_deref())
                .collect::<String>()
                .into(),
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Message<'_> {
    /// The only text of a piece that has nothing else, and whether it is reasoning.
    pub(super) fn only_text(&self) -> Option<(&str, bool)> {
        let more = !self.reasoning_details.0.is_empty()
            || !self.tool_calls.0.is_empty()
            || !self.annotations.0.is_empty()
            || self.refusal.non_empty().is_some()
            || self.function_call.0.is_some()
            || self.extra_content.text().is_some();
        if more {
            return None;
        }
        match [&self.content, &self.reasoning, &self.reasoning_content].map(Content::as_text) {
            [Some(text), Some(""), Some("")] => Some((text, false)),
            [Some(""), Some(text), Some("")] | [Some(""), Some(""), Some(text)] => {
                Some((text, true))
            }
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Fill<'de> for Content<'a> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), Fault> {
        if let Some(plain) = reader.plain_string() {
            *self = Content::Text(Cow::Borrowed(plain));
            return Ok(());
        }
        *self = match reader.peek()? {
            b'"' => Content::Text(reader.string()?),
            b'[' => {
                let mut parts = List::<Object<Part<'a>>>::default();
                parts.fill(reader)?;
                Content::Parts(parts.0.into_iter().filter_map(|part| part.0).collect())
            }
            _ => {
                reader.skip()?;
                Content::Nothing
            }
        };
        Ok(())
    }
}
