//! How much is kept.

use super::Assembler;
use crate::{Error, ErrorKind};

/// How much of an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssemblerLimits {
    /// Bytes of text, reasoning, arguments and opaque pieces together.
    pub retained_bytes: usize,
    /// Tool calls of one answer.
    pub tool_calls: usize,
    /// Answers.
    pub choices: usize,
}

impl Default for AssemblerLimits {
    /// 64 MiB, 256 tool calls, 128 answers.
    fn default() -> Self {
        AssemblerLimits {
            retained_bytes: 64 << 20,
            tool_calls: 256,
            choices: 128,
        }
    }
}

/// Each kept piece counts at least this many bytes, so that a flood of empty pieces is bounded too (F16).
const PIECE_OVERHEAD: usize = 16;

impl Assembler {
    /// Before the first visible event nothing is handed out: counts, times and frames as they came could pile up (P4).
    pub(crate) fn check_waiting(&self) -> Result<(), Error> {
        if self.waiting > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "the stream brings frame after frame and nothing in them",
            ));
        }
        Ok(())
    }

    /// Counts what is kept without a way to refuse it; [`check_retained`](Self::check_retained) does.
    pub(super) fn count(&mut self, texts: &[&str]) {
        for text in texts {
            self.retained = self.retained.saturating_add(text.len());
        }
    }

    /// Counts what a decoder keeps back until it is whole; [`opaque`](Assembler::opaque) and its like count for themselves.
    pub(crate) fn retain(&mut self, bytes: usize) -> Result<(), Error> {
        self.retained = self
            .retained
            .saturating_add(bytes)
            .saturating_add(PIECE_OVERHEAD);
        self.check_retained()
    }

    /// Whether more is kept than the limits allow.
    pub(crate) fn check_retained(&self) -> Result<(), Error> {
        if self.retained > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the answer is larger than the limit of {} bytes",
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
        format!("the answer has more than {limit} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Head, StreamEvent, Warning,
        event::assembler::{told::*, weight::weight},
    };
    use bytes::Bytes;

    #[test]
    fn what_is_kept_is_counted_to_the_byte() {
        let hundred = || limited(|limits| limits.retained_bytes = 100);
        let mut stream = hundred();
        let eighty_four = "x".repeat(100 - PIECE_OVERHEAD);
        stream.text(0, 1, eighty_four.as_str()).unwrap();
        assert!(stream.check_retained().is_ok());
        assert!(is_too_large(stream.reasoning_signature(0, 0, "")));

        let mut heads = hundred();
        let id = "x".repeat(100);
        heads.head(Head {
            id,
            ..Head::default()
        });
        assert!(heads.check_retained().is_ok());
        heads.warn(Warning::new("code", "x"));
        assert!(is_too_large(heads.check_retained()));
    }

    #[test]
    fn so_many_answers_and_calls_are_taken_and_no_more() {
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
    fn what_waits_is_bounded_until_it_is_handed_out() {
        let frame = weight(&StreamEvent::Raw(Bytes::from_static(b"frame")));
        let mut stream = limited(|limits| limits.retained_bytes = frame);
        stream.raw_frame(b"frame");
        assert!(stream.check_waiting().is_ok());
        stream.raw_frame(b"");
        assert!(is_too_large(stream.check_waiting()));
        assert!(stream.next_event().is_some());
        assert!(stream.check_waiting().is_ok());
    }
}
