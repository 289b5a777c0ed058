//! The binary frames of `application/vnd.amazon.eventstream`, as in the [Amazon event stream
//! specification][spec].
//!
//! ```text
//! | total length u32 | headers length u32 | CRC of these 8 bytes u32 | headers | payload | CRC of all before u32 |
//! ```
//!
//! [spec]: https://smithy.io/2.0/aws/amazon-eventstream.html

use super::buffer;

const PRELUDE: usize = 12;
const TRAILER: usize = 4;
/// What a message takes beside its headers and its payload.
const OVERHEAD: usize = PRELUDE + TRAILER;
/// The specification's limit for the headers of one message, in bytes.
const MAX_HEADERS: usize = 128 * 1024;
/// The specification's limit for one header's string or bytes, in bytes.
const MAX_VALUE: usize = 32 * 1024 - 1;

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The checksum of the lengths is wrong: where the message ends is not known.
    #[error("an event-stream prelude has a wrong checksum")]
    PreludeChecksum,
    /// The checksum of the message is wrong.
    #[error("an event-stream message has a wrong checksum")]
    MessageChecksum,
    /// The headers would not fit into the message.
    #[error("an event-stream message of {total} bytes cannot have {headers} bytes of headers")]
    #[non_exhaustive]
    Lengths {
        /// The claimed length of the message, in bytes.
        total: u32,
        /// The claimed length of its headers, in bytes.
        headers: u32,
    },
    /// The message is larger than the limit of [`EventStreamDecoder::new`].
    #[error("an event-stream message of {total} bytes is larger than {limit}")]
    #[non_exhaustive]
    MessageTooLarge {
        /// The claimed length, in bytes.
        total: u32,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The headers are larger than the 128 KiB that the specification allows.
    #[error("the {headers} bytes of headers of an event-stream message are larger than 128 KiB")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The claimed length, in bytes.
        headers: u32,
    },
    /// A header is cut short, has an unknown type or too long a value, or is not UTF-8 where it
    /// must be.
    #[error("an event-stream message has a malformed header: {problem}")]
    #[non_exhaustive]
    Header {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The body ended within a message.
    #[error("the event stream ended {pending} bytes into a message")]
    #[non_exhaustive]
    Truncated {
        /// How many bytes of the message arrived.
        pending: usize,
    },
}

/// The value of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderValue<'a> {
    /// Types 0 (true) and 1 (false).
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Int16(i16),
    /// Type 4.
    Int32(i32),
    /// Type 5.
    Int64(i64),
    /// Type 6, at most 32,767 bytes.
    Bytes(&'a [u8]),
    /// Type 7, at most 32,767 bytes.
    String(&'a str),
    /// Type 8: milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

/// One message of the stream, its checksums and headers checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The payload, for Bedrock a JSON object.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// All headers in the order sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, HeaderValue<'a>)> + use<'a> {
        // The decoder has been through all of them: none is dropped here.
        RawHeaders(self.headers)
            .map_while(Result::ok)
            .filter_map(|raw| Some((std::str::from_utf8(raw.name).ok()?, raw.value().ok()?)))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'a>> {
        RawHeaders(self.headers)
            .map_while(Result::ok)
            .find(|raw| raw.name == name.as_bytes())
            .and_then(|raw| raw.value().ok())
    }

    /// `:message-type`: `event`, `exception` or `error`.
    pub fn message_type(&self) -> Option<&'a str> {
        self.string(":message-type")
    }

    /// `:event-type`: which event an `event` is.
    pub fn event_type(&self) -> Option<&'a str> {
        self.string(":event-type")
    }

    /// `:exception-type`: which modelled error an `exception` is.
    pub fn exception_type(&self) -> Option<&'a str> {
        self.string(":exception-type")
    }

    /// `:error-code` of an `error`, which is not modelled and has no payload.
    pub fn error_code(&self) -> Option<&'a str> {
        self.string(":error-code")
    }

    /// `:error-message` of an `error`.
    pub fn error_message(&self) -> Option<&'a str> {
        self.string(":error-message")
    }

    fn string(&self, name: &str) -> Option<&'a str> {
        match self.header(name) {
            Some(HeaderValue::String(value)) => Some(value),
            _ => None,
        }
    }
}

/// Cuts a byte stream into [`Message`]s; any chunking of the bytes gives the same messages.
///
/// The lengths are trusted only after their own checksum and their limits hold, and memory grows
/// with what arrives, not with what is announced. A message that lies in one chunk is borrowed
/// from it.
#[derive(Debug)]
pub struct EventStreamDecoder {
    limit: usize,
    kept: Vec<u8>,
    /// The checked prelude of the message in `kept`.
    prelude: Option<Prelude>,
    failed: Option<EventStreamError>,
}

#[derive(Clone, Copy, Debug)]
struct Prelude {
    total: usize,
    headers: usize,
}

impl EventStreamDecoder {
    /// A decoder for messages of at most `max_message_bytes` bytes, headers and checksums
    /// included.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            limit: max_message_bytes,
            kept: Vec::new(),
            prelude: None,
            failed: None,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next message and returns it, or
    /// takes them all, keeps them, and returns `None`.
    ///
    /// # Errors
    /// At any mismatch; after one nothing that follows can be trusted. The error is final: later
    /// calls repeat it.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Message<'a>>, EventStreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let found = match self.advance(input) {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
            Err(error) => {
                self.failed = Some(error);
                return Err(error);
            }
        };
        let (prelude, bytes) = match found {
            Found::Borrowed(prelude, bytes) => (prelude, bytes),
            Found::Kept(prelude) => (prelude, &*self.kept),
        };
        match message(prelude, bytes) {
            Ok(message) => Ok(Some(message)),
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// At the end of the body.
    ///
    /// # Errors
    /// When it ends within a message, and as [`next`](Self::next).
    pub fn finish(&mut self) -> Result<(), EventStreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.clear_if_spent();
        if self.kept.is_empty() {
            return Ok(());
        }
        let error = EventStreamError::Truncated {
            pending: self.kept.len(),
        };
        self.failed = Some(error);
        Err(error)
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Found<'i>>, EventStreamError> {
        self.clear_if_spent();
        if self.kept.is_empty() {
            if let Some(prelude) = self.prelude(input)? {
                if let Some((message, rest)) = input.split_at_checked(prelude.total) {
                    *input = rest;
                    return Ok(Some(Found::Borrowed(prelude, message)));
                }
            }
        }
        if self.prelude.is_none() {
            self.keep_up_to(PRELUDE, input);
            self.prelude = self.prelude(&self.kept)?;
        }
        let Some(prelude) = self.prelude else {
            return Ok(None);
        };
        self.keep_up_to(prelude.total, input);
        Ok((self.kept.len() == prelude.total).then_some(Found::Kept(prelude)))
    }

    /// The message in `kept` is complete only between the call that returned it and the next.
    fn clear_if_spent(&mut self) {
        if self
            .prelude
            .is_some_and(|prelude| prelude.total == self.kept.len())
        {
            self.prelude = None;
            buffer::clear(&mut self.kept);
        }
    }

    fn keep_up_to(&mut self, len: usize, input: &mut &[u8]) {
        let missing = len.saturating_sub(self.kept.len()).min(input.len());
        if let Some((taken, rest)) = input.split_at_checked(missing) {
            buffer::append(&mut self.kept, taken, len);
            *input = rest;
        }
    }

    fn prelude(&self, bytes: &[u8]) -> Result<Option<Prelude>, EventStreamError> {
        let Some((lengths, rest)) = bytes.split_at_checked(8) else {
            return Ok(None);
        };
        let (Some(total), Some(headers), Some(checksum)) =
            (u32_at(lengths, 0), u32_at(lengths, 4), u32_at(rest, 0))
        else {
            return Ok(None);
        };
        if crc32fast::hash(lengths) != checksum {
            return Err(EventStreamError::PreludeChecksum);
        }
        let (Ok(total_len), Ok(headers_len)) = (usize::try_from(total), usize::try_from(headers))
        else {
            return Err(EventStreamError::MessageTooLarge {
                total,
                limit: self.limit,
            });
        };
        if headers_len.saturating_add(OVERHEAD) > total_len {
            return Err(EventStreamError::Lengths { total, headers });
        }
        if total_len > self.limit {
            return Err(EventStreamError::MessageTooLarge {
                total,
                limit: self.limit,
            });
        }
        if headers_len > MAX_HEADERS {
            return Err(EventStreamError::HeadersTooLarge { headers });
        }
        Ok(Some(Prelude {
            total: total_len,
            headers: headers_len,
        }))
    }
}

enum Found<'i> {
    Borrowed(Prelude, &'i [u8]),
    Kept(Prelude),
}

/// The parts of a message of exactly the length that its prelude says.
fn message(prelude: Prelude, bytes: &[u8]) -> Result<Message<'_>, EventStreamError> {
    let lengths = EventStreamError::MessageChecksum;
    let (checked, trailer) = bytes
        .split_at_checked(bytes.len().saturating_sub(TRAILER))
        .ok_or(lengths)?;
    if u32_at(trailer, 0) != Some(crc32fast::hash(checked)) {
        return Err(EventStreamError::MessageChecksum);
    }
    let (_, body) = checked.split_at_checked(PRELUDE).ok_or(lengths)?;
    let (headers, payload) = body.split_at_checked(prelude.headers).ok_or(lengths)?;
    for raw in RawHeaders(headers) {
        raw?.check()?;
    }
    Ok(Message { headers, payload })
}

struct RawHeader<'a> {
    name: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

impl<'a> RawHeader<'a> {
    fn check(&self) -> Result<(), EventStreamError> {
        if std::str::from_utf8(self.name).is_err() {
            return Err(malformed("its name is not UTF-8"));
        }
        self.value().map(drop)
    }

    fn value(&self) -> Result<HeaderValue<'a>, EventStreamError> {
        let value = match (self.kind, self.value) {
            (0, _) => HeaderValue::Bool(true),
            (1, _) => HeaderValue::Bool(false),
            (2, [byte]) => HeaderValue::Byte(i8::from_be_bytes([*byte])),
            (3, value) => HeaderValue::Int16(i16::from_be_bytes(array(value)?)),
            (4, value) => HeaderValue::Int32(i32::from_be_bytes(array(value)?)),
            (5, value) => HeaderValue::Int64(i64::from_be_bytes(array(value)?)),
            (6, value) => HeaderValue::Bytes(value),
            (7, value) => HeaderValue::String(
                std::str::from_utf8(value).map_err(|_| malformed("its value is not UTF-8"))?,
            ),
            (8, value) => HeaderValue::Timestamp(i64::from_be_bytes(array(value)?)),
            (9, value) => HeaderValue::Uuid(array(value)?),
            _ => return Err(malformed("unknown type")),
        };
        Ok(value)
    }
}

/// Splits the header block; after an error it yields nothing more.
struct RawHeaders<'a>(&'a [u8]);

impl<'a> RawHeaders<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], EventStreamError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| malformed("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn take_u8(&mut self) -> Result<u8, EventStreamError> {
        let [byte] = array(self.take(1)?)?;
        Ok(byte)
    }

    fn take_header(&mut self) -> Result<RawHeader<'a>, EventStreamError> {
        let name_len = self.take_u8()?;
        if name_len == 0 {
            return Err(malformed("its name is empty"));
        }
        let name = self.take(name_len.into())?;
        let kind = self.take_u8()?;
        let len = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => usize::from(u16::from_be_bytes(array(self.take(2)?)?)),
            9 => 16,
            _ => return Err(malformed("unknown type")),
        };
        if len > MAX_VALUE {
            return Err(malformed("its value is too long"));
        }
        Ok(RawHeader {
            name,
            kind,
            value: self.take(len)?,
        })
    }
}

impl<'a> Iterator for RawHeaders<'a> {
    type Item = Result<RawHeader<'a>, EventStreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let header = self.take_header();
        if header.is_err() {
            self.0 = &[];
        }
        Some(header)
    }
}

/// The bytes of one message, for tests and for a server.
///
/// # Errors
/// When a name is empty or longer than 255 bytes, a value longer than 32,767, the headers longer
/// than 128 KiB, or the message than a `u32` can say.
pub fn encode_message(
    headers: &[(&str, HeaderValue<'_>)],
    payload: &[u8],
) -> Result<Vec<u8>, EventStreamError> {
    let mut block = Vec::new();
    for (name, value) in headers {
        match u8::try_from(name.len()) {
            Ok(len @ 1..) => block.push(len),
            _ => return Err(malformed("its name is empty or too long")),
        }
        block.extend_from_slice(name.as_bytes());
        encode_value(value, &mut block)?;
    }
    let too_large = EventStreamError::HeadersTooLarge { headers: u32::MAX };
    let headers_len = u32::try_from(block.len()).map_err(|_| too_large)?;
    if block.len() > MAX_HEADERS {
        return Err(EventStreamError::HeadersTooLarge {
            headers: headers_len,
        });
    }
    let total = block
        .len()
        .saturating_add(payload.len())
        .saturating_add(OVERHEAD);
    let too_large = EventStreamError::MessageTooLarge {
        total: u32::MAX,
        limit: u32::MAX as usize,
    };
    let total_len = u32::try_from(total).map_err(|_| too_large)?;

    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&total_len.to_be_bytes());
    message.extend_from_slice(&headers_len.to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&block);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    Ok(message)
}

fn encode_value(value: &HeaderValue<'_>, block: &mut Vec<u8>) -> Result<(), EventStreamError> {
    let (kind, bytes): (u8, &[u8]) = match value {
        HeaderValue::Bool(true) => (0, &[]),
        HeaderValue::Bool(false) => (1, &[]),
        HeaderValue::Byte(value) => (2, &value.to_be_bytes()),
        HeaderValue::Int16(value) => (3, &value.to_be_bytes()),
        HeaderValue::Int32(value) => (4, &value.to_be_bytes()),
        HeaderValue::Int64(value) => (5, &value.to_be_bytes()),
        HeaderValue::Bytes(value) => (6, value),
        HeaderValue::String(value) => (7, value.as_bytes()),
        HeaderValue::Timestamp(value) => (8, &value.to_be_bytes()),
        HeaderValue::Uuid(value) => (9, value),
    };
    block.push(kind);
    if matches!(kind, 6 | 7) {
        match u16::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= MAX_VALUE => block.extend_from_slice(&len.to_be_bytes()),
            _ => return Err(malformed("its value is too long")),
        }
    }
    block.extend_from_slice(bytes);
    Ok(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], EventStreamError> {
    bytes.try_into().map_err(|_| malformed("it is cut short"))
}

fn malformed(problem: &'static str) -> EventStreamError {
    EventStreamError::Header { problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 16 * 1024 * 1024;

    /// What the tests compare: a message with its parts owned.
    type Owned = (Vec<(String, String)>, Vec<u8>);
    type Outcome = (Vec<Owned>, Option<EventStreamError>);

    fn own(message: Message<'_>) -> Owned {
        let headers = message
            .headers()
            .map(|(name, value)| (name.to_owned(), format!("{value:?}")));
        (headers.collect(), message.payload().to_vec())
    }

    fn decode<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
        let mut decoder = EventStreamDecoder::new(limit);
        let mut messages = Vec::new();
        for chunk in chunks {
            let mut rest = chunk;
            loop {
                match decoder.next(&mut rest) {
                    Ok(Some(message)) => messages.push(own(message)),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next(&mut &EMPTY[..]), Err(error));
                        assert_eq!(decoder.finish(), Err(error));
                        return (messages, Some(error));
                    }
                }
            }
            assert!(rest.is_empty());
        }
        (messages, decoder.finish().err())
    }

    fn decode_every_way(limit: usize, stream: &[u8]) -> Outcome {
        let whole = decode(limit, [stream]);
        assert_eq!(decode(limit, stream.chunks(1)), whole, "byte by byte");
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode(limit, [head, tail]), whole, "split at {at}");
        }
        whole
    }

    /// A frame with right checksums around whatever it claims.
    fn forge(total: u32, headers: u32, body: &[u8]) -> Vec<u8> {
        let mut frame = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(body);
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    /// The message without headers and payload, as published with the AWS SDKs' tests.
    const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xC2\x48\xEB\x7D\x98\xC8\xFF";
    /// The same suite's message with an i32 header.
    const INT32: &[u8] = b"\x00\x00\x00\x2D\x00\x00\x00\x10\x41\xC4\x24\xB8\x0Aevent-type\x04\
        \x00\x00\xA0\x0C{'foo':'bar'}\x36\xF4\x80\xA0";

    fn exception() -> Vec<u8> {
        let headers = [
            (
                ":exception-type",
                HeaderValue::String("throttlingException"),
            ),
            (":content-type", HeaderValue::String("application/json")),
            (":message-type", HeaderValue::String("exception")),
        ];
        encode_message(&headers, b"{\"message\":\"slow down\"}").unwrap()
    }

    #[test]
    fn published_messages() {
        assert_eq!(
            decode_every_way(LIMIT, EMPTY),
            (vec![(vec![], vec![])], None)
        );
        assert_eq!(encode_message(&[], b"").unwrap(), EMPTY);
        let headers = vec![("event-type".to_owned(), "Int32(40972)".to_owned())];
        assert_eq!(
            decode_every_way(LIMIT, INT32),
            (vec![(headers, b"{'foo':'bar'}".to_vec())], None)
        );
        let headers = [("event-type", HeaderValue::Int32(40972))];
        assert_eq!(encode_message(&headers, b"{'foo':'bar'}").unwrap(), INT32);
    }

    #[test]
    fn accessors() {
        let frame = exception();
        let mut decoder = EventStreamDecoder::new(LIMIT);
        let mut rest = &frame[..];
        let message = decoder.next(&mut rest).unwrap().unwrap();
        assert!(frame.as_ptr_range().contains(&message.payload().as_ptr()));
        assert_eq!(message.message_type(), Some("exception"));
        assert_eq!(message.exception_type(), Some("throttlingException"));
        assert_eq!(message.event_type(), None);
        assert_eq!(message.header("nothing"), None);
        assert_eq!(message.headers().count(), 3);

        let headers = [(":event-type", HeaderValue::String("messageStop"))];
        let frame = encode_message(&headers, b"").unwrap();
        let message = decoder.next(&mut &frame[..]).unwrap().unwrap();
        assert_eq!(message.event_type(), Some("messageStop"));

        let headers = [
            (":error-code", HeaderValue::String("Internal")),
            (":error-message", HeaderValue::String("sorry")),
            (":message-type", HeaderValue::String("error")),
            (":event-type", HeaderValue::Int16(7)),
            (":event-type", HeaderValue::String("not the first")),
        ];
        let frame = encode_message(&headers, b"").unwrap();
        let mut rest = &frame[..];
        let message = decoder.next(&mut rest).unwrap().unwrap();
        assert_eq!(message.error_code(), Some("Internal"));
        assert_eq!(message.error_message(), Some("sorry"));
        assert_eq!(message.event_type(), None);
        assert_eq!(message.header(":event-type"), Some(HeaderValue::Int16(7)));
    }

    #[test]
    fn lengths_are_checked_though_their_checksum_is_right() {
        use EventStreamError as E;
        let cases = [
            (
                0,
                0,
                E::Lengths {
                    total: 0,
                    headers: 0,
                },
            ),
            (
                15,
                0,
                E::Lengths {
                    total: 15,
                    headers: 0,
                },
            ),
            (
                16,
                1,
                E::Lengths {
                    total: 16,
                    headers: 1,
                },
            ),
            (
                100,
                u32::MAX,
                E::Lengths {
                    total: 100,
                    headers: u32::MAX,
                },
            ),
            (
                u32::MAX,
                0,
                E::MessageTooLarge {
                    total: u32::MAX,
                    limit: LIMIT,
                },
            ),
            (
                16_777_217,
                0,
                E::MessageTooLarge {
                    total: 16_777_217,
                    limit: LIMIT,
                },
            ),
            (200_000, 131_073, E::HeadersTooLarge { headers: 131_073 }),
        ];
        for (total, headers, error) in cases {
            let stream = forge(total, headers, &[0; 100]);
            assert_eq!(decode_every_way(LIMIT, &stream), (vec![], Some(error)));
        }
    }

    #[test]
    fn memory_grows_with_what_arrives() {
        let stream = forge(LIMIT as u32, 0, &[0; 1000]);
        let mut decoder = EventStreamDecoder::new(LIMIT);
        assert_eq!(decoder.next(&mut &stream[..]), Ok(None));
        assert!(decoder.kept.capacity() <= 2 * stream.len());
    }

    #[test]
    fn the_limit_is_inclusive() {
        let frame = exception();
        assert_eq!(decode_every_way(frame.len(), &frame).1, None);
        let error = EventStreamError::MessageTooLarge {
            total: frame.len() as u32,
            limit: frame.len() - 1,
        };
        assert_eq!(
            decode_every_way(frame.len() - 1, &frame),
            (vec![], Some(error))
        );
    }

    #[test]
    fn as_much_as_the_specification_allows_fits() {
        let value = [0; 32_768];
        let longest = [("a", HeaderValue::Bytes(&value[..32_767]))];
        let frame = encode_message(&longest, b"").unwrap();
        assert_eq!(decode(LIMIT, [&frame[..]]).1, None);
        assert!(encode_message(&[("a", HeaderValue::Bytes(&value))], b"").is_err());

        // Each header has five bytes beside its value.
        let quarter = ("a", HeaderValue::Bytes(&value[..32_763]));
        let frame = encode_message(&[quarter; 4], b"").unwrap();
        assert_eq!(decode(LIMIT, [&frame[..]]).1, None);
        let over = ("a", HeaderValue::Bytes(&value[..32_764]));
        let error = encode_message(&[quarter, quarter, quarter, over], b"").unwrap_err();
        assert_eq!(
            error,
            EventStreamError::HeadersTooLarge { headers: 131_073 }
        );
    }

    #[test]
    fn malformed_headers_are_errors() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x00", "its name is empty"),
            (b"\x05name", "it is cut short"),
            (b"\x04name", "it is cut short"),
            (b"\x04name\x0A", "unknown type"),
            (b"\x04name\xFF", "unknown type"),
            (b"\x04name\x02", "it is cut short"),
            (b"\x04name\x04\0\0\0", "it is cut short"),
            (
                b"\x04name\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                "it is cut short",
            ),
            (b"\x04name\x07\x00", "it is cut short"),
            (b"\x04name\x07\x00\x02x", "it is cut short"),
            (b"\x04name\x07\x80\x00x", "its value is too long"),
            (b"\x04name\x07\x00\x01\xFF", "its value is not UTF-8"),
            (b"\x04nam\xFF\x00", "its name is not UTF-8"),
        ];
        for (block, problem) in cases {
            let block = [b"\x01a\x00", *block].concat();
            let stream = forge(block.len() as u32 + 16, block.len() as u32, &block);
            let error = EventStreamError::Header { problem };
            assert_eq!(
                decode_every_way(LIMIT, &stream),
                (vec![], Some(error)),
                "{block:?}"
            );
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let stream = [exception(), INT32.to_vec()].concat();
        for at in 0..stream.len() {
            for bit in 0..8 {
                let mut changed = stream.clone();
                changed[at] ^= 1 << bit;
                let (messages, error) = decode(LIMIT, [&changed[..]]);
                assert_eq!(messages.len(), usize::from(at >= exception().len()));
                assert!(error.is_some(), "{at} {bit}");
            }
        }
    }

    #[test]
    fn an_end_within_a_message_is_an_error() {
        let stream = [EMPTY, INT32].concat();
        for at in 0..=stream.len() {
            let (messages, error) = decode(LIMIT, [&stream[..at]]);
            let pending = match at {
                0..16 => at,
                16..61 => at - 16,
                _ => 0,
            };
            assert_eq!(
                messages.len(),
                usize::from(at >= 16) + usize::from(at >= 61)
            );
            let expected = (pending > 0).then_some(EventStreamError::Truncated { pending });
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn what_cannot_be_encoded() {
        let long = "x".repeat(40_000);
        let refused: [&[(&str, HeaderValue<'_>)]; 4] = [
            &[("", HeaderValue::Bool(true))],
            &[(&long, HeaderValue::Bool(true))],
            &[("a", HeaderValue::String(&long))],
            &[("a", HeaderValue::Bytes(&long.as_bytes()[..32_767])); 5],
        ];
        for headers in refused {
            assert!(encode_message(headers, b"").is_err());
        }
    }

    fn value() -> impl Strategy<Value = (u8, i64, Vec<u8>, String)> {
        (
            0_u8..10,
            any::<i64>(),
            prop::collection::vec(any::<u8>(), 16..40),
            ".{0,20}",
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            messages in prop::collection::vec(
                (
                    prop::collection::vec(("[a-z:-]{1,12}", value()), 0..5),
                    prop::collection::vec(any::<u8>(), 0..200),
                ),
                0..5,
            ),
            chunk in 1_usize..100,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (headers, payload) in &messages {
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(name, (kind, number, bytes, text))| {
                        let value = match kind {
                            0 => HeaderValue::Bool(true),
                            1 => HeaderValue::Bool(false),
                            2 => HeaderValue::Byte(*number as i8),
                            3 => HeaderValue::Int16(*number as i16),
                            4 => HeaderValue::Int32(*number as i32),
                            5 => HeaderValue::Int64(*number),
                            6 => HeaderValue::Bytes(bytes),
                            7 => HeaderValue::String(text),
                            8 => HeaderValue::Timestamp(*number),
                            _ => HeaderValue::Uuid(bytes[..16].try_into().unwrap()),
                        };
                        (name.as_str(), value)
                    })
                    .collect();
                stream.extend(encode_message(&headers, payload).unwrap());
                let headers = headers.iter().map(|(n, v)| (n.to_string(), format!("{v:?}")));
                expected.push((headers.collect(), payload.clone()));
            }
            prop_assert_eq!(decode(LIMIT, [&stream[..]]), (expected.clone(), None));
            prop_assert_eq!(decode(LIMIT, stream.chunks(chunk)), (expected, None));
        }

        #[test]
        fn any_bytes_with_right_checksums_are_split_alike(
            headers in 0_u32..40,
            body in prop::collection::vec(any::<u8>(), 0..60),
            chunk in 1_usize..20,
        ) {
            let stream = forge(body.len() as u32 + 16, headers, &body);
            prop_assert_eq!(decode(LIMIT, [&stream[..]]), decode(LIMIT, stream.chunks(chunk)));
        }
    }
}
