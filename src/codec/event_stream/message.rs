//! A message: checksum, headers and payload.

use super::{
    EventStreamError,
    decoder::{PRELUDE, Prelude, TRAILER, u32_at},
    malformed,
};

/// One message of the stream, with verified checksums and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parses a message that has exactly the length in its prelude.
    pub(super) fn read(prelude: Prelude, bytes: &'a [u8]) -> Result<Self, EventStreamError> {
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
        Ok(Self { headers, payload })
    }

    /// The payload; a JSON object in Bedrock's streams.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// All headers in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, HeaderValue<'a>)> + use<'a> {
        // The decoder has validated all headers, so none is dropped here.
        RawHeaders(self.headers)
            .map_while(Result::ok)
            .filter_map(|raw| Some((std::str::from_utf8(raw.name).ok()?, raw.value().ok()?)))
    }

    /// The first header with this name.
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

    /// `:event-type`: the type of an `event`.
    pub fn event_type(&self) -> Option<&'a str> {
        self.string(":event-type")
    }

    /// `:exception-type`: the type of an `exception`, which is a modelled error.
    pub fn exception_type(&self) -> Option<&'a str> {
        self.string(":exception-type")
    }

    /// `:error-code` of an `error`, which is unmodelled and has no payload.
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

// The headers of a message.

/// The specification's limit for one header's string or bytes, in bytes.
pub(super) const MAX_VALUE: usize = 32 * 1024 - 1;

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

pub(super) struct RawHeader<'a> {
    pub(super) name: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

impl<'a> RawHeader<'a> {
    pub(super) fn check(&self) -> Result<(), EventStreamError> {
        if std::str::from_utf8(self.name).is_err() {
            return Err(malformed("its name is not UTF-8"));
        }
        self.value().map(drop)
    }

    pub(super) fn value(&self) -> Result<HeaderValue<'a>, EventStreamError> {
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

/// Iterates over the header block; after an error it yields nothing more.
pub(super) struct RawHeaders<'a>(pub(super) &'a [u8]);

impl<'a> RawHeaders<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], EventStreamError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| malformed("it is truncated"))?;
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

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], EventStreamError> {
    bytes.try_into().map_err(|_| malformed("it is truncated"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::event_stream::{
        EventStreamDecoder, encode_message,
        testing::{LIMIT, exception},
    };

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
}

#[cfg(test)]
mod header_tests {
    use super::*;
    use crate::codec::event_stream::testing::{LIMIT, decode_with_every_chunking, forge};

    #[test]
    fn malformed_headers_are_errors() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x00", "its name is empty"),
            (b"\x05name", "it is truncated"),
            (b"\x04name", "it is truncated"),
            (b"\x04name\x0A", "unknown type"),
            (b"\x04name\xFF", "unknown type"),
            (b"\x04name\x02", "it is truncated"),
            (b"\x04name\x04\0\0\0", "it is truncated"),
            (
                b"\x04name\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                "it is truncated",
            ),
            (b"\x04name\x07\x00", "it is truncated"),
            (b"\x04name\x07\x00\x02x", "it is truncated"),
            (b"\x04name\x07\x80\x00x", "its value is too long"),
            (b"\x04name\x07\x00\x01\xFF", "its value is not UTF-8"),
            (b"\x04nam\xFF\x00", "its name is not UTF-8"),
        ];
        for (block, problem) in cases {
            let block = [b"\x01a\x00", *block].concat();
            let stream = forge(block.len() as u32 + 16, block.len() as u32, &block);
            let error = EventStreamError::Header { problem };
            assert_eq!(
                decode_with_every_chunking(LIMIT, &stream),
                (vec![], Some(error)),
                "{block:?}"
            );
        }
    }
}
