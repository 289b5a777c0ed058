//! The position in a response that the provider keeps.

use super::{PARTS_PER_KEY, ResponseBuilder};
use crate::chat::Cursor;
use std::collections::VecDeque;

/// The id of a response that the provider keeps, and how much of it was decoded and returned.
#[derive(Debug)]
pub(super) struct ResumeState {
    response_id: Box<str>,
    /// The position of the frame that is being decoded.
    current: Option<Cursor>,
    /// The position of the last frame that was decoded without an error.
    decoded: Option<Cursor>,
    /// The position of the last frame all of whose events were returned.
    returned: Option<Cursor>,
    /// Positions with events in the queue: the number of events up to the position, and the position.
    queued: VecDeque<(u64, Cursor)>,
    /// Events that were emitted and that were returned, from when the id was known.
    emitted_events: u64,
    returned_events: u64,
}

/// # Responses that the provider keeps
impl ResponseBuilder {
    /// The provider keeps the response with this id and goes on with it if the connection is lost, so that
    /// [`Provider::encode_resume`](crate::provider::Provider::encode_resume) can ask for the rest.
    pub fn resumable(&mut self, response_id: &str) {
        if response_id.is_empty() || self.resume.is_some() {
            return;
        }
        self.count(&[response_id]);
        let queued = self.queue.as_ref().map_or(0, VecDeque::len);
        self.resume = Some(Box::new(ResumeState {
            response_id: response_id.into(),
            current: None,
            decoded: None,
            returned: None,
            queued: VecDeque::new(),
            emitted_events: queued as u64,
            returned_events: 0,
        }));
    }

    /// Whether the provider keeps the response. Only then [`cursor`](Self::cursor) has an effect.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.resume.is_some()
    }

    /// Sets the position of the frame that is being decoded.
    pub fn cursor(&mut self, cursor: Cursor) {
        if let Some(resume) = &mut self.resume {
            resume.current = Some(cursor);
        }
    }

    /// The response is not complete: the provider is still generating it. `status` is the provider's word.
    pub fn in_progress(&mut self, status: &str) {
        self.in_progress = Some(status.into());
    }

    pub(crate) fn take_in_progress(&mut self) -> Option<Box<str>> {
        self.in_progress.take()
    }

    /// The frame was decoded: its events may be returned, and a resumed stream starts after it.
    pub(crate) fn end_frame(&mut self) {
        let Some(resume) = &mut self.resume else {
            return;
        };
        let Some(cursor) = resume.current.take() else {
            return;
        };
        self.queued_bytes = self.queued_bytes.saturating_add(cursor.size());
        resume.decoded = Some(cursor.clone());
        match resume.queued.back_mut() {
            Some((events, last)) if *events == resume.emitted_events => {
                self.queued_bytes = self.queued_bytes.saturating_sub(last.size());
                *last = cursor;
            }
            _ => resume.queued.push_back((resume.emitted_events, cursor)),
        }
        self.update_returned();
    }

    pub(crate) fn resumable_id(&self) -> Option<&str> {
        self.resume.as_ref().map(|resume| &*resume.response_id)
    }

    /// The position of the last frame that was decoded.
    pub(crate) fn decoded_cursor(&self) -> Option<&Cursor> {
        self.resume.as_ref()?.decoded.as_ref()
    }

    /// The position of the last frame all of whose events were returned.
    pub(crate) fn returned_cursor(&self) -> Option<&Cursor> {
        self.resume.as_ref()?.returned.as_ref()
    }

    pub(crate) fn has_events(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.is_empty())
    }

    /// The first part number after all parts so far that no key of them has.
    pub(crate) fn parts_end(&self) -> u32 {
        let end = self.accumulator.parts_end();
        end.checked_next_multiple_of(PARTS_PER_KEY)
            .unwrap_or(u32::MAX)
    }

    pub(super) fn count_emitted(&mut self) {
        if let Some(resume) = &mut self.resume {
            resume.emitted_events = resume.emitted_events.saturating_add(1);
        }
    }

    pub(super) fn count_returned(&mut self) {
        if let Some(resume) = &mut self.resume {
            resume.returned_events = resume.returned_events.saturating_add(1);
            self.update_returned();
        }
    }

    fn update_returned(&mut self) {
        let Some(resume) = &mut self.resume else {
            return;
        };
        while let Some((events, _)) = resume.queued.front() {
            if *events > resume.returned_events {
                break;
            }
            let Some((_, cursor)) = resume.queued.pop_front() else {
                break;
            };
            self.queued_bytes = self.queued_bytes.saturating_sub(cursor.size());
            resume.returned = Some(cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::stream;
    use crate::chat::Cursor::{Number, Token};

    #[test]
    fn returned_position_follows_the_events_and_decoded_position_the_frames() {
        let mut stream = stream();
        stream.cursor(Number(9));
        stream.end_frame();
        assert_eq!(stream.decoded_cursor(), None, "the id is not known yet");
        stream.text(0, 1, "before").unwrap();
        stream.resumable("id");
        stream.cursor(Number(0));
        stream.end_frame();
        assert_eq!(stream.decoded_cursor(), Some(&Number(0)));
        assert_eq!(stream.returned_cursor(), None);
        while stream.next_event().is_some() {}
        assert_eq!(stream.returned_cursor(), Some(&Number(0)));

        for number in 1..=3 {
            stream.text(0, 1, "a").unwrap();
            stream.cursor(Number(number));
            stream.end_frame();
        }
        // A frame without events.
        stream.cursor(Number(4));
        stream.end_frame();
        // A frame that failed.
        stream.text(0, 1, "b").unwrap();
        stream.cursor(Number(5));
        assert_eq!(stream.decoded_cursor(), Some(&Number(4)));
        for returned in [1, 2, 4, 4] {
            stream.next_event().unwrap();
            assert_eq!(stream.returned_cursor(), Some(&Number(returned)));
        }
    }

    #[test]
    fn queued_tokens_are_counted_until_they_are_returned() {
        let mut stream = stream();
        stream.resumable("id");
        for length in [1000, 10, 30] {
            stream.cursor(Token("x".repeat(length)));
            stream.text(0, 1, "a").unwrap();
            stream.end_frame();
        }
        assert_eq!(stream.queued_bytes, 1040);
        stream.cursor(Token("x".repeat(50)));
        stream.end_frame();
        assert_eq!(
            stream.queued_bytes, 1060,
            "it replaces the position of the same events"
        );
        while stream.next_event().is_some() {}
        assert_eq!(stream.queued_bytes, 0);
    }
}
