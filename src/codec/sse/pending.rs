//! The event under way: what of it is borrowed from the chunk, and what had to be kept.

use super::{event::SseError, line::Field};
use crate::codec::buffer;

/// What is kept of it, within the limit.
#[derive(Debug)]
pub(super) struct Pending {
    limit: usize,
    pub(super) event: Vec<u8>,
    pub(super) data: Vec<u8>,
    /// `data` holds at least one line, maybe an empty one.
    has_data: bool,
    /// `event` and `data` were handed out by the last call.
    pub(super) spent: bool,
}

/// What of it is still borrowed from the chunk. A part that is `None` is kept, or missing.
#[derive(Default)]
pub(super) struct Borrowed<'i> {
    pub(super) event: Option<&'i [u8]>,
    pub(super) data: Option<&'i [u8]>,
}

impl Pending {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            event: Vec::new(),
            data: Vec::new(),
            has_data: false,
            spent: false,
        }
    }

    pub(super) fn clear_if_spent(&mut self) {
        if self.spent {
            self.spent = false;
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.has_data = false;
        buffer::clear(&mut self.event);
        buffer::clear(&mut self.data);
    }

    /// A line that lies whole in the chunk.
    #[inline]
    pub(super) fn take_line<'i>(
        &mut self,
        line: &'i [u8],
        borrowed: &mut Borrowed<'i>,
    ) -> Result<(), SseError> {
        if let Some(value) = line.strip_prefix(b"data").and_then(value) {
            if borrowed.data.is_none() && !self.has_data {
                borrowed.data = Some(value);
            } else {
                self.join(borrowed.data.take(), value)?;
            }
        } else if let Some(value) = line.strip_prefix(b"event").and_then(value) {
            self.event.clear();
            borrowed.event = Some(value);
        } else {
            return Ok(());
        }
        let event = borrowed.event.unwrap_or(&self.event).len();
        let data = borrowed.data.unwrap_or(&self.data).len();
        self.check(event.saturating_add(data))
    }

    /// A `data` line that is not the event's first, which may still be borrowed.
    #[cold]
    fn join(&mut self, first: Option<&[u8]>, value: &[u8]) -> Result<(), SseError> {
        if let Some(first) = first {
            self.begin_data()?;
            self.append(Field::Data, first)?;
        }
        self.begin_data()?;
        self.append(Field::Data, value)
    }

    /// A blank line: the event is complete. Says whether it has data; without, it is forgotten.
    pub(super) fn dispatch(&mut self, borrowed: &Borrowed<'_>) -> bool {
        let data = borrowed.data.unwrap_or(&self.data);
        self.spent = !data.is_empty();
        if !self.spent {
            self.clear();
        }
        self.spent
    }

    /// The chunk is used up: what was borrowed from it is copied.
    pub(super) fn keep(&mut self, borrowed: Borrowed<'_>) -> Result<(), SseError> {
        if let Some(event) = borrowed.event {
            self.event.clear();
            self.append(Field::Event, event)?;
        }
        if let Some(data) = borrowed.data {
            self.begin_data()?;
            self.append(Field::Data, data)?;
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, field: Field) -> Result<(), SseError> {
        match field {
            Field::Data => self.begin_data(),
            Field::Event => {
                self.event.clear();
                Ok(())
            }
        }
    }

    fn begin_data(&mut self) -> Result<(), SseError> {
        if self.has_data {
            return self.append(Field::Data, b"\n");
        }
        self.has_data = true;
        Ok(())
    }

    pub(super) fn append(&mut self, field: Field, bytes: &[u8]) -> Result<(), SseError> {
        let kept = self.event.len().saturating_add(self.data.len());
        let total = kept.saturating_add(bytes.len());
        self.check(total)?;
        let buffer = match field {
            Field::Data => &mut self.data,
            Field::Event => &mut self.event,
        };
        buffer::append(buffer, bytes, self.limit);
        Ok(())
    }

    fn check(&self, total: usize) -> Result<(), SseError> {
        if total > self.limit {
            return Err(SseError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }
}

/// What follows a field's name: nothing, or a colon, one optional space, and the value.
fn value(after_name: &[u8]) -> Option<&[u8]> {
    match after_name {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sse::testing::{decode, decode_every_way};

    #[test]
    fn the_limit_counts_what_is_kept() {
        let data = |len: usize| [b"data: ", "x".repeat(len).as_bytes(), b"\n\n"].concat();
        let error = Some(SseError::EventTooLarge { limit: 100 });
        for (len, expected) in [(99, None), (100, None), (101, error)] {
            assert_eq!(decode_every_way(100, &data(len)).1, expected);
        }
        let named = [b"event: ", "n".repeat(50).as_bytes(), b"\n", &data(51)].concat();
        assert_eq!(decode_every_way(100, &named).1, error);
        let renamed = [
            b"event: ",
            "n".repeat(50).as_bytes(),
            b"\nevent: e\n",
            &data(99),
        ]
        .concat();
        assert_eq!(decode_every_way(100, &renamed).1, None);
        // Without end, and so without an event to return.
        assert_eq!(decode(100, [&b"data: "[..], &[b'x'; 100]]).1, None);
        assert_eq!(decode(100, [&b"data: "[..], &[b'x'; 101]]).1, error);
        assert_eq!(decode(100, [&b"event: "[..], &[b'x'; 101]]).1, error);
        // Empty lines cost too.
        let empty = b"data:\n".repeat(100_000);
        assert_eq!(
            decode(1000, [&empty[..]]).1,
            Some(SseError::EventTooLarge { limit: 1000 })
        );
        assert_eq!(
            decode(1000, empty.chunks(7)).1,
            Some(SseError::EventTooLarge { limit: 1000 })
        );
        // The limit is for one event, not for the stream.
        assert_eq!(decode(100, [&data(100).repeat(50)[..]]).0.len(), 50);
    }
}
