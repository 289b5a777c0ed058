//! From the wire to the assembler: whole responses, and the events of a stream.

use super::{
    items::Items,
    parts::List,
    streamed::Member,
    types::{Event, PartKind, Response},
    unclosed::Ended,
    unknown, usage,
};
use crate::{
    Error, ErrorKind, FinishReason,
    chat::ResponseStart,
    error::ErrorBody,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors,
            lenient::{self, Raw},
        },
    },
};
use bytes::Bytes;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct ResponsesDecoder {
    items: Items,
    /// The terminal event came; nothing after it counts.
    over: bool,
}

impl ResponsesDecoder {
    pub(super) fn new(provider: &str) -> Self {
        ResponsesDecoder {
            items: Items::new(provider),
            over: false,
        }
    }

    fn event(
        &mut self,
        name: &str,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        let event: Event<'_> = lenient::parse(data)?;
        let items = &mut self.items;
        // Some servers send no `event:` lines, some compatible ones no `type`.
        match event.r#type.non_empty().unwrap_or(name) {
            "response.output_text.delta" => items.text(&event, out)?,
            "error" => return Err(errors::from_event("", data.as_bytes())),
            "keepalive" | "ping" => return Ok(FrameOutcome::KeepAlive),
            "response.created" => self.created(event.response, out),
            "response.output_item.added" => items.added(&event, out)?,
            "response.output_item.done" => items.done(&event, out)?,
            "response.content_part.done" => items.part_done(&event, List::First, out)?,
            "response.output_text.done" => {
                items.text_done(&event, PartKind::Text, List::First, out)?;
            }
            "response.output_text.annotation.added" => items.annotation(&event, out)?,
            "response.refusal.delta" => items.refusal(&event, out)?,
            "response.refusal.done" => {
                items.text_done(&event, PartKind::Refusal, List::First, out)?;
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_summary.delta" => {
                items.summary(&event, out)?;
            }
            "response.reasoning_summary_text.done" | "response.reasoning_summary.done" => {
                items.text_done(&event, PartKind::Reasoning, List::First, out)?;
            }
            "response.reasoning_summary_part.done" => items.part_done(&event, List::First, out)?,
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                items.reasoning(&event, out)?;
            }
            "response.reasoning_text.done" | "response.reasoning.done" => {
                items.text_done(&event, PartKind::Reasoning, List::Second, out)?;
            }
            "response.reasoning_part.done" => items.part_done(&event, List::Second, out)?,
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
            name if unknown::says_something(name, lenient::parse(data)?) => {
                items.unknown.event(name, out);
            }
            _ => {}
        }
        Ok(FrameOutcome::Continue)
    }

    fn created(&mut self, response: Raw<'_>, out: &mut ResponseBuilder) {
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
            .extras(lenient::parse(data)?, unknown::OF_LAST_EVENT, out)?;
        let status = name.strip_prefix("response.").unwrap_or_default();
        self.response(&response, raw, status, data, out)?;
        self.over = true;
        out.end_marker();
        Ok(())
    }

    /// A response as it stands at the end: what was not yet handed out of it, its counts, and why it ended. `status` counts
    /// where it tells none itself.
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
        if let Some(usage) = usage::usage(response.usage) {
            out.usage(usage);
        }
        let status = response.status.non_empty().unwrap_or(status);
        if status == "failed" || response.error.text().is_some() {
            return Err(failed(response, data));
        }
        output?;
        self.items.extras(raw, unknown::OF_RESPONSE, out)?;
        self.end(response, status, out)
    }

    fn output(&mut self, response: &Response<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let output = response.output.as_ref().map_or(&[][..], |list| &list.0);
        if let Some(text) = response.output_text.non_empty()
            && output.is_empty()
            && self.items.is_empty()
        {
            return self.items.bare_text(text, out);
        }
        self.items.of_response(output, out)
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
                    "the answer has no `output`: this is no response",
                ),
            });
        }
        self.response(&response, lenient::parse(text)?, "completed", "", out)?;
        out.end_marker();
        Ok(())
    }
}

fn emit_start(response: &Response<'_>, out: &mut ResponseBuilder) {
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

/// A failed response comes with HTTP 200, its reason in `error`.
fn failed(response: &Response<'_>, data: &str) -> Error {
    match response.error.text() {
        Some(text) => errors::from_event("", ["{\"error\":", text, "}"].concat().as_bytes()),
        None => Error::new(
            ErrorKind::InternalServer,
            "the provider failed and gave no reason",
        )
        .with_body(Bytes::copy_from_slice(data.as_bytes())),
    }
}
