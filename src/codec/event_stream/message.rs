//! A message: checksum, headers and payload.

use super::{
    error::EventStreamError,
    header::{HeaderValue, RawHeaders},
    prelude::{PRELUDE, Prelude, TRAILER, u32_at},
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
