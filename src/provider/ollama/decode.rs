//! Decodes responses into the response builder. A single-body response is a stream of one line.

use super::types::{Line, Message, ToolCall};
use crate::{
    Error, ErrorKind, FinishReason, Json, Usage,
    chat::{Logprobs, ProviderBlock, ResponseStart, ServerTiming},
    codec::rfc3339::rfc3339,
    event::MESSAGE_KEY,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors,
            json_object::JsonObject,
            lenient::{self, Count},
            logprobs,
            unknown_fields::UnknownFieldWarnings,
        },
    },
};
use bytes::Bytes;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// The first keys of calls and of unknown fields, which the API does not number. They follow the message's text.
const FIRST_CALL: u32 = MESSAGE_KEY + 1;
const FIRST_OTHER: u32 = 1 << 16;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct OllamaDecoder {
    provider: String,
    named: bool,
    calls: u32,
    /// The number of message fields that are kept as provider blocks.
    others: u32,
    unknown: UnknownFieldWarnings,
    /// The line with `done` was received; later lines are ignored.
    over: bool,
}

impl OllamaDecoder {
    pub(super) fn new(provider: &str) -> Self {
        OllamaDecoder {
            provider: provider.to_owned(),
            named: false,
            calls: 0,
            others: 0,
            unknown: UnknownFieldWarnings::default(),
            over: false,
        }
    }

    fn line(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<bool, Error> {
        let line: Line<'_> = lenient::parse(data)?;
        if line.error.text().is_some() {
            return Err(errors::from_event("", data.as_bytes()));
        }
        if !self.named {
            self.named = true;
            out.response_start(ResponseStart {
                model: line.model.to_string_or_empty(),
                created: line.created_at.as_deref().and_then(seconds_since_1970),
                ..ResponseStart::default()
            });
        }
        out.choice(0)?;
        let thinking = line.thinking.as_deref().unwrap_or_default();
        out.reasoning(0, MESSAGE_KEY, thinking)?;
        out.text(0, MESSAGE_KEY, line.response.as_deref().unwrap_or_default())?;
        if let Some(message) = &line.message.0 {
            self.message(message, out)?;
        }
        let content = logprobs::tokens(&line.logprobs.0);
        out.logprobs(
            0,
            Logprobs {
                content,
                ..Logprobs::default()
            },
        )?;
        self.unknown.extras("", &line.others, out)?;
        if line.done {
            self.done(&line, out)?;
        }
        Ok(line.done)
    }

    fn message(&mut self, message: &Message<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        out.reasoning(
            0,
            MESSAGE_KEY,
            message.thinking.as_deref().unwrap_or_default(),
        )?;
        out.text(
            0,
            MESSAGE_KEY,
            message.content.as_deref().unwrap_or_default(),
        )?;
        for (name, raw) in message.others.iter() {
            // For example a generated image.
            let Some(value) = raw.json() else { continue };
            let mut members = JsonObject::default();
            members.set(name, value);
            let key = FIRST_OTHER.saturating_add(self.others);
            self.others = self.others.saturating_add(1);
            let block = ProviderBlock::new(self.provider.as_str(), members.to_json()?);
            out.provider_block(0, key, block)?;
        }
        for raw in &message.tool_calls.0 {
            let call: ToolCall<'_> = raw.read().unwrap_or_default();
            let Some(function) = &call.function.0 else {
                if let Some(text) = raw.text() {
                    self.unknown.value("tool_calls", text, out);
                }
                continue;
            };
            self.unknown.members("a tool call", &call.others, out);
            self.unknown.members("a function", &function.others, out);
            // Calls are complete, and some servers number them from 0 in each line.
            let key = FIRST_CALL.saturating_add(self.calls);
            self.calls = self.calls.saturating_add(1);
            let id = call.id.as_deref().unwrap_or_default();
            out.tool_start(0, key, id, function.name.as_deref().unwrap_or_default())?;
            out.tool_arguments(0, key, &function.arguments.arguments()?)?;
            out.end_part(0, key)?;
        }
        Ok(())
    }

    fn done(&mut self, line: &Line<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.over = true;
        let (prompt, completion) = (line.prompt_eval_count.0, line.eval_count.0);
        if prompt.is_some() || completion.is_some() {
            out.usage(Usage {
                prompt_tokens: prompt,
                completion_tokens: completion,
                total_tokens: prompt.zip(completion).map(|(a, b)| a.saturating_add(b)),
                ..Usage::default()
            });
        }
        let ns = |count: Count| count.0.map(Duration::from_nanos);
        let server = ServerTiming {
            prompt: ns(line.prompt_eval_duration),
            completion: ns(line.eval_duration),
            total: ns(line.total_duration),
            ..ServerTiming::default()
        };
        if server != ServerTiming::default() {
            out.timing(server, Some(Json::new(&Durations::of(line))?));
        }
        let native = line.done_reason.non_empty().unwrap_or_default();
        let reason = match native {
            // The reason is `stop` even with tool calls.
            "" | "stop" if self.calls > 0 => Some(FinishReason::ToolCalls),
            "" => None,
            "stop" => Some(FinishReason::Stop),
            "length" => Some(FinishReason::Length),
            other => Some(FinishReason::Other(other.to_owned())),
        };
        out.finish(0, reason, native)?;
        out.end_marker();
        Ok(())
    }
}

impl ChatDecoder for OllamaDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception {
            return Err(errors::from_event(frame.name, frame.data.as_bytes()));
        }
        if self.over {
            self.unknown.behind_end("", out);
        } else {
            self.line(frame.data, out)?;
        }
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        if self.line(lenient::utf8(body)?, out)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            "the response is not marked as `done`",
        ))
    }
}

/// The server's times in nanoseconds.
#[derive(Serialize)]
struct Durations {
    #[serde(skip_serializing_if = "Option::is_none")]
    total_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_duration: Option<u64>,
}

impl Durations {
    fn of(line: &Line<'_>) -> Self {
        Durations {
            total_duration: line.total_duration.0,
            load_duration: line.load_duration.0,
            prompt_eval_duration: line.prompt_eval_duration.0,
            eval_duration: line.eval_duration.0,
        }
    }
}

fn seconds_since_1970(date: &str) -> Option<u64> {
    let at = rfc3339(date)?;
    Some(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}
