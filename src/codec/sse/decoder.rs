//! Splits bytes into lines, and lines into events.

use super::{SseError, SseEvent};
use crate::codec::buffer;
use memchr::memchr2;

/// Splits a byte stream into [`SseEvent`]s; chunk boundaries make no difference.
///
/// LF, CR and CRLF end lines, in any mixture. One byte order mark at the start is dropped. `id`, `retry` and unknown
/// fields are ignored, because the response to a POST cannot be resumed. An event without data is not returned.
///
/// An event with one `data` line in one chunk is borrowed from that chunk. Others are collected in a buffer of at
/// most the limit's size.
///
/// ```
/// # use unifiedai::codec::sse::{SseDecoder, SseError};
/// # fn main() -> Result<(), SseError> {
/// let mut decoder = SseDecoder::new(16 * 1024 * 1024);
/// let mut seen = Vec::new();
/// for chunk in [&b"data: {\"a\""[..], b":1}\n\nda", b"ta: [DONE]\n\n"] {
///     let mut rest = chunk;
///     while let Some(event) = decoder.next(&mut rest)? {
///         seen.push(event.data.to_owned());
///     }
/// }
/// assert_eq!(seen, ["{\"a\":1}", "[DONE]"]);
/// assert!(decoder.finish()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    line: Line,
    /// The last line ended with a CR at the end of a chunk; a following LF belongs to it.
    skip_lf: bool,
    bom: Bom,
    pending: Pending,
    failed: Option<SseError>,
}

impl SseDecoder {
    /// Creates a decoder that stores at most `max_event_bytes` bytes of an event: its name and its data, where every
    /// `data` line after the first adds one byte for the
    /// line feed before it.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            line: Line::START,
            skip_lf: false,
            bom: Bom::Awaited(0),
            pending: Pending::new(max_event_bytes),
            failed: None,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next event and returns the event. If the event is
    /// incomplete, it takes all bytes, stores what is needed, and returns `None`.
    ///
    /// # Errors
    /// If the event is too large or not UTF-8. The error is final: later calls return it again.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<SseEvent<'a>>, SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let ready = match self.advance(input) {
            Ok(Some(ready)) => ready,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.failed = Some(error);
                return Err(error);
            }
        };
        let event = ready.event.unwrap_or(&self.pending.event);
        let data = ready.data.unwrap_or(&self.pending.data);
        match (utf8(event), utf8(data)) {
            (Ok(event), Ok(data)) => Ok(Some(SseEvent { event, data })),
            (Err(error), _) | (_, Err(error)) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// At the end of the body: returns the last event if it has data but no final blank line or line end. The event
    /// may be incomplete; the caller must check that. An event that ends inside a character is dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.pending.clear_if_spent();
        self.skip_lf = false;
        if let Err(error) = self.line.end(&mut self.pending) {
            self.failed = Some(error);
            return Err(error);
        }
        self.pending.spent = true;
        if self.pending.data.is_empty() {
            return Ok(None);
        }
        let event = std::str::from_utf8(&self.pending.event);
        let data = std::str::from_utf8(&self.pending.data);
        match (event, data) {
            (Ok(event), Ok(data)) => Ok(Some(SseEvent { event, data })),
            (Err(error), _) | (_, Err(error)) if error.error_len().is_some() => {
                let error = SseError::InvalidUtf8 {
                    valid_up_to: error.valid_up_to(),
                };
                self.failed = Some(error);
                Err(error)
            }
            _ => Ok(None),
        }
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Borrowed<'i>>, SseError> {
        self.pending.clear_if_spent();
        if self.bom != Bom::Past && self.bom.strip(input) {
            self.line = Line::Ignored;
        }
        self.skip_pending_lf(input);
        if !self.line.is_start() {
            self.resume_line(input)?;
        }

        let mut borrowed = Borrowed::default();
        while let Some(first) = input.first() {
            if matches!(first, b'\n' | b'\r') {
                self.take_line_end(input);
                if self.pending.dispatch(&borrowed) {
                    return Ok(Some(borrowed));
                }
                borrowed = Borrowed::default();
                continue;
            }
            let split = memchr2(b'\n', b'\r', input).and_then(|at| input.split_at_checked(at));
            let Some((line, rest)) = split else {
                let begun = std::mem::take(input);
                self.pending.keep(borrowed)?;
                self.line.take_part(begun, &mut self.pending)?;
                return Ok(None);
            };
            *input = rest;
            self.take_line_end(input);
            self.pending.take_line(line, &mut borrowed)?;
        }
        self.pending.keep(borrowed)?;
        Ok(None)
    }

    fn skip_pending_lf(&mut self, input: &mut &[u8]) {
        if self.skip_lf && !input.is_empty() {
            self.skip_lf = false;
            if let Some(rest) = input.strip_prefix(b"\n") {
                *input = rest;
            }
        }
    }

    /// Takes the line end at the front of `input`.
    fn take_line_end(&mut self, input: &mut &[u8]) {
        match *input {
            [b'\r', b'\n', rest @ ..] => *input = rest,
            [b'\r'] => {
                self.skip_lf = true;
                *input = &[];
            }
            [_, rest @ ..] => *input = rest,
            [] => {}
        }
    }

    /// Continues a line from an earlier chunk.
    fn resume_line(&mut self, input: &mut &[u8]) -> Result<(), SseError> {
        let split = memchr2(b'\n', b'\r', input).and_then(|at| input.split_at_checked(at));
        let Some((part, rest)) = split else {
            return self
                .line
                .take_part(std::mem::take(input), &mut self.pending);
        };
        *input = rest;
        self.take_line_end(input);
        self.line.take_part(part, &mut self.pending)?;
        self.line.end(&mut self.pending)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SseError> {
    std::str::from_utf8(bytes).map_err(|error| SseError::InvalidUtf8 {
        valid_up_to: error.valid_up_to(),
    })
}

/// The position of the next byte in a line.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// In the field name, whose first `len` bytes are in `name`. `len` is 0 at the start of a line.
    Name {
        name: [u8; LONGEST_NAME],
        len: usize,
    },
    /// After the colon, where one space is dropped.
    Colon(Field),
    Value(Field),
    Ignored,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Data,
    Event,
}

const LONGEST_NAME: usize = 5;

impl Line {
    const START: Line = Line::Name {
        name: [0; LONGEST_NAME],
        len: 0,
    };

    fn is_start(&self) -> bool {
        matches!(self, Line::Name { len: 0, .. })
    }

    /// Takes bytes of an incomplete line.
    fn take_part(&mut self, mut part: &[u8], pending: &mut Pending) -> Result<(), SseError> {
        if let Line::Name { mut name, mut len } = *self {
            loop {
                let Some((&byte, rest)) = part.split_first() else {
                    *self = Line::Name { name, len };
                    return Ok(());
                };
                part = rest;
                if byte == b':' {
                    *self = match known_field(&name, len) {
                        Some(field) => {
                            pending.begin(field)?;
                            Line::Colon(field)
                        }
                        None => Line::Ignored,
                    };
                    break;
                }
                let Some(place) = name.get_mut(len) else {
                    *self = Line::Ignored;
                    break;
                };
                *place = byte;
                len = len.saturating_add(1);
            }
        }
        if let (Line::Colon(field), Some(first)) = (*self, part.first()) {
            *self = Line::Value(field);
            if *first == b' ' {
                part = part.get(1..).unwrap_or_default();
            }
        }
        match *self {
            Line::Value(field) => pending.append(field, part),
            _ => Ok(()),
        }
    }

    /// Ends a line that was taken in parts.
    fn end(&mut self, pending: &mut Pending) -> Result<(), SseError> {
        let line = std::mem::replace(self, Line::START);
        match line {
            Line::Name { name, len } => match known_field(&name, len) {
                Some(field) => pending.begin(field),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn known_field(name: &[u8; LONGEST_NAME], len: usize) -> Option<Field> {
    match name.get(..len)? {
        b"data" => Some(Field::Data),
        b"event" => Some(Field::Event),
        _ => None,
    }
}

/// The buffered part of an event, within the limit.
#[derive(Debug)]
struct Pending {
    limit: usize,
    event: Vec<u8>,
    data: Vec<u8>,
    /// Whether `data` has at least one line, which may be empty.
    has_data: bool,
    /// Whether the last call returned `event` and `data`.
    spent: bool,
}

/// The part of an event that is still borrowed from the chunk. A field that is `None` is buffered or missing.
#[derive(Default)]
struct Borrowed<'i> {
    event: Option<&'i [u8]>,
    data: Option<&'i [u8]>,
}

impl Pending {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            event: Vec::new(),
            data: Vec::new(),
            has_data: false,
            spent: false,
        }
    }

    fn clear_if_spent(&mut self) {
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

    /// Takes a line that the chunk contains completely.
    #[inline]
    fn take_line<'i>(
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

    /// Adds a `data` line after the first one, which may still be borrowed.
    #[cold]
    fn join(&mut self, first: Option<&[u8]>, value: &[u8]) -> Result<(), SseError> {
        if let Some(first) = first {
            self.begin_data()?;
            self.append(Field::Data, first)?;
        }
        self.begin_data()?;
        self.append(Field::Data, value)
    }

    /// Ends the event at a blank line. Returns whether it has data; without data it is discarded.
    fn dispatch(&mut self, borrowed: &Borrowed<'_>) -> bool {
        let data = borrowed.data.unwrap_or(&self.data);
        self.spent = !data.is_empty();
        if !self.spent {
            self.clear();
        }
        self.spent
    }

    /// Copies the borrowed parts at the end of the chunk.
    fn keep(&mut self, borrowed: Borrowed<'_>) -> Result<(), SseError> {
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

    fn begin(&mut self, field: Field) -> Result<(), SseError> {
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

    fn append(&mut self, field: Field, bytes: &[u8]) -> Result<(), SseError> {
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

/// The value after a field's name: nothing, or a colon, one optional space, and the value.
fn value(after_name: &[u8]) -> Option<&[u8]> {
    match after_name {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bom {
    /// This many bytes of the mark were read.
    Awaited(usize),
    Past,
}

impl Bom {
    /// Takes the mark off the front of `input`. Returns true if the bytes taken were not a complete mark: then they
    /// begin the name of an unknown field.
    fn strip(&mut self, input: &mut &[u8]) -> bool {
        while let (Bom::Awaited(seen), Some((byte, rest))) = (*self, input.split_first()) {
            let mark = BOM.get(seen..).unwrap_or_default();
            if mark.first() != Some(byte) {
                *self = Bom::Past;
                return seen > 0;
            }
            *input = rest;
            *self = if mark.len() == 1 {
                Bom::Past
            } else {
                Bom::Awaited(seen.saturating_add(1))
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sse::spec_tests::{PLENTY, decode, decode_with_every_chunking};

    #[test]
    fn invalid_utf8_is_an_error_and_final() {
        let cases: &[(&[u8], usize)] = &[
            (b"data: a\n\ndata: bc\xFFd\n\n", 2),
            (b"data: a\n\ndata: \xE2\x82\n\n", 0),
            (b"data: a\n\nevent: b\xC0\ndata: c\n\n", 1),
            (b"data: a\n\ndata: \xED\xA0\xBD\n\n", 0),
            (b"data: a\n\ndata: \xFFa", 0),
        ];
        for (stream, valid_up_to) in cases {
            let (events, error) = decode_with_every_chunking(PLENTY, stream);
            assert_eq!(events, [(String::new(), "a".to_owned())]);
            assert_eq!(
                error,
                Some(SseError::InvalidUtf8 {
                    valid_up_to: *valid_up_to
                })
            );
        }
    }

    #[test]
    fn comments_and_unknown_fields_are_not_kept() {
        for opening in [&b": "[..], b"id: ", b"x", b"\xEF\xBBx"] {
            let mut decoder = SseDecoder::new(10);
            assert_eq!(decoder.next(&mut &*opening), Ok(None));
            for _ in 0..100_000 {
                assert_eq!(decoder.next(&mut &b"ping ping "[..]), Ok(None));
            }
            assert_eq!(
                (
                    decoder.pending.data.capacity(),
                    decoder.pending.event.capacity()
                ),
                (0, 0)
            );
            let mut rest = &b"\ndata: a\n\n"[..];
            assert_eq!(
                decoder.next(&mut rest),
                Ok(Some(SseEvent {
                    event: "",
                    data: "a"
                }))
            );
        }
    }

    #[test]
    fn an_event_in_one_chunk_is_borrowed_from_it() {
        let chunk = b"event: x\r\ndata: {}\r\n\r\n: ping\n\ndata: [DONE]\n\n".to_vec();
        let mut decoder = SseDecoder::new(100);
        let mut rest = &chunk[..];
        while let Some(event) = decoder.next(&mut rest).unwrap() {
            assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
        }
        assert_eq!(
            (
                decoder.pending.data.capacity(),
                decoder.pending.event.capacity()
            ),
            (0, 0)
        );
    }

    #[test]
    fn the_buffer_stays_within_the_limit_and_a_large_one_is_freed() {
        let limit = 100_000;
        let mut decoder = SseDecoder::new(limit);
        assert_eq!(decoder.next(&mut &b"data: "[..]), Ok(None));
        for _ in 0..limit {
            assert_eq!(decoder.next(&mut &b"x"[..]), Ok(None));
            assert!(decoder.pending.data.capacity() <= limit);
        }
        let mut rest = &b"\n\n"[..];
        assert_eq!(decoder.next(&mut rest).unwrap().unwrap().data.len(), limit);
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert_eq!(decoder.pending.data.capacity(), 0);
    }

    #[test]
    fn limit_counts_kept_bytes() {
        let data = |len: usize| [b"data: ", "x".repeat(len).as_bytes(), b"\n\n"].concat();
        let error = Some(SseError::EventTooLarge { limit: 100 });
        for (len, expected) in [(99, None), (100, None), (101, error)] {
            assert_eq!(decode_with_every_chunking(100, &data(len)).1, expected);
        }
        let named = [b"event: ", "n".repeat(50).as_bytes(), b"\n", &data(51)].concat();
        assert_eq!(decode_with_every_chunking(100, &named).1, error);
        let renamed = [
            b"event: ",
            "n".repeat(50).as_bytes(),
            b"\nevent: e\n",
            &data(99),
        ]
        .concat();
        assert_eq!(decode_with_every_chunking(100, &renamed).1, None);
        // Without an end, so no event is returned.
        assert_eq!(decode(100, [&b"data: "[..], &[b'x'; 100]]).1, None);
        assert_eq!(decode(100, [&b"data: "[..], &[b'x'; 101]]).1, error);
        assert_eq!(decode(100, [&b"event: "[..], &[b'x'; 101]]).1, error);
        // Empty lines count too.
        let empty = b"data:\n".repeat(100_000);
        assert_eq!(
            decode(1000, [&empty[..]]).1,
            Some(SseError::EventTooLarge { limit: 1000 })
        );
        assert_eq!(
            decode(1000, empty.chunks(7)).1,
            Some(SseError::EventTooLarge { limit: 1000 })
        );
        // The limit is per event, not per stream.
        assert_eq!(decode(100, [&data(100).repeat(50)[..]]).0.len(), 50);
    }
}
