//! Server-sent events, as in the [WHATWG specification][spec], without its reconnection.
//!
//! Every byte is looked at once and only the value of `data` and `event` lines is ever kept:
//! comments, unknown fields and their names cost no memory however long they are.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use memchr::memchr2;

use super::buffer;

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
    Name {
        name: [u8; LONGEST_NAME],
        len: usize,
    },
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

const LINE_START: Line = Line::Name {
    name: [0; LONGEST_NAME],
    len: 0,
};

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
                let error = SseError::InvalidUtf8 {
                    valid_up_to: error.valid_up_to(),
                };
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
        buffer::clear(&mut self.event);
        buffer::clear(&mut self.data);
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
            self.bom = if mark.len() == 1 {
                Bom::Past
            } else {
                Bom::Awaited(seen.saturating_add(1))
            };
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
        Some(Ready {
            event: borrowed.event,
            data: borrowed.data,
        })
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
            self.event.clear();
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

fn known_field(name: &[u8; LONGEST_NAME], len: usize) -> Option<Field> {
    match name.get(..len)? {
        b"data" => Some(Field::Data),
        b"event" => Some(Field::Event),
        _ => None,
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SseError> {
    std::str::from_utf8(bytes).map_err(|error| SseError::InvalidUtf8 {
        valid_up_to: error.valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLENTY: usize = 1 << 20;

    type Outcome = (Vec<(String, String)>, Option<SseError>);

    fn own(event: SseEvent<'_>) -> (String, String) {
        (event.event.to_owned(), event.data.to_owned())
    }

    fn decode<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
        let mut decoder = SseDecoder::new(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            let mut rest = chunk;
            loop {
                match decoder.next(&mut rest) {
                    Ok(Some(event)) => events.push(own(event)),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next(&mut &b"data: x\n\n"[..]), Err(error));
                        assert_eq!(decoder.finish(), Err(error));
                        return (events, Some(error));
                    }
                }
            }
            assert!(rest.is_empty());
        }
        match decoder.finish() {
            Ok(last) => events.extend(last.map(own)),
            Err(error) => return (events, Some(error)),
        }
        assert_eq!(decoder.finish(), Ok(None));
        (events, None)
    }

    /// Whole, byte by byte and split in two at every place.
    fn decode_every_way(limit: usize, stream: &[u8]) -> Outcome {
        let whole = decode(limit, [stream]);
        assert_eq!(decode(limit, stream.chunks(1)), whole, "byte by byte");
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode(limit, [head, tail]), whole, "split at {at}");
        }
        whole
    }

    /// The specification's algorithm, word for word, over the whole stream at once.
    fn reference(limit: usize, stream: &[u8]) -> Outcome {
        let stream = stream.strip_prefix(BOM).unwrap_or(stream);
        let mut lines = vec![Vec::new()];
        let mut at = 0;
        while at < stream.len() {
            match stream[at] {
                b'\r' | b'\n' => {
                    if stream[at..].starts_with(b"\r\n") {
                        at += 1;
                    }
                    lines.push(Vec::new());
                }
                byte => lines.last_mut().unwrap().push(byte),
            }
            at += 1;
        }
        let (mut events, mut event, mut data) = (Vec::new(), Vec::new(), Vec::<u8>::new());
        let count = lines.len();
        let mut finish = |event: &mut Vec<u8>, data: &mut Vec<u8>, at_end: bool| {
            data.pop();
            let (event, data) = (std::mem::take(event), std::mem::take(data));
            if data.is_empty() {
                return Ok(());
            }
            for bytes in [&event, &data] {
                if let Err(error) = std::str::from_utf8(bytes) {
                    let valid_up_to = error.valid_up_to();
                    return match at_end && error.error_len().is_none() {
                        true => Ok(()),
                        false => Err(SseError::InvalidUtf8 { valid_up_to }),
                    };
                }
            }
            events.push((
                String::from_utf8(event).unwrap(),
                String::from_utf8(data).unwrap(),
            ));
            Ok(())
        };
        for (number, line) in lines.iter().enumerate() {
            let result = if line.is_empty() && number + 1 < count {
                finish(&mut event, &mut data, false)
            } else {
                let colon = line.iter().position(|byte| *byte == b':');
                let (name, value) = match colon {
                    Some(at) => (&line[..at], &line[at + 1..]),
                    None => (&line[..], &b""[..]),
                };
                let value = value.strip_prefix(b" ").unwrap_or(value);
                match name {
                    b"event" => event = value.to_vec(),
                    b"data" => data.extend_from_slice(&[value, b"\n"].concat()),
                    _ => {}
                }
                match event.len() + data.len().saturating_sub(1) > limit {
                    true => Err(SseError::EventTooLarge { limit }),
                    false => Ok(()),
                }
            };
            if let Err(error) = result {
                return (events, Some(error));
            }
        }
        let last = finish(&mut event, &mut data, true);
        (events, last.err())
    }

    #[test]
    fn framing() {
        type Case<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);
        let cases: &[Case<'_>] = &[
            (b"", &[]),
            (b"\n\n\r\r\n", &[]),
            (b"data: a\n\n", &[("", "a")]),
            (b"data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
            (b"data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            (
                b"data: a\n\r\ndata: b\r\n\rdata: c\r\n\n",
                &[("", "a"), ("", "b"), ("", "c")],
            ),
            (
                b"data: a\r\ndata: b\rdata: c\ndata: d\n\n",
                &[("", "a\nb\nc\nd")],
            ),
            (
                b"data:a\n\ndata:  a\n\ndata:\ta\n\n",
                &[("", "a"), ("", " a"), ("", "\ta")],
            ),
            (b"data\n\ndata:\n\ndata: \n\n", &[]),
            (b"data\ndata\n\n", &[("", "\n")]),
            (b"data\ndata: a\ndata:\n\n", &[("", "\na\n")]),
            (
                b"event: x\ndata: a\n\ndata: b\n\n",
                &[("x", "a"), ("", "b")],
            ),
            (b"data: a\nevent:x\n\n", &[("x", "a")]),
            (b"event: x\nevent: y\ndata: a\n\n", &[("y", "a")]),
            (b"event: x\nevent\ndata: a\n\n", &[("", "a")]),
            (b"event: ping\n\ndata: a\n\n", &[("", "a")]),
            (b"event: x\n: c\n:\n::\n: d\ndata: a\n\n", &[("x", "a")]),
            (
                b"id: 1\x002\nretry: soon\nfoo: bar\nfoo\ndata: a\n\n",
                &[("", "a")],
            ),
            (
                b"dat: a\ndata2: b\nDATA: c\n data: d\ndata : e\nevents: f\ndata: g\n\n",
                &[("", "g")],
            ),
            (b"data: a: b\n\n", &[("", "a: b")]),
            (b"data: a\0b\n\n", &[("", "a\0b")]),
            (
                "data: \u{1F980}é\nevent: ü\n\n".as_bytes(),
                &[("ü", "\u{1F980}é")],
            ),
            (b"\xEF\xBB\xBFdata: a\n\n", &[("", "a")]),
            (
                b"\xEF\xBB\xBF\n\xEF\xBB\xBFdata: a\n\ndata: b\n\n",
                &[("", "b")],
            ),
            (
                b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n",
                &[("", "b")],
            ),
            (b"\xEF\xBBdata: a\ndata: b\n\n", &[("", "b")]),
            (b"\xEF\xBB\ndata: b\n\n", &[("", "b")]),
            (b"\xEF\ndata: b\n\n", &[("", "b")]),
            ("data: \u{FEFF}a\n\n".as_bytes(), &[("", "\u{FEFF}a")]),
            (b": \xFF\xFE\nevent: \xFF\n\ndata: a\n\n", &[("", "a")]),
            (b"data: a\n", &[("", "a")]),
            (b"data: a", &[("", "a")]),
            (b"data: a\r", &[("", "a")]),
            (b"data: a\ndata", &[("", "a\n")]),
            (b"data: a\n\nevent: x", &[("", "a")]),
            (b"data: a\n\ndata: \xE2\x82", &[("", "a")]),
        ];
        for (stream, expected) in cases {
            let expected = expected
                .iter()
                .map(|(e, d)| (e.to_string(), d.to_string()))
                .collect();
            assert_eq!(
                decode_every_way(PLENTY, stream),
                (expected, None),
                "{stream:?}"
            );
            assert_eq!(
                reference(PLENTY, stream),
                decode(PLENTY, [*stream]),
                "{stream:?}"
            );
        }
    }

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
            let (events, error) = decode_every_way(PLENTY, stream);
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

    #[test]
    fn comments_and_unknown_fields_are_not_kept() {
        for opening in [&b": "[..], b"id: ", b"x", b"\xEF\xBBx"] {
            let mut decoder = SseDecoder::new(10);
            assert_eq!(decoder.next(&mut &*opening), Ok(None));
            for _ in 0..100_000 {
                assert_eq!(decoder.next(&mut &b"ping ping "[..]), Ok(None));
            }
            assert_eq!((decoder.data.capacity(), decoder.event.capacity()), (0, 0));
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
        assert_eq!((decoder.data.capacity(), decoder.event.capacity()), (0, 0));
    }

    #[test]
    fn the_buffer_stays_within_the_limit_and_a_large_one_is_given_back() {
        let limit = 100_000;
        let mut decoder = SseDecoder::new(limit);
        assert_eq!(decoder.next(&mut &b"data: "[..]), Ok(None));
        for _ in 0..limit {
            assert_eq!(decoder.next(&mut &b"x"[..]), Ok(None));
            assert!(decoder.data.capacity() <= limit);
        }
        let mut rest = &b"\n\n"[..];
        assert_eq!(decoder.next(&mut rest).unwrap().unwrap().data.len(), limit);
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert_eq!(decoder.data.capacity(), 0);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"data"[..],
            b"event",
            b"id",
            b":",
            b": ",
            b" ",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"x",
            b"{\"a\":1}",
            b"\xEF",
            b"\xBB",
            b"\xBF",
            BOM,
            "\u{1F980}".as_bytes(),
            b"\0",
            b"\xFF",
            b"data: a\n\n",
            b"event: e\n",
            b"0123456789",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_what_the_specification_says(
            stream in pieces(),
            cuts in prop::collection::vec(0_usize..200, 0..10),
            limit in prop_oneof![Just(PLENTY), 0_usize..40],
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().filter(|at| *at <= stream.len()).collect();
            cuts.sort_unstable();
            cuts.insert(0, 0);
            cuts.push(stream.len());
            let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            let expected = reference(limit, &stream);
            prop_assert_eq!(decode(limit, chunks), expected.clone());
            prop_assert_eq!(decode(limit, [&stream[..]]), expected);
        }
    }
}
