//! Server-sent events, as in the [WHATWG specification][spec], without its reconnection.
//!
//! Every byte is looked at once and only the value of `data` and `event` lines is ever kept:
//! comments, unknown fields and their names cost no memory however long they are.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use memchr::memchr2;

/// Buffers above this capacity, in bytes, are given back once the event that needed them is out.
const KEEP_CAPACITY: usize = 16 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// The value of the last `event` line; empty where there was none, which means `message`.
    pub event: &'a str,
    /// The values of the `data` lines joined by `\n`; never empty.
    pub data: &'a str,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// What must be kept of one event outgrew the limit of [`SseDecoder::new`].
    #[error("a server-sent event is larger than {limit} bytes")]
    #[non_exhaustive]
    EventTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The data or the name of an event is not UTF-8. It is not repaired: a tool call with a
    /// replaced character is a different command.
    #[error("a server-sent event is not valid UTF-8 after byte {valid_up_to} of its value")]
    #[non_exhaustive]
    InvalidUtf8 {
        /// How many bytes of the value are valid.
        valid_up_to: usize,
    },
}

/// Cuts a byte stream into [`SseEvent`]s; any chunking of the bytes gives the same events.
///
/// LF, CR and CRLF end lines, in any mixture. One byte order mark at the start is dropped.
/// `id`, `retry` and unknown fields are ignored: a stream that answers a POST cannot be resumed.
/// An event without data is not returned.
///
/// An event that lies in one chunk and has one `data` line is borrowed from that chunk; others
/// are collected in a buffer of at most the limit's size.
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
    limit: usize,
    line: Line,
    /// The last line ended in a CR at the end of a chunk: an LF that follows belongs to it.
    skip_lf: bool,
    bom: Bom,
    event: Vec<u8>,
    data: Vec<u8>,
    /// `data` holds at least one line, maybe an empty one.
    has_data: bool,
    /// `event` and `data` were handed out by the last call.
    spent: bool,
    failed: Option<SseError>,
}

/// Where in a line the next byte falls.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// In the field name, whose first `len` bytes are in `name`. A line's start has `len` 0.
    Name { name: [u8; LONGEST_NAME], len: usize },
    /// Right after the colon, where one space is dropped.
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

const LINE_START: Line = Line::Name { name: [0; LONGEST_NAME], len: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bom {
    /// So many bytes of it have been seen.
    Awaited(usize),
    Past,
}

/// An event is complete: a part that is `None` is in the decoder's own buffer.
struct Ready<'i> {
    event: Option<&'i [u8]>,
    data: Option<&'i [u8]>,
}

/// The event under way, as far as it is still borrowed from the chunk.
#[derive(Default)]
struct Borrowed<'i> {
    event: Option<&'i [u8]>,
    data: Option<&'i [u8]>,
}

impl SseDecoder {
    /// A decoder that keeps at most `max_event_bytes` bytes of an event: of its name and its data,
    /// in which every `data` line after the first counts one byte more for the `\n` that joins it.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            line: LINE_START,
            skip_lf: false,
            bom: Bom::Awaited(0),
            event: Vec::new(),
            data: Vec::new(),
            has_data: false,
            spent: false,
            failed: None,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next event and returns it, or
    /// takes them all, keeps what is needed, and returns `None`.
    ///
    /// # Errors
    /// When the event is too large or not UTF-8. The error is final: later calls repeat it.
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
        let event = ready.event.unwrap_or(&self.event);
        let data = ready.data.unwrap_or(&self.data);
        match (utf8(event), utf8(data)) {
            (Ok(event), Ok(data)) => Ok(Some(SseEvent { event, data })),
            (Err(error), _) | (_, Err(error)) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// At the end of the body: the event whose final blank line, or whose last line's end, is
    /// missing, if it has data. Whether such an event counts is for the caller to judge: it may
    /// be cut short. One that was cut within a character is dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.clear_if_spent();
        self.skip_lf = false;
        if let Err(error) = self.end_line() {
            self.failed = Some(error);
            return Err(error);
        }
        self.spent = true;
        if self.data.is_empty() {
            return Ok(None);
        }
        let event = std::str::from_utf8(&self.event);
        let data = std::str::from_utf8(&self.data);
        match (event, data) {
            (Ok(event), Ok(data)) => Ok(Some(SseEvent { event, data })),
            (Err(error), _) | (_, Err(error)) if error.error_len().is_some() => {
                let error = SseError::InvalidUtf8 { valid_up_to: error.valid_up_to() };
                self.failed = Some(error);
                Err(error)
            }
            _ => Ok(None),
        }
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Ready<'i>>, SseError> {
        self.clear_if_spent();
        if self.bom != Bom::Past {
            self.strip_bom(input);
        }
        self.skip_pending_lf(input);
        if !self.at_line_start() {
            self.resume_line(input)?;
        }

        let mut borrowed = Borrowed::default();
        while let Some(first) = input.first() {
            if matches!(first, b'\n' | b'\r') {
                self.take_line_end(input);
                if let Some(ready) = self.dispatch(&borrowed) {
                    return Ok(Some(ready));
                }
                borrowed = Borrowed::default();
                continue;
            }
            let split = memchr2(b'\n', b'\r', input).and_then(|at| input.split_at_checked(at));
            let Some((line, rest)) = split else {
                let begun = std::mem::take(input);
                self.keep(borrowed)?;
                self.take_part(begun)?;
                return Ok(None);
            };
            *input = rest;
            self.take_line_end(input);
            self.take_line(line, &mut borrowed)?;
        }
        self.keep(borrowed)?;
        Ok(None)
    }

    fn clear_if_spent(&mut self) {
        if self.spent {
            self.spent = false;
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.has_data = false;
        for buffer in [&mut self.event, &mut self.data] {
            if buffer.capacity() > KEEP_CAPACITY {
                *buffer = Vec::new();
            } else {
                buffer.clear();
            }
        }
    }

    fn strip_bom(&mut self, input: &mut &[u8]) {
        while let (Bom::Awaited(seen), Some((byte, rest))) = (self.bom, input.split_first()) {
            let mark = BOM.get(seen..).unwrap_or_default();
            if mark.first() != Some(byte) {
                self.bom = Bom::Past;
                if seen > 0 {
                    // The bytes already taken begin the name of a field that nobody knows.
                    self.line = Line::Ignored;
                }
                return;
            }
            *input = rest;
            self.bom = if mark.len() == 1 { Bom::Past } else { Bom::Awaited(seen.saturating_add(1)) };
        }
    }

    fn skip_pending_lf(&mut self, input: &mut &[u8]) {
        if self.skip_lf && !input.is_empty() {
            self.skip_lf = false;
            if let Some(rest) = input.strip_prefix(b"\n") {
                *input = rest;
            }
        }
    }

    fn at_line_start(&self) -> bool {
        matches!(self.line, Line::Name { len: 0, .. })
    }

    /// Takes the line end that `input` begins with.
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

    /// Goes on with a line that an earlier chunk began.
    fn resume_line(&mut self, input: &mut &[u8]) -> Result<(), SseError> {
        let split = memchr2(b'\n', b'\r', input).and_then(|at| input.split_at_checked(at));
        let Some((part, rest)) = split else {
            return self.take_part(std::mem::take(input));
        };
        *input = rest;
        self.take_line_end(input);
        self.take_part(part)?;
        self.end_line()
    }

    /// A blank line: the event under way is complete. Without data it is forgotten.
    fn dispatch<'i>(&mut self, borrowed: &Borrowed<'i>) -> Option<Ready<'i>> {
        let data = borrowed.data.unwrap_or(&self.data);
        if data.is_empty() {
            self.clear();
            return None;
        }
        self.spent = true;
        Some(Ready { event: borrowed.event, data: borrowed.data })
    }

    /// A line that lies whole in the chunk.
    fn take_line<'i>(
        &mut self,
        line: &'i [u8],
        borrowed: &mut Borrowed<'i>,
    ) -> Result<(), SseError> {
        if let Some(value) = line.strip_prefix(b"data").and_then(value) {
            if borrowed.data.is_none() && !self.has_data {
                borrowed.data = Some(value);
            } else {
                if let Some(first) = borrowed.data.take() {
                    self.begin_data()?;
                    self.append(Field::Data, first)?;
                }
                self.begin_data()?;
                self.append(Field::Data, value)?;
            }
        } else if let Some(value) = line.strip_prefix(b"event").and_then(value) {
            borrowed.event = Some(value);
        } else {
            return Ok(());
        }
        let event = borrowed.event.unwrap_or(&self.event).len();
        let data = borrowed.data.unwrap_or(&self.data).len();
        self.check(event.saturating_add(data))
    }

    /// The chunk is used up: what was borrowed from it is copied.
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

    /// Bytes of a line that has not ended yet.
    fn take_part(&mut self, mut part: &[u8]) -> Result<(), SseError> {
        if let Line::Name { mut name, mut len } = self.line {
            loop {
                let Some((&byte, rest)) = part.split_first() else {
                    self.line = Line::Name { name, len };
                    return Ok(());
                };
                part = rest;
                if byte == b':' {
                    self.line = match known_field(&name, len) {
                        Some(field) => {
                            self.begin(field)?;
                            Line::Colon(field)
                        }
                        None => Line::Ignored,
                    };
                    break;
                }
                let Some(place) = name.get_mut(len) else {
                    self.line = Line::Ignored;
                    break;
                };
                *place = byte;
                len = len.saturating_add(1);
            }
        }
        if let (Line::Colon(field), Some(first)) = (self.line, part.first()) {
            self.line = Line::Value(field);
            if *first == b' ' {
                part = part.get(1..).unwrap_or_default();
            }
        }
        match self.line {
            Line::Value(field) => self.append(field, part),
            _ => Ok(()),
        }
    }

    /// The end of a line that was taken in parts.
    fn end_line(&mut self) -> Result<(), SseError> {
        let line = std::mem::replace(&mut self.line, LINE_START);
        match line {
            Line::Name { name, len } => match known_field(&name, len) {
                Some(field) => self.begin(field),
                None => Ok(()),
            },
            _ => Ok(()),
        }
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
        let needed = buffer.len().saturating_add(bytes.len());
        if needed > buffer.capacity() {
            // Doubling keeps the copying linear; the limit keeps the last doubling in bounds.
            let capacity = buffer.capacity().saturating_mul(2).min(self.limit).max(needed);
            buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
        }
        buffer.extend_from_slice(bytes);
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

fn known_field(name: &[u8; LONGEST_NAME], len: usize) -> Option<Field> {
    match name.get(..len)? {
        b"data" => Some(Field::Data),
        b"event" => Some(Field::Event),
        _ => None,
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SseError> {
    std::str::from_utf8(bytes)
        .map_err(|error| SseError::InvalidUtf8 { valid_up_to: error.valid_up_to() })
}
