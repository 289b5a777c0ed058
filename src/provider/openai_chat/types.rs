//! The answer as it is on the wire, whole and in chunks, with every member optional.

use super::usage::{Counts, TimeInfo, Timings};
use crate::{
    json::{JsonError, Name, Reader},
    provider::kit::lenient::{
        Count, FieldReader, List, Object, Raw, ReadFields, Text, UnknownFields, WithRawText, object,
    },
    small_vec::SmallVec1,
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
        pub(super) choices: Option<SmallVec1<Choice<'a>>>,
        pub(super) usage: WithRawText<'a, Counts>,
        pub(super) error: Raw<'a>,
        /// Cerebras: seconds.
        pub(super) time_info: WithRawText<'a, TimeInfo>,
        /// llama.cpp: milliseconds.
        pub(super) timings: WithRawText<'a, Timings>,
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
        /// OpenAI, and Mistral: random letters that hide the size of the text.
        pub(super) obfuscation: Padding,
        pub(super) p: Padding,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct XGroq<'a> {
        pub(super) usage: WithRawText<'a, Counts>,
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Choice<'a> {
        pub(super) index: Count,
        pub(super) delta: Object<Message<'a>>,
        pub(super) message: Object<Message<'a>>,
        pub(super) finish_reason: Text<'a>,
        pub(super) native_finish_reason: Text<'a>,
        /// Moonshot. Most servers send it beside the choices.
        pub(super) usage: Raw<'a>,
        pub(super) logprobs: Raw<'a>,
        pub(super) reasoning_logprobs: Raw<'a>,
        /// OpenRouter.
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

/// A member that means nothing. It may differ from chunk to chunk.
#[derive(Debug, Default)]
pub(super) struct Padding;

impl<'de> ReadFields<'de> for Padding {
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        reader.skip_unread()
    }
}

#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) content: Content<'a>,
    pub(super) reasoning: Content<'a>,
    pub(super) reasoning_content: Content<'a>,
    /// Copilot; some servers call it `thinking`.
    pub(super) reasoning_text: Content<'a>,
    pub(super) reasoning_details: List<Raw<'a>>,
    pub(super) refusal: Text<'a>,
    pub(super) tool_calls: List<WithRawText<'a, ToolCall<'a>>>,
    pub(super) function_call: Object<Function<'a>>,
    pub(super) annotations: List<Raw<'a>>,
    pub(super) extra_content: Raw<'a>,
    pub(super) others: UnknownFields<'a>,
}

impl<'de: 'a, 'a> FieldReader<'de> for Message<'a> {
    #[inline(always)]
    fn member(&mut self, name: &Name, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        match name {
            b"content" => self.content.fill(reader),
            b"role" | b"name" | b"channel" | b"padding" => reader.skip_unread(),
            b"reasoning" => self.reasoning.fill(reader),
            b"reasoning_content" => self.reasoning_content.fill(reader),
            b"tool_calls" if is_list(reader)? => self.tool_calls.fill(reader),
            _ => self.seldom(name, reader),
        }
    }
}

impl<'a> Message<'a> {
    #[inline(never)]
    fn seldom<'de: 'a>(&mut self, name: &Name, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        match name {
            b"reasoning_text" | b"thinking" => self.reasoning_text.fill(reader),
            b"reasoning_details" if is_list(reader)? => self.reasoning_details.fill(reader),
            b"refusal" if reader.peek()? == b'"' => self.refusal.fill(reader),
            b"function_call" if reader.peek()? == b'{' => self.function_call.fill(reader),
            b"annotations" if is_list(reader)? => self.annotations.fill(reader),
            b"extra_content" => self.extra_content.fill(reader),
            _ => self.others.add(name, reader),
        }
    }
}

fn is_list(reader: &mut Reader<'_>) -> Result<bool, JsonError> {
    Ok(reader.peek()? == b'[')
}

/// Whether there are members without a place that say something.
pub(super) fn has_unknown_fields(others: &UnknownFields<'_>) -> bool {
    others
        .iter()
        .any(|(_, raw)| !raw.text().is_none_or(is_blank))
}

/// Whether a value says nothing: null, false, zero, an empty text, or a list or object of nothing else.
pub(super) fn is_blank(json: &str) -> bool {
    fn blank(reader: &mut Reader<'_>) -> Result<bool, JsonError> {
        let mut all = true;
        match reader.peek()? {
            b'{' => reader.object(|_, reader| {
                all &= blank(reader)?;
                Ok(())
            })?,
            b'[' => reader.list(|reader| {
                all &= blank(reader)?;
                Ok(())
            })?,
            _ => all = matches!(reader.raw()?, "null" | "false" | "\"\"" | "0" | "0.0"),
        }
        Ok(all)
    }
    blank(&mut Reader::new(json)).unwrap_or(false)
}

#[derive(Debug, Default)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Count,
    pub(super) id: Text<'a>,
    pub(super) r#type: Text<'a>,
    pub(super) function: Object<Function<'a>>,
    pub(super) extra_content: Raw<'a>,
    pub(super) others: UnknownFields<'a>,
}

impl<'de: 'a, 'a> FieldReader<'de> for ToolCall<'a> {
    #[inline(always)]
    fn member(&mut self, name: &Name, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        match name {
            b"index" => self.index.fill(reader),
            b"id" => self.id.fill(reader),
            b"type" => self.r#type.fill(reader),
            b"function" => self.function.fill(reader),
            b"extra_content" => self.extra_content.fill(reader),
            _ => self.others.add(name, reader),
        }
    }
}

impl ToolCall<'_> {
    /// Whether it is of a type that is not a function's: `custom`, and what is to come.
    pub(super) fn is_not_function(&self) -> bool {
        let r#type = self.r#type.non_empty();
        let function = self.function.0.as_ref();
        let is_named = function.is_some_and(|function| function.name.non_empty().is_some());
        !is_named && r#type.is_some_and(|r#type| r#type != "function")
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
    Parts(Vec<WithRawText<'a, Part<'a>>>),
    /// A value of another type, such as the object that Cloudflare's JSON mode gives.
    Value(Raw<'a>),
}

/// An element of a content that is a list.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) r#type: Text<'a>,
    pub(super) text: Text<'a>,
    /// Mistral: the parts of a `thinking` part. Elsewhere a text.
    pub(super) thinking: Raw<'a>,
    /// Databricks: the parts of a `reasoning` part.
    pub(super) summary: Raw<'a>,
    pub(super) reasoning: Raw<'a>,
    pub(super) refusal: Text<'a>,
    pub(super) signature: Text<'a>,
    pub(super) others: UnknownFields<'a>,
}

impl<'de: 'a, 'a> FieldReader<'de> for Part<'a> {
    #[inline(always)]
    fn member(&mut self, name: &Name, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        match name {
            b"type" => self.r#type.fill(reader),
            b"text" if reader.peek()? == b'"' => self.text.fill(reader),
            b"thinking" => self.thinking.fill(reader),
            b"summary" => self.summary.fill(reader),
            b"reasoning" => self.reasoning.fill(reader),
            b"refusal" if reader.peek()? == b'"' => self.refusal.fill(reader),
            b"signature" if reader.peek()? == b'"' => self.signature.fill(reader),
            b"closed" | b"index" => reader.skip_unread(),
            _ => self.others.add(name, reader),
        }
    }
}

impl<'a> Content<'a> {
    /// The text, unless it comes in parts.
    fn as_text(&self) -> Option<&str> {
        match self {
            Content::Nothing => Some(""),
            Content::Text(text) => Some(text),
            Content::Parts(_) | Content::Value(_) => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_text() == Some("")
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
            || self.extra_content.text().is_some()
            || has_unknown_fields(&self.others);
        if more {
            return None;
        }
        let texts = [
            &self.content,
            &self.reasoning,
            &self.reasoning_content,
            &self.reasoning_text,
        ];
        match texts.map(Content::as_text) {
            [Some(text), Some(""), Some(""), Some("")] => Some((text, false)),
            [Some(""), Some(text), Some(""), Some("")]
            | [Some(""), Some(""), Some(text), Some("")]
            | [Some(""), Some(""), Some(""), Some(text)] => Some((text, true)),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> ReadFields<'de> for Content<'a> {
    #[inline(never)]
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        if let Some(plain) = reader.plain_string() {
            *self = Content::Text(Cow::Borrowed(plain));
            return Ok(());
        }
        *self = match reader.peek()? {
            b'"' => Content::Text(reader.string()?),
            b'[' => {
                let mut parts = List::<WithRawText<'a, Part<'a>>>::default();
                parts.fill(reader)?;
                Content::Parts(parts.0)
            }
            _ => {
                let mut raw = Raw::default();
                raw.fill(reader)?;
                match raw.text() {
                    None | Some("{}" | "false") => Content::Nothing,
                    Some(_) => Content::Value(raw),
                }
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_values_are_recognised() {
        for (json, blank) in [
            ("null", true),
            ("\"\"", true),
            ("[]", true),
            ("{ }", true),
            ("0", true),
            ("false", true),
            (r#"{"data":"","expires_at":0,"of":[null,{}]}"#, true),
            ("1", false),
            ("\" \"", false),
            ("true", false),
            (r#"{"a":{"b":["c"]}}"#, false),
        ] {
            assert_eq!(is_blank(json), blank, "{json}");
        }
    }
}
