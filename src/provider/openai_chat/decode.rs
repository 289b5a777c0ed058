//! From the wire to the assembler.

use super::{
    usage,
    wire::{Choice, Completion, Content, Function, Message, Part, ToolCall},
};
use crate::{
    Assembler, Citation, Error, ErrorKind, FinishReason, Head, Json, Logprobs, OpaqueBlock,
    OpaqueData, ServerTiming, TokenLogprob, ToolFragment, TopLogprob,
    error::ErrorBody,
    provider::{
        Decoder, Frame, FrameKind, Progress, failure,
        lenient::{self, Count, List, Number, Raw, Text},
    },
};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;

/// Where the pieces of a message stand, on a wire that does not number them.
const REASONING: u32 = 0;
const TEXT: u32 = 1;
const REFUSAL: u32 = 2;
const FIRST_CALL: u32 = 3;
/// Opaque pieces that belong to the reasoning come last; their order among themselves is kept.
const DETAILS: u32 = 1 << 20;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct ChatDecoder {
    provider: String,
    details: Details,
    /// The name of the reasoning member that this answer uses; servers that send both repeat themselves.
    reasoning_name: Option<ReasoningName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReasoningName {
    Reasoning,
    ReasoningContent,
}

/// `reasoning_details` as they come in pieces; those with the same type and index are one.
#[derive(Debug, Default)]
struct Details {
    open: Vec<serde_json::Map<String, serde_json::Value>>,
}

impl ChatDecoder {
    pub(super) fn new(provider: &str) -> Self {
        ChatDecoder {
            provider: provider.to_owned(),
            details: Details::default(),
            reasoning_name: None,
        }
    }

    fn completion(
        &mut self,
        data: &str,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let mut scratch = String::new();
        let completion: Completion<'_> = lenient::parse(data, &mut scratch)?;
        if let Some(error) = stream_error(&completion, data) {
            return Err(error);
        }
        if !out.has_head() {
            out.head(Head {
                id: completion.id.to_string_or_empty(),
                model: completion.model.to_string_or_empty(),
                created: completion.created.0,
                system_fingerprint: completion.system_fingerprint.non_empty().map(str::to_owned),
                service_tier: completion.service_tier.non_empty().map(str::to_owned),
            });
        }
        let Some(choices) = &completion.choices else {
            if !streaming {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "the answer has no `choices`: this is no chat completion",
                ));
            }
            return self.metadata(&completion, out);
        };
        for (position, choice) in choices.0.iter().enumerate() {
            let index = choice
                .index
                .0
                .unwrap_or(if streaming { 0 } else { position as u64 });
            let index = u32::try_from(index).map_err(|_| {
                Error::new(
                    ErrorKind::Protocol,
                    format!("a choice has the index {index}"),
                )
            })?;
            self.choice(index, choice, streaming, data, out)?;
        }
        self.metadata(&completion, out)
    }

    fn choice(
        &mut self,
        index: u32,
        choice: &Choice<'_>,
        streaming: bool,
        data: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        out.choice(index)?;
        if let Some(text) = choice.error.text() {
            return Err(failure::from_event("", wrap_error(text).as_bytes()));
        }
        // Perplexity sends both: the message so far and what is new.
        let (first, second) = if streaming {
            (&choice.delta, &choice.message)
        } else {
            (&choice.message, &choice.delta)
        };
        if let Some(message) = first.0.as_ref().or(second.0.as_ref()) {
            self.message(index, message, streaming, out)?;
        }
        if let Some(logprobs) = logprobs(choice) {
            out.logprobs(index, logprobs)?;
        }
        if let Some(reason) = choice.finish_reason.non_empty() {
            if matches!(
                reason,
                "error" | "network_error" | "insufficient_system_resource"
            ) {
                return Err(failed_finish(reason, data));
            }
            let native = choice.native_finish_reason.non_empty().unwrap_or(reason);
            out.finish(index, Some(finish_reason(reason)), native)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        choice: u32,
        message: &Message<'_>,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.reasoning(choice, message, out)?;
        match &message.content {
            Content::Nothing => {}
            Content::Text(text) => out.text(choice, TEXT, text)?,
            Content::Parts(parts) => parts_of(choice, parts, out)?,
        }
        if let Some(refusal) = message.refusal.non_empty() {
            out.refusal(choice, REFUSAL, refusal)?;
        }
        for (position, call) in message.tool_calls.0.iter().enumerate() {
            self.tool_call(choice, position, call, streaming, out)?;
        }
        // The form before `tool_calls`. Snowflake fills it with empty texts.
        if let Some(function) = message
            .function_call
            .0
            .as_ref()
            .filter(|_| message.tool_calls.0.is_empty())
        {
            let arguments = arguments(function)?;
            let fragment = ToolFragment::new(
                Some(0),
                None,
                function.name.as_deref(),
                arguments.as_deref(),
            );
            if fragment.name.is_some() || fragment.arguments.is_some() {
                out.tool_fragment(choice, fragment)?;
            }
        }
        for annotation in &message.annotations.0 {
            if let Some(citation) = citation(*annotation) {
                out.citation(choice, TEXT, citation)?;
            }
        }
        if let Some(raw) = message
            .extra_content
            .0
            .filter(|_| message.extra_content.text().is_some())
        {
            let block = Json::new(&serde_json::json!({ "extra_content": raw }))?;
            out.opaque(choice, DETAILS, OpaqueBlock::new(&self.provider, block))?;
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        choice: u32,
        message: &Message<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let named = [
            (ReasoningName::Reasoning, &message.reasoning),
            (ReasoningName::ReasoningContent, &message.reasoning_content),
        ];
        let found = named.into_iter().find(|(name, text)| {
            text.as_text().is_some() && self.reasoning_name.is_none_or(|used| used == *name)
        });
        let shown = found.is_some();
        if let Some((name, text)) = found {
            self.reasoning_name = Some(name);
            out.reasoning(choice, REASONING, text.as_text().unwrap_or_default())?;
        }
        for detail in &message.reasoning_details.0 {
            let Some(serde_json::Value::Object(detail)) = detail.read() else {
                continue;
            };
            let text = detail
                .get("text")
                .or_else(|| detail.get("summary"))
                .and_then(|text| text.as_str());
            if let (false, Some(text)) = (shown, text) {
                if self.reasoning_name.is_none() {
                    out.reasoning(choice, REASONING, text)?;
                }
            }
            self.details.add(detail);
        }
        Ok(())
    }

    fn tool_call(
        &mut self,
        choice: u32,
        position: usize,
        call: &ToolCall<'_>,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let empty = Function::default();
        let function = call.function.0.as_ref().unwrap_or(&empty);
        let arguments = arguments(function)?;
        let fragment = ToolFragment::new(
            call.index.0,
            call.id.as_deref(),
            function.name.as_deref(),
            arguments.as_deref(),
        );
        if streaming {
            out.tool_fragment(choice, fragment)?;
        } else {
            // In a whole answer every element is a call of its own, whatever its index and id say.
            let part = FIRST_CALL.saturating_add(u32::try_from(position).unwrap_or(u32::MAX));
            let (id, name) = (
                fragment.id.unwrap_or_default(),
                fragment.name.unwrap_or_default(),
            );
            out.tool_start(choice, part, id, name)?;
            out.tool_arguments(choice, part, fragment.arguments.unwrap_or_default())?;
        }
        if let (Some(raw), Some(_)) = (call.extra_content.0, call.extra_content.text()) {
            out.last_tool_data(choice, OpaqueData::new(&self.provider, Json::from_raw(raw)))?;
        }
        Ok(())
    }

    fn metadata(&mut self, completion: &Completion<'_>, out: &mut Assembler) -> Result<(), Error> {
        let groq = completion.x_groq.0.as_ref();
        let raw = if completion.usage.text().is_some() {
            completion.usage
        } else {
            groq.map_or(Raw(None), |g| g.usage)
        };
        if let Some((usage, timing)) = usage::usage(raw) {
            out.usage(usage);
            if timing != ServerTiming::default() {
                out.timing(timing, None);
            }
        }
        let keep = |raw: Raw<'_>| raw.0.map(Json::from_raw);
        if let Some(timing) = usage::time_info(completion.time_info) {
            out.timing(timing, keep(completion.time_info));
        } else if let Some(timing) = usage::timings(completion.timings) {
            out.timing(timing, keep(completion.timings));
        }
        for (name, raw) in [
            ("citations", completion.citations),
            ("search_results", completion.search_results),
            ("prompt_filter_results", completion.prompt_filter_results),
        ] {
            if let (Some(value), Some(_)) = (keep(raw), raw.text()) {
                out.extra(name, value)?;
            }
        }
        Ok(())
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Assembler) -> Result<Progress, Error> {
        if lenient::is_done(frame.data) {
            return Ok(Progress::Done);
        }
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(failure::from_event(frame.name, frame.data.as_bytes()));
        }
        self.completion(frame.data, true, out)?;
        Ok(Progress::More)
    }

    fn whole(&mut self, body: &Bytes, out: &mut Assembler) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        self.completion(text, false, out)?;
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut Assembler) -> Result<(), Error> {
        for (n, detail) in (0_u32..).zip(std::mem::take(&mut self.details.open)) {
            let block = Json::new(&detail)?;
            out.opaque(
                0,
                DETAILS.saturating_add(n),
                OpaqueBlock::new(&self.provider, block),
            )?;
        }
        Ok(())
    }
}

impl Details {
    /// Servers cut one detail into pieces that repeat its type and index and bring more of its text.
    fn add(&mut self, piece: serde_json::Map<String, serde_json::Value>) {
        let same = |a: &serde_json::Map<_, _>, b: &serde_json::Map<_, _>| {
            a.get("type") == b.get("type")
                && a.get("index") == b.get("index")
                && b.get("index").is_some()
        };
        let Some(open) = self.open.last_mut().filter(|open| same(open, &piece)) else {
            self.open.push(piece);
            return;
        };
        for (name, value) in piece {
            match (open.get_mut(&name), value) {
                (Some(serde_json::Value::String(text)), serde_json::Value::String(more))
                    if matches!(name.as_str(), "text" | "summary" | "data" | "signature") =>
                {
                    text.push_str(&more);
                }
                (_, serde_json::Value::Null) => {}
                (_, value) => {
                    open.insert(name, value);
                }
            }
        }
    }
}

/// Mistral: text parts and thinking parts, whose content is again a list of text parts.
fn parts_of(choice: u32, parts: &[Part<'_>], out: &mut Assembler) -> Result<(), Error> {
    for part in parts {
        let inner: List<Part<'_>> = part.thinking.read().unwrap_or_default();
        for thought in &inner.0 {
            out.reasoning(
                choice,
                REASONING,
                thought.text.as_deref().unwrap_or_default(),
            )?;
        }
        if inner.0.is_empty() {
            if let Some(thought) = part
                .thinking
                .read::<Text<'_>>()
                .filter(|text| text.0.is_some())
            {
                out.reasoning(choice, REASONING, thought.as_deref().unwrap_or_default())?;
            }
            out.text(choice, TEXT, part.text.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The arguments' text. An object instead of a string is kept as its text (F82).
fn arguments<'a>(function: &Function<'a>) -> Result<Option<Cow<'a, str>>, Error> {
    let Some(text) = function.arguments.text() else {
        return Ok(None);
    };
    if !text.starts_with('"') {
        return Ok(Some(Cow::Borrowed(text)));
    }
    if let Ok(plain) = serde_json::from_str::<&'a str>(text) {
        return Ok(Some(Cow::Borrowed(plain)));
    }
    serde_json::from_str::<String>(text)
        .map(|text| Some(Cow::Owned(text)))
        .map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!("the arguments of a tool call cannot be read: {e}"),
            )
        })
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "sensitive" | "content_filtered" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

/// A finish reason that says that the provider failed (F24).
fn failed_finish(reason: &str, data: &str) -> Error {
    let described = ErrorBody::parse(data.as_bytes()).filter(|body| body.message.is_some());
    match described {
        Some(body) => failure::from_body(200, &body),
        None => {
            let kind = match reason {
                "insufficient_system_resource" => ErrorKind::Overloaded,
                _ => ErrorKind::InternalServer,
            };
            Error::new(
                kind,
                format!("the provider ended the answer with `{reason}`"),
            )
            .with_code(reason)
        }
    }
}

/// An error where an answer should be: with status 200, whole or in a stream (F28, F31).
fn stream_error(completion: &Completion<'_>, data: &str) -> Option<Error> {
    if completion.error.text().is_some() {
        return Some(failure::from_event("", data.as_bytes()));
    }
    if let Some(text) = completion
        .x_groq
        .0
        .as_ref()
        .and_then(|groq| groq.error.text())
    {
        return Some(failure::from_event("", wrap_error(text).as_bytes()));
    }
    let flat = completion.choices.is_none()
        && completion.id.0.is_none()
        && completion.usage.text().is_none()
        && completion.prompt_filter_results.text().is_none();
    if completion.object.as_deref() == Some("error") || flat {
        ErrorBody::parse(data.as_bytes())?;
        return Some(failure::from_event("", data.as_bytes()));
    }
    None
}

fn wrap_error(text: &str) -> String {
    ["{\"error\":", text, "}"].concat()
}

fn citation(annotation: Raw<'_>) -> Option<Citation> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wire<'a> {
        #[serde(borrow)]
        url_citation: lenient::Object<UrlCitation<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct UrlCitation<'a> {
        #[serde(borrow)]
        url: Text<'a>,
        title: Text<'a>,
        content: Text<'a>,
    }
    let url = annotation
        .read::<Wire<'_>>()?
        .url_citation
        .0
        .unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Some(Citation {
        url: owned(&url.url),
        title: owned(&url.title),
        cited_text: owned(&url.content),
        raw: annotation.0.map(Json::from_raw),
    })
}

fn logprobs(choice: &Choice<'_>) -> Option<Logprobs> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Lists<'a> {
        #[serde(borrow)]
        content: List<Token<'a>>,
        refusal: List<Token<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Token<'a> {
        #[serde(borrow)]
        token: Text<'a>,
        logprob: Number,
        bytes: List<Count>,
        top_logprobs: List<Token<'a>>,
    }
    fn bytes(list: &List<Count>) -> Option<Vec<u8>> {
        (!list.0.is_empty()).then(|| {
            list.0
                .iter()
                .filter_map(|byte| u8::try_from(byte.0?).ok())
                .collect()
        })
    }
    fn tokens(list: List<Token<'_>>) -> Vec<TokenLogprob> {
        list.0
            .into_iter()
            .filter_map(|token| {
                Some(TokenLogprob {
                    logprob: token.logprob.0?,
                    bytes: bytes(&token.bytes),
                    top_logprobs: token
                        .top_logprobs
                        .0
                        .iter()
                        .filter_map(|top| {
                            Some(TopLogprob {
                                token: top.token.to_string_or_empty(),
                                logprob: top.logprob.0?,
                                bytes: bytes(&top.bytes),
                            })
                        })
                        .collect(),
                    token: token.token.to_string_or_empty(),
                })
            })
            .collect()
    }
    let own: Option<Lists<'_>> = choice.logprobs.read();
    let reasoning: Option<Lists<'_>> = choice.reasoning_logprobs.read();
    if own.is_none() && reasoning.is_none() {
        return None;
    }
    let own = own.unwrap_or_default();
    Some(Logprobs {
        content: tokens(own.content),
        refusal: tokens(own.refusal),
        reasoning: tokens(reasoning.unwrap_or_default().content),
    })
}
