//! From the wire to the assembler: whole responses, and the events of a stream.

use super::{
    items::Items,
    usage,
    wire::{Event, Item, Response},
};
use crate::{
    Assembler, Error, ErrorKind, FinishReason, Head,
    error::ErrorBody,
    provider::{
        Decoder, Frame, FrameKind, Progress, failure,
        lenient::{self, Raw},
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

    fn event(&mut self, name: &str, data: &str, out: &mut Assembler) -> Result<Progress, Error> {
        let event: Event<'_> = lenient::parse(data)?;
        // Some servers send no `event:` lines, some compatible ones no `type`.
        match event.r#type.non_empty().unwrap_or(name) {
            "error" => return Err(failure::from_event("", data.as_bytes())),
            "keepalive" | "ping" => return Ok(Progress::Ping),
            "response.created" => self.created(event.response, out),
            "response.output_item.added" => self.items.added(&event, out)?,
            "response.output_item.done" => self.items.done(&event, out)?,
            "response.output_text.delta" => self.items.text(&event, out)?,
            "response.refusal.delta" => self.items.refusal(&event, out)?,
            "response.reasoning_summary_text.delta" => self.items.summary(&event, out)?,
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                self.items.reasoning(&event, out)?;
            }
            "response.function_call_arguments.delta" => self.items.arguments(&event, out)?,
            name @ ("response.completed" | "response.incomplete" | "response.failed") => {
                self.terminal(name, event.response, data, out)?;
            }
            "" if ErrorBody::parse(data.as_bytes()).is_some() => {
                return Err(failure::from_event("", data.as_bytes()));
            }
            // The `done` of a part repeats what the item's own `done` says; tools of the provider report their progress.
            _ => {}
        }
        Ok(Progress::More)
    }

    fn created(&mut self, response: Raw<'_>, out: &mut Assembler) {
        if let Some(response) = response.read::<Response<'_>>() {
            head(&response, out);
        }
    }

    fn terminal(
        &mut self,
        name: &str,
        raw: Raw<'_>,
        data: &str,
        out: &mut Assembler,
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
        let status = name.strip_prefix("response.").unwrap_or_default();
        self.response(&response, status, data, out)?;
        self.over = true;
        out.end_marker();
        Ok(())
    }

    /// A response as it stands at the end: what was not yet handed out of it, its counts, and why it ended. `status` counts
    /// where it tells none itself.
    fn response(
        &mut self,
        response: &Response<'_>,
        status: &str,
        data: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        head(response, out);
        out.choice(0)?;
        let total = response.output.as_ref().map_or(0, |list| list.0.len());
        self.items.expect(total);
        for (position, raw) in response.output.iter().flat_map(|list| &list.0).enumerate() {
            let item: Item<'_> = raw.read().unwrap_or_default();
            self.items.of_response(position, &item, *raw, out)?;
        }
        if let Some(usage) = usage::usage(response.usage) {
            out.usage(usage);
        }
        for (name, raw) in [
            ("content_filters", response.content_filters),
            ("moderation", response.moderation),
        ] {
            if let Some(value) = raw.json() {
                out.extra(name, value)?;
            }
        }
        let status = response.status.non_empty().unwrap_or(status);
        self.end(response, status, data, out)
    }

    fn end(
        &self,
        response: &Response<'_>,
        status: &str,
        data: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        match status {
            "failed" => Err(failed(response, data)),
            _ if response.error.text().is_some() => Err(failed(response, data)),
            "cancelled" => Err(Error::new(
                ErrorKind::Cancelled,
                "the response was cancelled",
            )),
            "queued" | "in_progress" => Err(Error::new(
                ErrorKind::Truncated,
                format!("the response is not complete: its status is `{status}`"),
            )),
            "incomplete" => {
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

impl Decoder for ResponsesDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Assembler) -> Result<Progress, Error> {
        if frame.kind == FrameKind::Exception {
            return Err(failure::from_event(frame.name, frame.data.as_bytes()));
        }
        if lenient::is_done(frame.data) {
            if self.over {
                return Ok(Progress::Done);
            }
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream ended with `[DONE]`, but without the event that completes a response",
            ));
        }
        if self.over {
            return Ok(Progress::Ping);
        }
        self.event(frame.name, frame.data, out)
    }

    fn whole(&mut self, body: &Bytes, out: &mut Assembler) -> Result<(), Error> {
        let response: Response<'_> = lenient::parse(lenient::utf8(body)?)?;
        if response.output.is_none() && response.status.non_empty().is_none() {
            return Err(match ErrorBody::parse(body) {
                Some(_) => failure::from_event("", body),
                None => Error::new(
                    ErrorKind::Protocol,
                    "the answer has no `output`: this is no response",
                ),
            });
        }
        self.response(&response, "completed", "", out)?;
        out.end_marker();
        Ok(())
    }
}

fn head(response: &Response<'_>, out: &mut Assembler) {
    let metadata = response.metadata.0.as_ref();
    out.head(Head {
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
        Some(text) => failure::from_event("", ["{\"error\":", text, "}"].concat().as_bytes()),
        None => Error::new(
            ErrorKind::InternalServer,
            "the provider failed and gave no reason",
        )
        .with_body(Bytes::copy_from_slice(data.as_bytes())),
    }
}
