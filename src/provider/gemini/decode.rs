//! From the wire to the assembler. A stream's frames are whole answers that each bring some parts.

use super::{
    decode_candidate::Candidates,
    errors,
    types::{GenerateContentResponse, PromptFeedback},
    usage,
};
use crate::{
    Error, ErrorKind,
    chat::ResponseStart,
    codec::rfc3339::rfc3339,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            lenient::{self, List, Raw},
            unknown_fields::UnknownFieldWarnings,
        },
    },
};
use bytes::Bytes;
use std::time::UNIX_EPOCH;

/// Reads one answer.
#[derive(Debug, Default)]
pub(super) struct ContentDecoder {
    candidates: Candidates,
    has_start: bool,
    service_tier: Option<String>,
    unknown: UnknownFieldWarnings,
}

impl ContentDecoder {
    /// One answer, or the list of them that a stream without `alt=sse` is; an error in a stream can stand in a list, too.
    /// Gives whether there was a candidate.
    fn decode_all(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<bool, Error> {
        if !is_list(data) {
            return self.decode_response(data, out);
        }
        let mut has_candidates = false;
        for answer in lenient::parse::<List<Raw<'_>>>(data)?.0 {
            has_candidates |= self.decode_response(answer.text().unwrap_or("null"), out)?;
        }
        Ok(has_candidates)
    }

    fn decode_response(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<bool, Error> {
        let answer: GenerateContentResponse<'_> = lenient::parse(data)?;
        if answer.error.text().is_some() {
            return Err(errors::from_event("", data));
        }
        self.emit_start(&answer, out);
        self.usage(answer.usage_metadata, out);
        if let Some(whole) = answer.prompt_feedback.json() {
            let feedback: PromptFeedback<'_> = answer.prompt_feedback.read().unwrap_or_default();
            if let Some(reason) = feedback.block_reason.non_empty() {
                if answer.candidates.0.is_empty() {
                    let words = feedback.block_reason_message.non_empty();
                    return Err(blocked(reason, words, data));
                }
            }
            out.extra("promptFeedback", whole)?;
        }
        for (position, candidate) in answer.candidates.0.iter().enumerate() {
            let index = match candidate.index.0 {
                Some(index) => u32::try_from(index).ok(),
                None => u32::try_from(position).ok(),
            };
            let index = index.ok_or_else(|| protocol("a candidate's index is too large"))?;
            self.candidates
                .add(index, candidate, &answer, &mut self.unknown, out)?;
        }
        self.unknown.extras("", &answer.others, out)?;
        Ok(!answer.candidates.0.is_empty())
    }

    fn emit_start(&mut self, answer: &GenerateContentResponse<'_>, out: &mut ResponseBuilder) {
        if self.has_start {
            return;
        }
        self.has_start =
            answer.response_id.non_empty().is_some() && answer.model_version.non_empty().is_some();
        let created = answer.create_time.as_deref().and_then(rfc3339);
        out.response_start(ResponseStart {
            id: answer.response_id.to_string_or_empty(),
            model: answer.model_version.to_string_or_empty(),
            created: created.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
            ..ResponseStart::default()
        });
    }

    fn usage(&mut self, raw: Raw<'_>, out: &mut ResponseBuilder) {
        let Some((usage, tier)) = usage::usage(raw) else {
            return;
        };
        out.usage(usage);
        if tier.is_some() && tier != self.service_tier {
            self.service_tier.clone_from(&tier);
            out.response_start(ResponseStart {
                service_tier: tier,
                ..ResponseStart::default()
            });
        }
    }
}

impl ChatDecoder for ContentDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(errors::from_event(frame.name, frame.data));
        }
        // The wire has no end marker; a proxy may add OpenAI's, which ends nothing here.
        if !lenient::is_done(frame.data) {
            self.decode_all(frame.data, out)?;
        }
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        let has_candidates = self.decode_all(text, out)?;
        if is_list(text) && !out.is_complete() {
            return Err(Error::new(
                ErrorKind::Truncated,
                "the list of answers ends without a finish reason",
            ));
        }
        if !has_candidates {
            return Err(protocol(
                "the answer has neither candidates nor a reason for it",
            ));
        }
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        std::mem::take(&mut self.candidates).finish(out)
    }
}

fn is_list(data: &str) -> bool {
    data.trim_start().starts_with('[')
}

/// The question was refused: that is an answer with status 200 and without candidates.
fn blocked(reason: &str, words: Option<&str>, data: &str) -> Error {
    let message = match words {
        Some(words) => format!("the prompt was blocked ({reason}): {words}"),
        None => format!("the prompt was blocked ({reason})"),
    };
    Error::new(ErrorKind::ContentFiltered, message)
        .with_code(reason)
        .with_status(200)
        .with_body(Bytes::copy_from_slice(
            data.as_bytes()
                .get(..data.len().min(64 << 10))
                .unwrap_or_default(),
        ))
}

fn protocol(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, what)
}
