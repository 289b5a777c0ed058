//! The end of a response, and the limits on its size.

use super::{ChoiceState, ResponseBuilder, tool_calls::ToolCallProgress};
use crate::{
    Error, ErrorKind, FinishReason, Json, StreamEvent, chat::Warning, error::excerpt,
    small_vec::SmallVec1,
};

/// Why a choice finished.
#[derive(Debug)]
pub(super) struct ChoiceFinish {
    pub(super) reason: Option<FinishReason>,
    pub(super) native: Option<Box<str>>,
}

/// # The end
impl ResponseBuilder {
    /// Sets the finish reason of a choice. The first reason counts, but a known one has precedence over an
    /// unknown one or none. [`finish_response`](ResponseBuilder::finish_response) emits it, because some servers send
    /// text after it.
    ///
    /// `ToolCalls` also has precedence over `Stop`: a server may split a response into messages that each have a
    /// reason.
    ///
    /// An unknown reason is ignored if more text, reasoning or calls follow: some servers put one into every chunk.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn finish(
        &mut self,
        choice: u32,
        reason: Option<FinishReason>,
        native: &str,
    ) -> Result<(), Error> {
        self.charge(native.len())?;
        let open = self.open(choice)?;
        let is_known =
            |reason: &Option<FinishReason>| !matches!(reason, None | Some(FinishReason::Other(_)));
        let counts = match &open.finish {
            None => {
                is_known(&reason)
                    || open
                        .rejected_finish
                        .as_deref()
                        .is_none_or(|word| word != native)
            }
            Some(earlier) => {
                let calls = reason == Some(FinishReason::ToolCalls);
                (!is_known(&earlier.reason) && is_known(&reason))
                    || (calls && earlier.reason == Some(FinishReason::Stop))
            }
        };
        if counts {
            open.finish = Some(ChoiceFinish {
                reason,
                native: (!native.is_empty()).then(|| native.into()),
            });
        }
        Ok(())
    }

    /// Requires an end marker: text or an error may follow the finish reason of this stream.
    pub(crate) fn require_end_marker(&mut self) {
        self.needs_end_marker = true;
    }

    /// The provider's end marker was received, or the body itself is the proof that the response is complete. Call it in
    /// [`decode_body`](crate::provider::ChatDecoder::decode_body) only for an API that may give no finish reason.
    /// [`FrameOutcome::Complete`](crate::provider::FrameOutcome::Complete) sets it too.
    pub fn end_marker(&mut self) {
        self.end_marker = true;
    }

    /// Whether any choice has a finish reason.
    pub(crate) fn has_finish(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish.is_some())
    }

    /// Whether the provider has signalled the end: by its end marker, or by a finish reason for each choice that was
    /// requested or has begun.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let finished = self
            .choices
            .iter()
            .filter(|choice| choice.finish.is_some())
            .count();
        (self.end_marker && !self.choices.is_empty())
            || (!self.needs_end_marker
                && finished > 0
                && finished == self.choices.len()
                && u32::try_from(finished).is_ok_and(|finished| finished >= self.expected_choices))
    }

    /// Checks that the decoder has stated the end of a response whose body was received completely: by the end marker,
    /// or by [`finish`](Self::finish) for each choice. A decoder that finds no finish reason, because the server renamed
    /// the field, must not report a complete response.
    ///
    /// # Errors
    /// `truncated` if the end was not stated.
    pub(crate) fn check_stated_end(&self) -> Result<(), Error> {
        if self.end_marker {
            return Ok(());
        }
        let is_open =
            |choice: &&ChoiceState| choice.finish.is_none() && choice.rejected_finish.is_none();
        let what = match self.choices.iter().find(is_open) {
            Some(open) => format!("no finish reason for choice {}", open.index),
            None if self.choices.is_empty() => "neither a choice nor an end marker".to_owned(),
            None => return Ok(()),
        };
        Err(Error::new(
            ErrorKind::Truncated,
            format!("the response has {what}, so it may be incomplete"),
        ))
    }

    /// Ends a call that the response left open, on an API that closes its calls. The call counts if its arguments are
    /// one complete JSON object; in a cut response it is discarded. `place` is its position, for messages. Returns
    /// whether it was emitted.
    ///
    /// # Errors
    /// `truncated` if the response is complete but the call's arguments are not known.
    pub(crate) fn end_open_call(
        &mut self,
        choice: u32,
        key: u32,
        is_cut: bool,
        place: &str,
    ) -> Result<bool, Error> {
        let Some(call) = self.current_call(choice, key) else {
            return Ok(false);
        };
        if self.tool_call_progress(choice, key) == Some(ToolCallProgress::Ended) {
            return Ok(false);
        }
        let name = excerpt(call.name.as_bytes());
        let is_whole = !call.arguments.trim().is_empty() && call.has_valid_arguments();
        let what = match (is_whole, is_cut) {
            (true, _) => "never completed; its arguments are one JSON object, so they are used",
            (false, true) => "cut off before its arguments were complete; it was discarded",
            (false, false) => {
                return Err(Error::new(
                    ErrorKind::Truncated,
                    format!(
                        "the response is complete, but the arguments of the call of `{name}` in `{place}` are missing"
                    ),
                ));
            }
        };
        self.warn(Warning::new(
            "call_not_completed",
            format!("the call of `{name}` in `{place}` was {what}"),
        ));
        match (is_whole, self.call_at(choice, key)?) {
            (true, Some(at)) => self.close_call(choice, at)?,
            _ => self.drop_call(choice, key)?,
        }
        Ok(is_whole)
    }

    /// Ends every part and finishes every choice. Call it once the response is complete.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn finish_response(&mut self) -> Result<(), Error> {
        for at in 0..self.choices.len() {
            let Some(choice) = self.choices.get(at).map(|open| open.index) else {
                break;
            };
            if self.parse_think_tags {
                let keys: Vec<u32> = self.open(choice)?.think.iter().map(|(at, _)| *at).collect();
                for key in keys {
                    self.end_think(choice, key)?;
                }
            }
            self.end_run(choice)?;
            for call in 0..self.open(choice)?.calls.len() {
                self.close_call(choice, call)?;
            }
            let open = self.open(choice)?;
            let (reason, native) = match open.finish.take() {
                Some(finished) => (finished.reason, finished.native),
                None => (None, open.rejected_finish.take()),
            };
            self.emit(StreamEvent::Finish {
                choice,
                reason,
                native,
            });
        }
        self.choices = SmallVec1::default();
        Ok(())
    }
}

/// Limits on the size of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseLimits {
    /// Bytes of text, reasoning, arguments and provider blocks together.
    pub retained_bytes: usize,
    /// Tool calls per choice.
    pub tool_calls: usize,
    /// Choices.
    pub choices: usize,
}

impl ResponseLimits {
    pub(crate) fn of(sizes: &crate::policy::SizeLimits) -> Self {
        ResponseLimits {
            retained_bytes: sizes.body,
            ..ResponseLimits::default()
        }
    }
}

impl Default for ResponseLimits {
    /// 64 MiB, 256 tool calls, 128 choices.
    fn default() -> Self {
        ResponseLimits {
            retained_bytes: 64 << 20,
            tool_calls: 256,
            choices: 128,
        }
    }
}

/// The minimum charge of a delta, so that a flood of empty deltas is bounded too.
const DELTA_OVERHEAD: usize = 16;

impl ResponseBuilder {
    /// Before the first visible event nothing is emitted, so counts, times and raw frames could accumulate without
    /// this limit (P4).
    pub(crate) fn check_queue_limit(&self) -> Result<(), Error> {
        if self.queued_bytes > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "the stream exceeds the limit for events before its first text, reasoning or tool call",
            ));
        }
        Ok(())
    }

    /// Charges kept bytes in a place that cannot return an error; [`check_total_limit`](Self::check_total_limit)
    /// reports it.
    pub(super) fn count(&mut self, texts: &[&str]) {
        for text in texts {
            self.retained = self.retained.saturating_add(text.len());
        }
    }

    /// The bytes that count against the limit.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.retained
    }

    /// Charges bytes that a decoder buffers; [`provider_block`](ResponseBuilder::provider_block) and the like charge
    /// for themselves.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.retained = self
            .retained
            .saturating_add(bytes)
            .saturating_add(DELTA_OVERHEAD);
        self.check_total_limit()
    }

    /// Whether the kept bytes exceed the limit.
    pub(crate) fn check_total_limit(&self) -> Result<(), Error> {
        if self.retained > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the response is larger than the limit of {} bytes",
                    self.limits.retained_bytes
                ),
            ));
        }
        Ok(())
    }
}

pub(super) fn too_many(what: &str, limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the response has more than {limit} {what}"),
    )
}

/// The bytes of a queued event that nothing else charges. Events with content are charged with the response, as long
/// as that is kept.
pub(super) fn queued_bytes(event: &StreamEvent) -> usize {
    let json = |raw: Option<&Json>| raw.map_or(0, |raw| raw.as_str().len());
    let (own, text) = match event {
        StreamEvent::Start(head) => (
            size_of_val(&**head),
            head.id.len().saturating_add(head.model.len()),
        ),
        StreamEvent::Usage(usage) => (size_of_val(&**usage), json(usage.raw.as_ref())),
        StreamEvent::Timing { raw, .. } => (0, json(raw.as_deref())),
        StreamEvent::Warning(warning) => (size_of_val(&**warning), warning.message.len()),
        StreamEvent::Raw(frame) => (0, frame.len()),
        _ => return 0,
    };
    size_of::<StreamEvent>()
        .saturating_add(own)
        .saturating_add(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Usage,
        chat::{ResponseStart, ServerTiming, Warning},
        event::response_builder::test_util::*,
    };
    use bytes::Bytes;

    // F79
    #[test]
    fn first_finish_reason_wins_and_is_emitted_last() {
        let mut stream = stream();
        assert!(!stream.has_finish());
        stream
            .finish(0, Some(FinishReason::Stop), "end_turn")
            .unwrap();
        assert!(stream.has_finish());
        stream.finish(0, Some(FinishReason::Length), "max").unwrap();
        stream.text(0, 1, "late").unwrap();
        stream.finish(1, None, "").unwrap();
        stream.finish_response().unwrap();
        assert_eq!(
            event_log(&mut stream),
            "text 1, 'late', end 1, finish 0 end_turn, finish 1 "
        );
        let [first, second] = &Box::new(stream).into_response().choices[..] else {
            panic!("two answers")
        };
        assert_eq!(first.finish_reason, Some(FinishReason::Stop));
        assert_eq!(second.native_finish_reason, None);
    }

    fn other(word: &str) -> Option<FinishReason> {
        Some(FinishReason::Other(word.to_owned()))
    }

    #[test]
    fn unknown_finish_reason_counts_until_more_content() {
        let mut stream = stream();
        stream.text(0, 1, "a").unwrap();
        stream.finish(0, other("odd"), "odd").unwrap();
        assert!(stream.is_complete());
        stream.text(0, 1, "b").unwrap();
        assert!(!stream.is_complete());
        stream.finish(0, other("odd"), "odd").unwrap();
        assert!(!stream.is_complete());
        stream.finish(0, other("odder"), "odder").unwrap();
        assert!(stream.is_complete());
        fragment(&mut stream, Some(0), "x", "f", "{}").unwrap();
        assert!(!stream.has_finish());
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        let choice = &response.choices[0];
        assert_eq!(choice.finish_reason, None);
        assert_eq!(choice.native_finish_reason.as_deref(), Some("odder"));
    }

    #[test]
    fn a_known_reason_counts_more_than_an_unknown_one() {
        let (stop, calls) = (Some(FinishReason::Stop), Some(FinishReason::ToolCalls));
        for (first, second, counts) in [
            (other("odd"), stop.clone(), stop.clone()),
            (stop.clone(), other("odd"), stop.clone()),
            (None, stop.clone(), stop.clone()),
            (stop.clone(), None, stop.clone()),
            (stop.clone(), calls.clone(), calls.clone()),
            (calls.clone(), stop.clone(), calls.clone()),
            (
                Some(FinishReason::Length),
                calls,
                Some(FinishReason::Length),
            ),
        ] {
            let mut stream = stream();
            stream.finish(0, first, "first").unwrap();
            stream.finish(0, second, "second").unwrap();
            stream.finish_response().unwrap();
            let response = Box::new(stream).into_response();
            assert_eq!(response.choices[0].finish_reason, counts);
        }
    }

    #[test]
    fn buffered_content_does_not_reject_a_finish_reason() {
        let mut stream = stream();
        stream.tool_start(0, 1, "x", "f").unwrap();
        stream.finish(0, other("odd"), "odd").unwrap();
        stream.set_logically_complete();
        stream.tool_arguments(0, 1, "{}").unwrap();
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        assert_eq!(response.choices[0].finish_reason, other("odd"));
    }

    #[test]
    fn response_completes_when_all_requested_choices_finished() {
        for (wanted, begun, finished, complete) in [
            (1, 0, 0, false),
            (0, 0, 0, false),
            (1, 1, 0, false),
            (1, 1, 1, true),
            (2, 1, 1, false),
            (2, 2, 1, false),
            (1, 2, 1, false),
            (2, 2, 2, true),
            (1, 2, 2, true),
        ] {
            let mut stream = stream();
            stream.expected_choices(wanted);
            (0..begun).for_each(|choice| stream.choice(choice).unwrap());
            (0..finished).for_each(|choice| stream.finish(choice, None, "").unwrap());
            assert_eq!(
                stream.is_complete(),
                complete,
                "{wanted} {begun} {finished}"
            );
        }
    }

    #[test]
    fn end_marker_completes_a_started_response() {
        let mut stream = stream();
        stream.end_marker();
        assert!(!stream.is_complete());
        stream.choice(0).unwrap();
        assert!(stream.is_complete());
    }

    #[test]
    fn a_finish_reason_does_not_replace_a_required_end_marker() {
        let mut stream = stream();
        stream.require_end_marker();
        stream.finish(0, None, "stop").unwrap();
        assert!(!stream.is_complete());
        stream.end_marker();
        assert!(stream.is_complete());
    }

    #[test]
    fn the_end_of_a_complete_body_must_be_stated() {
        let mut none = stream();
        assert!(none.check_stated_end().is_err());
        none.end_marker();
        assert!(none.check_stated_end().is_ok());

        let mut two = stream();
        two.text(0, 1, "a").unwrap();
        two.finish(1, None, "").unwrap();
        let error = two.check_stated_end().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(
            error.message(),
            "the response has no finish reason for choice 0, so it may be incomplete"
        );
        two.finish(0, other("odd"), "odd").unwrap();
        assert!(two.check_stated_end().is_ok());
        // A body that gives its unknown reason before its text.
        two.text(0, 1, "b").unwrap();
        assert!(two.check_stated_end().is_ok());
    }

    #[test]
    fn kept_bytes_are_counted_exactly() {
        let hundred = || limited(|limits| limits.retained_bytes = 100);
        let mut stream = hundred();
        let eighty_four = "x".repeat(100 - DELTA_OVERHEAD);
        stream.text(0, 1, eighty_four.as_str()).unwrap();
        assert!(stream.check_total_limit().is_ok());
        assert!(is_too_large(stream.reasoning_signature(0, 0, "")));

        let mut heads = hundred();
        let id = "x".repeat(100);
        heads.response_start(ResponseStart {
            id,
            ..ResponseStart::default()
        });
        assert!(heads.check_total_limit().is_ok());
        heads.warn(Warning::new("code", "x"));
        assert!(is_too_large(heads.check_total_limit()));
    }

    #[test]
    fn choices_and_calls_are_limited() {
        let mut stream = limited(|limits| (limits.choices, limits.tool_calls) = (2, 2));
        stream.choice(7).unwrap();
        stream.choice(0).unwrap();
        assert!(is_too_large(stream.choice(1)));
        stream.choice(7).unwrap();
        fragment(&mut stream, Some(0), "x", "f", "{}").unwrap();
        stream.tool_start(0, 9, "y", "g").unwrap();
        assert!(is_too_large(stream.tool_start(0, 10, "z", "h")));
        assert!(is_too_large(fragment(&mut stream, Some(2), "z", "h", "{}")));
    }

    #[test]
    fn queued_events_are_bounded() {
        let frame = queued_bytes(&StreamEvent::Raw(Bytes::from_static(b"frame")));
        let mut stream = limited(|limits| limits.retained_bytes = frame);
        stream.raw_frame(b"frame");
        assert!(stream.check_queue_limit().is_ok());
        stream.raw_frame(b"");
        assert!(is_too_large(stream.check_queue_limit()));
        assert!(stream.next_event().is_some());
        assert!(stream.check_queue_limit().is_ok());
    }

    #[test]
    fn queued_bytes_count_event_and_text() {
        let raw = || Json::parse("[1,2,3]").unwrap();
        let event = size_of::<StreamEvent>();
        let head = ResponseStart {
            id: "four".into(),
            model: "seven77".into(),
            ..ResponseStart::default()
        };
        let usage = Usage {
            raw: Some(raw()),
            ..Usage::default()
        };
        let timing = StreamEvent::Timing {
            server: ServerTiming::default(),
            raw: Some(Box::new(raw())),
        };
        for (counted, bytes) in [
            (
                StreamEvent::Start(Box::new(head)),
                size_of::<ResponseStart>() + 11,
            ),
            (StreamEvent::Usage(Box::new(usage)), size_of::<Usage>() + 7),
            (timing, 7),
            (
                StreamEvent::Warning(Box::new(Warning::new("code", "words"))),
                size_of::<Warning>() + 5,
            ),
            (StreamEvent::Raw(Bytes::from_static(b"frame")), 5),
        ] {
            assert_eq!(queued_bytes(&counted), event + bytes, "{counted:?}");
        }
    }

    #[test]
    fn deltas_are_charged_to_the_response() {
        let piece = StreamEvent::TextDelta {
            choice: 0,
            part: 0,
            text: "words".into(),
        };
        assert_eq!(queued_bytes(&piece), 0);
    }
}
