//! The wire format of responses, as a single body and as chunks; every field is optional.

use crate::{
    Usage,
    chat::{HostedToolUsage, Logprobs, ServerTiming, TokenLogprob, TopLogprob},
    json::{JsonError, Name, Reader},
    provider::kit::lenient::{
        Count, FieldReader, List, Number, Object, Raw, ReadFields, Seconds, Text, UnknownFields,
        WithRawText, object,
    },
    small_vec::SmallVec1,
};
use std::{borrow::Cow, time::Duration};

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
        /// Moonshot. Most servers send it outside the choices.
        pub(super) usage: Raw<'a>,
        pub(super) logprobs: Raw<'a>,
        pub(super) reasoning_logprobs: Raw<'a>,
        /// OpenRouter.
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

/// A field without meaning. It may differ from chunk to chunk.
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

/// Whether there are unknown fields with content.
pub(super) fn has_unknown_fields(others: &UnknownFields<'_>) -> bool {
    others
        .iter()
        .any(|(_, raw)| !raw.text().is_none_or(is_blank))
}

/// Whether a value is empty: null, false, zero, an empty text, or a list or object of empty values.
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
    /// Whether it is not a function call: `custom`, and future types.
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

/// Text, a list of parts (Mistral), or nothing.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Parts(Vec<WithRawText<'a, Part<'a>>>),
    /// A value of another type, such as the object that Cloudflare's JSON mode sends.
    Value(Raw<'a>),
}

/// An element of a content that is a list.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) r#type: Text<'a>,
    pub(super) text: Text<'a>,
    /// Mistral: the parts of a `thinking` part. Other servers: a text.
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
    /// The text, unless it is a list of parts.
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
    /// The only text of a message or delta without other content, and whether it is reasoning.
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

object! {
    struct Lists<'a> {
        content: List<Raw<'a>>,
        refusal: List<Raw<'a>>,
        /// DeepSeek.
        reasoning_content: List<Raw<'a>>,
    }
}

object! {
    struct Token<'a> {
        token: Text<'a>,
        logprob: Number,
        bytes: List<Count>,
        top_logprobs: List<Token<'a>>,
    }
}

/// The log probabilities of a choice: of the text and (Cerebras) of the reasoning.
pub(super) fn logprobs(choice: &Choice<'_>) -> Option<Logprobs> {
    if choice.logprobs.text().is_none() && choice.reasoning_logprobs.text().is_none() {
        return None;
    }
    let own: Option<Lists<'_>> = choice.logprobs.read();
    let reasoning: Option<Lists<'_>> = choice.reasoning_logprobs.read();
    if own.is_none() && reasoning.is_none() {
        return None;
    }
    let own = own.unwrap_or_default();
    Some(Logprobs {
        content: tokens(&own.content),
        refusal: tokens(&own.refusal),
        reasoning: tokens(match &reasoning {
            Some(reasoning) => &reasoning.content,
            None => &own.reasoning_content,
        }),
    })
}

/// They are decoded one by one: all of them together would take several times their text.
fn tokens(list: &List<Raw<'_>>) -> Vec<TokenLogprob> {
    let token = |token: &Raw<'_>| {
        let token: Token<'_> = token.read()?;
        Some(TokenLogprob {
            token: token.token.to_string_or_empty(),
            logprob: token.logprob.0?,
            bytes: bytes(&token.bytes),
            top_logprobs: token.top_logprobs.0.iter().filter_map(top).collect(),
        })
    };
    let mut tokens = Vec::with_capacity(list.0.len());
    tokens.extend(list.0.iter().filter_map(token));
    tokens
}

fn top(token: &Token<'_>) -> Option<TopLogprob> {
    Some(TopLogprob {
        token: token.token.to_string_or_empty(),
        logprob: token.logprob.0?,
        bytes: bytes(&token.bytes),
    })
}

fn bytes(list: &List<Count>) -> Option<Vec<u8>> {
    let byte = |byte: &Count| u8::try_from(byte.0?).ok();
    (!list.0.is_empty()).then(|| list.0.iter().filter_map(byte).collect())
}

// Token counts and server times, under all field names in use.

object! {
    pub(super) struct Counts {
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: Object<PromptDetails>,
        completion_tokens_details: Object<CompletionDetails>,
        image_tokens: Count,
        /// DeepSeek.
        prompt_cache_hit_tokens: Count,
        /// Together.
        cached_tokens: Count,
        /// Mistral.
        num_cached_tokens: Count,
        /// Venice, Databricks, Doubleword, with Anthropic's name.
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        /// Copilot.
        reasoning_tokens: Count,
        /// Groq: seconds.
        queue_time: Seconds,
        prompt_time: Seconds,
        completion_time: Seconds,
        total_time: Seconds,
        /// Perplexity.
        num_search_queries: Count,
        /// OpenRouter, under two names.
        server_tool_use_details: Object<ServerToolUse>,
        server_tool_use: Object<ServerToolUse>,
    }
}

object! {
    struct ServerToolUse {
        web_search_requests: Count,
        web_fetch_requests: Count,
    }
}

object! {
    struct PromptDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        audio_tokens: Count,
        image_tokens: Count,
    }
}

object! {
    struct CompletionDetails {
        reasoning_tokens: Count,
        audio_tokens: Count,
        accepted_prediction_tokens: Count,
        rejected_prediction_tokens: Count,
    }
}

object! {
    /// Cerebras `time_info`.
    pub(super) struct TimeInfo {
        queue_time: Seconds,
        prompt_time: Seconds,
        completion_time: Seconds,
        total_time: Seconds,
    }
}

object! {
    /// llama.cpp `timings`, in milliseconds.
    pub(super) struct Timings {
        prompt_ms: Number,
        predicted_ms: Number,
    }
}

/// When tokens of the total beyond prompt and completion count as reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeparateReasoning {
    /// If the server reports as many reasoning tokens.
    IfCounted,
    /// Also if it reports no number, because the response has reasoning.
    IfUncounted,
    /// Always, because the server is known to count this way.
    Always,
}

fn hosted_tools(counts: &Counts) -> Option<Box<HostedToolUsage>> {
    let named = [&counts.server_tool_use_details, &counts.server_tool_use];
    let named = named.into_iter().find_map(|counts| counts.0.as_ref());
    HostedToolUsage {
        web_searches: named
            .and_then(|counts| counts.web_search_requests.0)
            .or(counts.num_search_queries.0),
        web_fetches: named.and_then(|counts| counts.web_fetch_requests.0),
        ..HostedToolUsage::default()
    }
    .into_option()
}

/// The counts, and the times that Groq sends with them.
pub(super) fn usage(
    counts: &Counts,
    raw: Raw<'_>,
    reasoning: SeparateReasoning,
) -> (Usage, ServerTiming) {
    let none = (PromptDetails::default(), CompletionDetails::default());
    let prompt = counts.prompt_tokens_details.0.as_ref().unwrap_or(&none.0);
    let completion = counts
        .completion_tokens_details
        .0
        .as_ref()
        .unwrap_or(&none.1);
    let first = |counts: &[Count]| counts.iter().find_map(|count| count.0);
    let mut usage = Usage {
        prompt_tokens: counts.prompt_tokens.0,
        completion_tokens: counts.completion_tokens.0,
        total_tokens: counts.total_tokens.0,
        cached_tokens: first(&[
            prompt.cached_tokens,
            counts.prompt_cache_hit_tokens,
            counts.cached_tokens,
            counts.num_cached_tokens,
            counts.cache_read_input_tokens,
        ]),
        cache_write_tokens: first(&[
            prompt.cache_write_tokens,
            counts.cache_creation_input_tokens,
        ]),
        image_tokens: first(&[prompt.image_tokens, counts.image_tokens]),
        audio_tokens: prompt.audio_tokens.0,
        reasoning_tokens: first(&[completion.reasoning_tokens, counts.reasoning_tokens]),
        accepted_prediction_tokens: completion.accepted_prediction_tokens.0,
        rejected_prediction_tokens: completion.rejected_prediction_tokens.0,
        hosted_tools: hosted_tools(counts),
        raw: raw.json(),
    };
    let others = [
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.image_tokens,
        usage.audio_tokens,
        completion.audio_tokens.0,
    ];
    if let Some(separate_reasoning) = separate_reasoning(&usage, &others, reasoning) {
        let with_reasoning = usage
            .completion_tokens
            .map(|own| own.saturating_add(separate_reasoning));
        usage.completion_tokens = with_reasoning;
    }
    let timing = ServerTiming {
        queue: counts.queue_time.0,
        prompt: counts.prompt_time.0,
        completion: counts.completion_time.0,
        total: counts.total_time.0,
    };
    (usage, timing)
}

/// The reasoning tokens that are in the total but not in the completion.
///
/// A difference may have another reason: Mistral excludes audio from the prompt, others exclude cached tokens. If the
/// server does not report how much of it is reasoning, those reasons are more likely.
fn separate_reasoning(
    usage: &Usage,
    others: &[Option<u64>],
    reasoning: SeparateReasoning,
) -> Option<u64> {
    let told = usage.prompt_tokens?.checked_add(usage.completion_tokens?)?;
    let missing = usage.total_tokens?.checked_sub(told).filter(|n| *n > 0)?;
    let is_reasoning = match usage.reasoning_tokens {
        Some(counted) if counted > 0 => counted == missing,
        Some(_) => false,
        None => {
            reasoning != SeparateReasoning::IfCounted
                && missing <= MAX_REASONING_TOKENS
                && !others.contains(&Some(missing))
        }
    };
    is_reasoning.then_some(missing)
}

/// No model reasons longer: a larger difference is an error of the total.
const MAX_REASONING_TOKENS: u64 = 1 << 24;

impl TimeInfo {
    pub(super) fn timing(&self) -> ServerTiming {
        ServerTiming {
            queue: self.queue_time.0,
            prompt: self.prompt_time.0,
            completion: self.completion_time.0,
            total: self.total_time.0,
        }
    }
}

impl Timings {
    pub(super) fn timing(&self) -> ServerTiming {
        let ms = |number: Number| Duration::try_from_secs_f64(number.0? / 1e3).ok();
        ServerTiming {
            prompt: ms(self.prompt_ms),
            completion: ms(self.predicted_ms),
            ..ServerTiming::default()
        }
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
