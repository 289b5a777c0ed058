//! How an answer ends.

use super::{Assembler, open::Finished};
use crate::{Error, FinishReason, StreamEvent, few::Few};

/// # The end
impl Assembler {
    /// Why an answer stopped. The first reason counts (F79), but a known one counts more than an unknown word or none. It
    /// is handed out with [`settle`](Assembler::settle), because some servers send text after it.
    ///
    /// That tools are to be called also counts more than that the answer stopped: a server may split an answer into pieces
    /// that each have a reason.
    ///
    /// An unknown word after which more text, reasoning or calls come is no reason: some servers put one into every chunk.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn finish(
        &mut self,
        choice: u32,
        reason: Option<FinishReason>,
        native: &str,
    ) -> Result<(), Error> {
        self.retain(native.len())?;
        let open = self.open(choice)?;
        let is_known =
            |reason: &Option<FinishReason>| !matches!(reason, None | Some(FinishReason::Other(_)));
        let counts = match &open.finish {
            None => is_known(&reason) || open.refuted.as_deref().is_none_or(|word| word != native),
            Some(earlier) => {
                let calls = reason == Some(FinishReason::ToolCalls);
                (!is_known(&earlier.reason) && is_known(&reason))
                    || (calls && earlier.reason == Some(FinishReason::Stop))
            }
        };
        if counts {
            open.finish = Some(Finished {
                reason,
                native: (!native.is_empty()).then(|| native.into()),
            });
        }
        Ok(())
    }

    /// A finish reason alone does not complete this stream: text or an error may follow it.
    pub(crate) fn require_end_marker(&mut self) {
        self.needs_end_marker = true;
    }

    /// The provider's own end marker came.
    pub fn end_marker(&mut self) {
        self.end_marker = true;
    }

    /// Whether a finish reason has come for any answer.
    pub(crate) fn has_finish(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish.is_some())
    }

    /// Whether the provider has said that the answer is over: by its end marker, or by a finish reason for each answer
    /// that was asked for or has begun.
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
                && u32::try_from(finished).is_ok_and(|finished| finished >= self.wanted_choices))
    }

    /// Ends every part and finishes every answer. To be called once the answer is complete.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn settle(&mut self) -> Result<(), Error> {
        for at in 0..self.choices.len() {
            let Some(choice) = self.choices.get(at).map(|open| open.index) else {
                break;
            };
            if self.extract_think {
                let places: Vec<u32> = self.open(choice)?.think.iter().map(|(at, _)| *at).collect();
                for place in places {
                    self.end_think(choice, place)?;
                }
            }
            self.leave(choice)?;
            for call in 0..self.open(choice)?.calls.len() {
                self.close_call(choice, call)?;
            }
            let open = self.open(choice)?;
            let (reason, native) = match open.finish.take() {
                Some(finished) => (finished.reason, finished.native),
                None => (None, open.refuted.take()),
            };
            self.emit(StreamEvent::Finish {
                choice,
                reason,
                native,
            });
        }
        self.choices = Few::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::assembler::told::*;

    // F79
    #[test]
    fn the_first_finish_reason_counts_and_is_told_last() {
        let mut stream = stream();
        assert!(!stream.has_finish());
        stream
            .finish(0, Some(FinishReason::Stop), "end_turn")
            .unwrap();
        assert!(stream.has_finish());
        stream.finish(0, Some(FinishReason::Length), "max").unwrap();
        stream.text(0, 1, "late").unwrap();
        stream.finish(1, None, "").unwrap();
        stream.settle().unwrap();
        assert_eq!(
            told(&mut stream),
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
    fn an_unknown_word_counts_until_the_answer_goes_on() {
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
        stream.settle().unwrap();
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
            stream.settle().unwrap();
            let response = Box::new(stream).into_response();
            assert_eq!(response.choices[0].finish_reason, counts);
        }
    }

    #[test]
    fn what_was_kept_back_does_not_refute_a_reason() {
        let mut stream = stream();
        stream.tool_start(0, 1, "x", "f").unwrap();
        stream.finish(0, other("odd"), "odd").unwrap();
        stream.has_all();
        stream.tool_arguments(0, 1, "{}").unwrap();
        stream.settle().unwrap();
        let response = Box::new(stream).into_response();
        assert_eq!(response.choices[0].finish_reason, other("odd"));
    }

    #[test]
    fn an_answer_is_complete_when_all_that_were_asked_for_have_finished() {
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
            stream.wanted_choices(wanted);
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
    fn an_end_marker_completes_an_answer_that_has_begun() {
        let mut stream = stream();
        stream.end_marker();
        assert!(!stream.is_complete());
        stream.choice(0).unwrap();
        assert!(stream.is_complete());
    }

    #[test]
    fn a_finish_reason_is_not_enough_where_an_end_marker_must_come() {
        let mut stream = stream();
        stream.require_end_marker();
        stream.finish(0, None, "stop").unwrap();
        assert!(!stream.is_complete());
        stream.end_marker();
        assert!(stream.is_complete());
    }
}
