//! Decodes responses: single bodies, and the events of a stream.

use super::{
    errors::{self, StepErrors},
    steps::Steps,
    types::{Event, Interaction, Metadata, OF_EVENT, REPEATED, usage},
};
use crate::{
    Error, ErrorKind, FinishReason,
    chat::{Cursor, ResponseStart, Warning},
    codec::rfc3339::rfc3339,
    error::{ErrorBody, excerpt},
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::lenient::{self, Raw},
    },
};
use bytes::Bytes;
use std::time::UNIX_EPOCH;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct InteractionDecoder {
    steps: Steps,
    unfinished: Unfinished,
    /// The last event was received; later events are ignored.
    is_over: bool,
}

/// What an interaction without its end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// The response was cut.
    Truncated,
    /// It is the response: the request has `background` among its extra fields.
    Response,
    /// The server goes on with it, and its rest can be requested: the request has the parameter `background`.
    Resumable,
}

impl InteractionDecoder {
    pub(super) fn new(unfinished: Unfinished) -> Self {
        InteractionDecoder {
            steps: Steps::default(),
            unfinished,
            is_over: false,
        }
    }

    fn event(&mut self, name: &str, data: &str, out: &mut ResponseBuilder) -> Result<(), Error> {
        let event: Event<'_> = lenient::parse(data)?;
        if let Some(metadata) = &event.metadata.0 {
            self.metadata(metadata, out);
        }
        let steps = &mut self.steps;
        match event.event_type.non_empty().unwrap_or(name) {
            "step.delta" => steps.delta(event.index, &event.delta, out)?,
            "step.start" => steps.start(event.index, event.step, out)?,
            "step.stop" => {
                if let Some(usage) = usage(event.usage) {
                    out.usage(usage);
                }
                let path = steps.path(event.index);
                steps
                    .unknown
                    .extra(&path, "step_usage", event.step_usage, out)?;
                steps.stop(event.index, out)?;
            }
            "interaction.created" => {
                if let Some(interaction) = &event.interaction.value.0 {
                    self.start(interaction, out);
                    self.others(interaction, out)?;
                }
            }
            "interaction.completed" => self.completed(&event, data, out)?,
            // The state of a running interaction; the last event has the final one.
            "interaction.status_update"
            | "interaction.in_progress"
            | "interaction.requires_action" => {}
            "error" if errors::says_nothing(event.error) => out.warn_once(Warning::new(
                "empty_error",
                "the stream has an `error` event without a code and without a message, after which it went on",
            )),
            "error" => return Err(errors::from_event(data)),
            "" if ErrorBody::parse(data.as_bytes()).is_some() => {
                return Err(errors::from_event(data));
            }
            other => steps.unknown.event(other, out),
        }
        if let Some(id) = event.event_id.non_empty() {
            out.cursor(Cursor::Token(id.to_owned()));
        }
        for (name, raw) in event.others.without(OF_EVENT) {
            self.steps.unknown.extra("", name, raw, out)?;
        }
        Ok(())
    }

    /// The counts so far: the only ones if the stream is cut.
    fn metadata(&mut self, metadata: &Metadata<'_>, out: &mut ResponseBuilder) {
        let counts = [metadata.total_usage, metadata.usage];
        if let Some(usage) = counts.into_iter().find_map(usage) {
            out.usage(usage);
        }
        self.steps
            .unknown
            .members("`metadata`", &metadata.others, out);
    }

    fn completed(
        &mut self,
        event: &Event<'_>,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(interaction) = &event.interaction.value.0 else {
            return Err(protocol(&format!(
                "the last event has no `interaction`: {}",
                excerpt(data.as_bytes())
            )));
        };
        self.interaction(interaction, event.interaction.raw, out)?;
        self.is_over = true;
        out.end_marker();
        Ok(())
    }

    /// An interaction at its end: steps that were not streamed, usage, errors and the status.
    fn interaction(
        &mut self,
        interaction: &Interaction<'_>,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.start(interaction, out);
        if let Some(status) = self.running(interaction) {
            out.in_progress(status);
            return Ok(());
        }
        out.choice(0)?;
        if let Some(usage) = usage(interaction.usage) {
            out.usage(usage);
        }
        if let Some(steps) = interaction
            .steps
            .as_ref()
            .filter(|_| !self.steps.has_content)
        {
            self.steps.whole(&steps.0, out)?;
        }
        self.others(interaction, out)?;
        self.end(interaction, raw, out)
    }

    fn start(&self, interaction: &Interaction<'_>, out: &mut ResponseBuilder) {
        emit_start(interaction, out);
        if self.unfinished == Unfinished::Resumable {
            out.resumable(interaction.id.as_deref().unwrap_or_default());
        }
    }

    /// The status of an interaction with which the server goes on.
    fn running<'i>(&self, interaction: &'i Interaction<'_>) -> Option<&'i str> {
        let status = interaction.status.non_empty()?;
        let is_running = matches!(status, "in_progress" | "queued");
        (is_running && self.unfinished == Unfinished::Resumable).then_some(status)
    }

    /// Fields of an interaction without a place in a response.
    fn others(
        &mut self,
        interaction: &Interaction<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (name, raw) in interaction.others.without(REPEATED) {
            self.steps.unknown.extra("", name, raw, out)?;
        }
        Ok(())
    }

    fn end(
        &mut self,
        interaction: &Interaction<'_>,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let status = interaction.status.non_empty().unwrap_or("completed");
        let step_errors = std::mem::take(&mut self.steps.errors);
        let errors = StepErrors::new(interaction, step_errors);
        match status {
            "failed" => return Err(errors.into_failure(raw)),
            // The end of a call that cancels it is a response.
            "cancelled" if self.unfinished != Unfinished::Resumable => {
                return Err(Error::new(
                    ErrorKind::Cancelled,
                    "the interaction was cancelled",
                ));
            }
            "in_progress" | "queued" if self.unfinished == Unfinished::Response => {
                self.steps.end_all(true, out)?;
                return out.finish(0, Some(FinishReason::Other(status.to_owned())), status);
            }
            "in_progress" | "queued" => {
                return Err(Error::new(
                    ErrorKind::Truncated,
                    format!(
                        "the interaction is not complete: its status is `{status}`; `background` in the request allows that"
                    ),
                ));
            }
            _ if !errors.is_empty() && !self.steps.has_content => {
                return Err(errors.into_failure(raw));
            }
            _ => {}
        }
        let is_blocked = errors.is_blocked();
        errors.keep(out)?;
        let reason = match status {
            "incomplete" | "budget_exceeded" if is_blocked => FinishReason::ContentFilter,
            "incomplete" | "budget_exceeded" => FinishReason::Length,
            _ if is_blocked => FinishReason::ContentFilter,
            "requires_action" => FinishReason::ToolCalls,
            "completed" if self.steps.has_calls => FinishReason::ToolCalls,
            "completed" => FinishReason::Stop,
            other => FinishReason::Other(other.to_owned()),
        };
        self.steps.end_all(reason.is_cut(), out)?;
        out.finish(0, Some(reason), status)
    }
}

impl ChatDecoder for InteractionDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception {
            return Err(errors::from_event(frame.data));
        }
        if lenient::is_done(frame.data) {
            if self.is_over {
                return Ok(FrameOutcome::Complete);
            }
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream ended with `[DONE]`, but without the event `interaction.completed`",
            ));
        }
        if self.is_over {
            let event: Event<'_> = lenient::parse(frame.data)?;
            let name = event.event_type.non_empty().unwrap_or(frame.name);
            self.steps.unknown.behind_end(name, out);
            return Ok(FrameOutcome::KeepAlive);
        }
        self.event(frame.name, frame.data, out)?;
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        let interaction: Interaction<'_> = lenient::parse(text)?;
        if interaction.status.non_empty().is_none() && interaction.steps.is_none() {
            return Err(match ErrorBody::parse(body) {
                Some(_) => errors::from_event(text),
                None => {
                    protocol("the body is not an interaction: it has neither `status` nor `steps`")
                }
            });
        }
        if self.steps.has_content && self.running(&interaction).is_none() {
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream of the interaction cannot be resumed, and its steps cannot be joined with what was received: fetch the complete interaction by its continuation",
            )
            .with_retryable(false));
        }
        self.interaction(&interaction, lenient::parse(text)?, out)?;
        if self.running(&interaction).is_none() {
            out.end_marker();
        }
        Ok(())
    }
}

fn emit_start(interaction: &Interaction<'_>, out: &mut ResponseBuilder) {
    let model = interaction
        .model
        .non_empty()
        .or(interaction.agent.non_empty());
    let created = interaction.created.as_deref().and_then(rfc3339);
    out.response_start(ResponseStart {
        id: interaction.id.to_string_or_empty(),
        model: model.unwrap_or_default().to_owned(),
        created: created.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        service_tier: interaction.service_tier.non_empty().map(str::to_owned),
        ..ResponseStart::default()
    });
}

fn protocol(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, what)
}
