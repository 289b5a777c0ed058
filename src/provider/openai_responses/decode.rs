//! Decodes responses: single bodies, and the events of a stream.

use super::{
    items::{Ended, Items},
    output_items::Member,
    parts::PartList,
    types::{Event, PartKind, Response, usage},
};
use crate::{
    Error, ErrorKind, FinishReason,
    chat::{Cursor, ResponseStart, Warning},
    error::ErrorBody,
    json::Reader,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors,
            lenient::{self, Raw},
        },
    },
};
use bytes::Bytes;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct ResponsesDecoder {
    items: Items,
    /// The terminal event was received; later events are ignored.
    over: bool,
    /// The number of the last event.
    last: Option<u64>,
    /// The stream began after the first event, so deltas of an item can follow others that are not known.
    began_later: bool,
}

impl ResponsesDecoder {
    pub(super) fn new(provider: &str) -> Self {
        ResponsesDecoder {
            items: Items::new(provider),
            over: false,
            last: None,
            began_later: false,
        }
    }

    fn event(
        &mut self,
        name: &str,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        let event: Event<'_> = lenient::parse(data)?;
        let is_first = event.r#type.non_empty().unwrap_or(name) == "response.created";
        if self.is_repeated(event.sequence_number.0, is_first, out) {
            return Ok(FrameOutcome::Continue);
        }
        let items = &mut self.items;
        let is_delta = |name: &str| name.ends_with(".delta") || name.ends_with(".added");
        // The complete item follows.
        if self.began_later
            && is_delta(event.r#type.non_empty().unwrap_or(name))
            && event.item_id.0.is_some()
            && !items.slots.has(event.output_index.0)
        {
            return Ok(FrameOutcome::Continue);
        }
        // Some servers send no `event:` lines, some compatible ones no `type`.
        match event.r#type.non_empty().unwrap_or(name) {
            "response.output_text.delta" => items.text(&event, out)?,
            "error" => return Err(errors::from_event("", data.as_bytes())),
            "keepalive" | "ping" => return Ok(FrameOutcome::KeepAlive),
            // A stream that begins later has no `response.created`.
            "response.created" | "response.queued" | "response.in_progress" => {
                self.begun(event.response, out);
            }
            "response.output_item.added" => items.added(&event, out)?,
            "response.output_item.done" => items.done(&event, out)?,
            "response.content_part.done" => items.part_done(&event, PartList::First, out)?,
            "response.output_text.done" => {
                items.text_done(&event, PartKind::Text, PartList::First, out)?;
            }
            "response.output_text.annotation.added" => items.annotation(&event, out)?,
            "response.refusal.delta" => items.refusal(&event, out)?,
            "response.refusal.done" => {
                items.text_done(&event, PartKind::Refusal, PartList::First, out)?;
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_summary.delta" => {
                items.summary(&event, out)?;
            }
            "response.reasoning_summary_text.done" | "response.reasoning_summary.done" => {
                items.text_done(&event, PartKind::Reasoning, PartList::First, out)?;
            }
            "response.reasoning_summary_part.done" => {
                items.part_done(&event, PartList::First, out)?
            }
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                items.reasoning(&event, out)?;
            }
            "response.reasoning_text.done" | "response.reasoning.done" => {
                items.text_done(&event, PartKind::Reasoning, PartList::Second, out)?;
            }
            "response.reasoning_part.done" => items.part_done(&event, PartList::Second, out)?,
            "response.function_call_arguments.delta" => items.arguments(&event, out)?,
            "response.function_call_arguments.done" => items.arguments_done(&event, out)?,
            "response.custom_tool_call_input.delta" => {
                items.member_delta(&event, Member::Input, out)?;
            }
            "response.custom_tool_call_input.done" => {
                items.member_done(&event, Member::Input, event.input, out)?;
            }
            "response.mcp_call_arguments.delta" => {
                items.member_delta(&event, Member::Arguments, out)?;
            }
            "response.mcp_call_arguments.done" => {
                items.member_done(&event, Member::Arguments, event.arguments, out)?;
            }
            "response.code_interpreter_call_code.delta" => {
                items.member_delta(&event, Member::Code, out)?;
            }
            "response.code_interpreter_call_code.done" => {
                items.member_done(&event, Member::Code, event.code, out)?;
            }
            "response.apply_patch_call_operation_diff.delta" => {
                items.member_delta(&event, Member::Diff, out)?;
            }
            "response.apply_patch_call_operation_diff.done" => {
                items.member_done(&event, Member::Diff, event.diff, out)?;
            }
            "response.shell_call_command.delta" => {
                items.member_delta(
                    &event,
                    Member::Command(event.command_index.0.unwrap_or(0)),
                    out,
                )?;
            }
            "response.shell_call_command.done" => {
                let member = Member::Command(event.command_index.0.unwrap_or(0));
                items.member_done(&event, member, event.command, out)?;
            }
            "response.shell_call_output_content.delta" => items.shell_output(&event, data, out)?,
            name @ ("response.completed" | "response.incomplete" | "response.failed") => {
                self.terminal(name, event.response, data, out)?;
            }
            "" if ErrorBody::parse(data.as_bytes()).is_some() => {
                return Err(errors::from_event("", data.as_bytes()));
            }
            name if says_something(name, lenient::parse(data)?) => {
                items.unknown.event(name, out);
            }
            _ => {}
        }
        if let Some(number) = event.sequence_number.0.filter(|_| out.is_resumable()) {
            out.cursor(Cursor::Number(number));
        }
        Ok(FrameOutcome::Continue)
    }

    /// Whether the event was decoded before the stream was resumed. Only the events of a response that is kept have numbers
    /// that identify them.
    fn is_repeated(
        &mut self,
        number: Option<u64>,
        is_first: bool,
        out: &mut ResponseBuilder,
    ) -> bool {
        let Some(number) = number else {
            return false;
        };
        let last = self.last.replace(number);
        match last {
            None => self.began_later = number > 0 && !is_first,
            Some(last) if out.is_resumable() => {
                if number <= last {
                    self.last = Some(last);
                    return true;
                }
                if number > last.saturating_add(1) {
                    out.warn_once(Warning::new(
                        "missing_events",
                        format!("the stream has no event with a `sequence_number` between {last} and {number}"),
                    ));
                }
            }
            Some(_) => {}
        }
        false
    }

    fn begun(&mut self, response: Raw<'_>, out: &mut ResponseBuilder) {
        if out.has_response_start() {
            return;
        }
        if let Some(response) = response.read::<Response<'_>>() {
            emit_start(&response, out);
        }
    }

    fn terminal(
        &mut self,
        name: &str,
        raw: Raw<'_>,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(response) = raw.read::<Response<'_>>() else {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the last event has no response: {}",
                    crate::error::excerpt(data.as_bytes())
                ),
            ));
        };
        self.items
            .extras(lenient::parse(data)?, OF_LAST_EVENT, out)?;
        let status = name.strip_prefix("response.").unwrap_or_default();
        self.response(&response, raw, status, data, out)?;
        self.over = true;
        out.end_marker();
        Ok(())
    }

    /// Decodes a response object at the end: content that was not emitted yet, usage, and finish reason. `status`
    /// applies if the object has none.
    fn response(
        &mut self,
        response: &Response<'_>,
        raw: Raw<'_>,
        status: &str,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        emit_start(response, out);
        out.choice(0)?;
        let output = self.output(response, out);
        if let Some(mut usage) = usage(response.usage) {
            if usage.hosted_tools.is_none() {
                usage.hosted_tools = self.items.hosted_tools.clone().into_option();
            }
            out.usage(usage);
        }
        let status = response.status.non_empty().unwrap_or(status);
        if status == "failed" || response.error.text().is_some() {
            return Err(failed(response, data));
        }
        output?;
        self.items.extras(raw, OF_RESPONSE, out)?;
        self.end(response, status, out)
    }

    fn output(&mut self, response: &Response<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let output = response.output.as_ref().map_or(&[][..], |list| &list.0);
        match response.output_text.non_empty() {
            Some(text) if output.is_empty() && self.items.is_empty() => {
                self.items.bare_text(text, out)
            }
            _ => self.items.of_response(output, out),
        }
    }

    fn end(
        &mut self,
        response: &Response<'_>,
        status: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        match status {
            "cancelled" => Err(Error::new(
                ErrorKind::Cancelled,
                "the response was cancelled",
            )),
            "queued" | "in_progress" => Err(Error::new(
                ErrorKind::Truncated,
                format!("the response is not complete: its status is `{status}`"),
            )),
            "incomplete" => {
                self.items.finish(Ended::Incomplete, out)?;
                let details = response.incomplete_details.0.as_ref();
                let native = details
                    .and_then(|details| details.reason.non_empty())
                    .unwrap_or(status);
                let reason = match native {
                    "max_output_tokens" | "max_tokens" => FinishReason::Length,
                    "content_filter" => FinishReason::ContentFilter,
                    other => FinishReason::Other(other.to_owned()),
                };
                out.finish(0, Some(reason), native)
            }
            _ => {
                self.items.finish(Ended::Complete, out)?;
                let reason = if self.items.has_calls() {
                    FinishReason::ToolCalls
                } else {
                    FinishReason::Stop
                };
                out.finish(0, Some(reason), status)
            }
        }
    }
}

impl ChatDecoder for ResponsesDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception {
            return Err(errors::from_event(frame.name, frame.data.as_bytes()));
        }
        if lenient::is_done(frame.data) {
            if self.over {
                return Ok(FrameOutcome::Complete);
            }
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream ended with `[DONE]`, but without the event that completes a response",
            ));
        }
        if self.over {
            let event: Event<'_> = lenient::parse(frame.data)?;
            let name = event.r#type.non_empty().unwrap_or(frame.name);
            // Some servers repeat the end.
            if name.starts_with("response.output_item") || name.ends_with(".delta") {
                self.items.unknown.behind_end(name, out);
            }
            return Ok(FrameOutcome::KeepAlive);
        }
        self.event(frame.name, frame.data, out)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        let response: Response<'_> = lenient::parse(text)?;
        if response.output.is_none() && response.status.non_empty().is_none() {
            return Err(match ErrorBody::parse(body) {
                Some(_) => errors::from_event("", body),
                None => Error::new(
                    ErrorKind::Protocol,
                    "the body is not a response object: it has no `output`",
                ),
            });
        }
        if let Some(status @ ("queued" | "in_progress")) = response.status.non_empty() {
            emit_start(&response, out);
            out.resumable(response.id.as_deref().unwrap_or_default());
            out.in_progress(status);
            return Ok(());
        }
        self.response(&response, lenient::parse(text)?, "completed", "", out)?;
        out.end_marker();
        Ok(())
    }
}

fn emit_start(response: &Response<'_>, out: &mut ResponseBuilder) {
    let is_kept = response.background.text() == Some("true");
    if let Some(id) = response.id.non_empty().filter(|_| is_kept) {
        out.resumable(id);
    }
    let metadata = response.metadata.0.as_ref();
    out.response_start(ResponseStart {
        id: response.id.to_string_or_empty(),
        model: response.model.to_string_or_empty(),
        created: response.created_at.0,
        system_fingerprint: metadata
            .and_then(|metadata| metadata.system_fingerprint.non_empty())
            .map(str::to_owned),
        service_tier: response.service_tier.non_empty().map(str::to_owned),
    });
}

/// A failed response has HTTP status 200, and its reason in `error`.
fn failed(response: &Response<'_>, data: &str) -> Error {
    match response.error.text() {
        Some(text) => errors::from_value(text),
        None => Error::new(
            ErrorKind::InternalServer,
            "the provider failed and gave no reason",
        )
        .with_body(errors::beginning(data.as_bytes())),
    }
}

// Content that a response has no field for. It is never dropped without a warning.

/// Events that only report progress, or whose content the end of their item repeats.
const REPEATED: &[&str] = &[
    "response.in_progress",
    "response.queued",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_part.added",
    "response.reasoning_summary_part.added",
    "response.shell_call_command.added",
    "response.shell_call_output_content.done",
    "response.image_generation_call.partial_image",
];

/// Fields that identify the object of an event, and padding.
const OBJECT_NAMES: &[&str] = &[
    "type",
    "sequence_number",
    "output_index",
    "content_index",
    "summary_index",
    "item_id",
    "response_id",
    "obfuscation",
    "status",
];

/// The fields of a response with a field of their own, and those that repeat the request or the state.
pub(super) const OF_RESPONSE: &[&str] = &[
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "error",
    "incomplete_details",
    "output",
    "output_text",
    "usage",
    "model",
    "service_tier",
    "metadata",
    // The request.
    "background",
    "conversation",
    "frequency_penalty",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The fields of the last event.
pub(super) const OF_LAST_EVENT: &[&str] = &["type", "sequence_number", "response"];

/// The known fields of a message.
pub(super) const OF_MESSAGE: &[&str] =
    &["type", "id", "status", "role", "phase", "content", "object"];

/// The known fields of a part.
pub(super) const OF_PART: &[&str] = &["type", "text", "refusal", "annotations", "logprobs"];

/// Passes on the fields of an object that are not in `known` and have content.
pub(super) fn members<'a>(
    object: Raw<'a>,
    known: &[&str],
    found: &mut dyn FnMut(&str, &'a str) -> Result<(), Error>,
) -> Result<(), Error> {
    let text = object.text().unwrap_or_default();
    let mut result = Ok(());
    if text.starts_with('{') {
        // Invalid JSON was refused before.
        let _ = Reader::new(text).object(|name, reader| {
            let value = reader.raw()?;
            let says_nothing = matches!(value, "null" | "\"\"" | "[]" | "{}" | "false");
            if !says_nothing && !known.contains(&name) && result.is_ok() {
                result = found(name, value);
            }
            Ok(())
        });
    }
    result
}

/// Whether an event of unknown type has content that no other event has.
pub(super) fn says_something(name: &str, event: Raw<'_>) -> bool {
    let mut found = false;
    let _ = members(event, OBJECT_NAMES, &mut |_, _| {
        found = true;
        Ok(())
    });
    found && !REPEATED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        lenient::parse(text).unwrap()
    }

    #[test]
    fn an_error_keeps_only_the_beginning_of_a_large_event() {
        let data = "x".repeat(100 << 10);
        assert_eq!(failed(&Response::default(), &data).body().len(), 64 << 10);
    }

    #[test]
    fn empty_member_is_ignored() {
        let object = raw(r#"{"id":1,"a":null,"b":"","c":[],"d":{},"e":[0],"f":"x"}"#);
        let names = |object| {
            let mut names = Vec::new();
            let mut found = |name: &str, value| {
                names.push((name.to_owned(), value));
                Ok(())
            };
            members(object, &["id"], &mut found).unwrap();
            names
        };
        assert_eq!(names(object), [("e".into(), "[0]"), ("f".into(), "\"x\"")]);
        assert!(names(raw("[1]")).is_empty());
    }

    #[test]
    fn an_event_has_content_if_it_has_more_than_its_position() {
        for (name, event, expected) in [
            (
                "response.new.delta",
                r#"{"type":"x","item_id":"i","delta":"a"}"#,
                true,
            ),
            (
                "response.new.progress",
                r#"{"type":"x","item_id":"i","output_index":1}"#,
                false,
            ),
            (
                "response.content_part.added",
                r#"{"part":{"type":"output_text"}}"#,
                false,
            ),
        ] {
            assert_eq!(says_something(name, raw(event)), expected, "{name}");
        }
    }
}
