//! The answer as it is on the wire, whole and in chunks, with every member optional.

use crate::provider::lenient::{Count, Few, List, Object, Raw, Text, fill_by_value, object};
use serde::Deserialize;
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
        pub(super) usage: Raw<'a>,
        pub(super) error: Raw<'a>,
        /// Cerebras: seconds.
        pub(super) time_info: Raw<'a>,
        /// llama.cpp: milliseconds.
        pub(super) timings: Raw<'a>,
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
        pub(super) usage: Raw<'a>,
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
            || self.extra_content.value().is_some();
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

fill_by_value!(Content<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
            type Value = Content<'a>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or a list of parts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Content<'a>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element::<Object<Part<'a>>>()? {
                    parts.extend(part.0);
                }
                Ok(Content::Parts(parts))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Content<'a>, A::Error> {
                while map
                    .next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?
                    .is_some()
                {}
                Ok(Content::Nothing)
            }
            fn visit_unit<E>(self) -> Result<Content<'a>, E> {
                Ok(Content::Nothing)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Content<'a>, E> {
                Ok(Content::Nothing)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Content<'a>, E> {
                Ok(Content::Nothing)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Content<'a>, E> {
                Ok(Content::Nothing)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Content<'a>, E> {
                Ok(Content::Nothing)
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}
