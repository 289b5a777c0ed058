//! Helpers for the tests of this module.

use super::{EventStreamDecoder, EventStreamError, HeaderValue, Message, encode_message};
use crate::codec::chunking::every_chunking;

pub(super) const LIMIT: usize = 16 * 1024 * 1024;

/// A message with owned parts, for comparison.
type Owned = (Vec<(String, String)>, Vec<u8>);
pub(super) type Outcome = (Vec<Owned>, Option<EventStreamError>);

fn own(message: Message<'_>) -> Owned {
    let headers = message
        .headers()
        .map(|(name, value)| (name.to_owned(), format!("{value:?}")));
    (headers.collect(), message.payload().to_vec())
}

pub(super) fn decode<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
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

pub(super) fn decode_with_every_chunking(limit: usize, stream: &[u8]) -> Outcome {
    every_chunking(stream, |chunks| decode(limit, chunks))
}

/// A frame with valid checksums and the given lengths.
pub(super) fn forge(total: u32, headers: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(body);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

/// The message without headers and payload from the tests of the AWS SDKs.
pub(super) const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xC2\x48\xEB\x7D\x98\xC8\xFF";

/// The message with an i32 header from the same tests.
pub(super) const INT32: &[u8] =
    b"\x00\x00\x00\x2D\x00\x00\x00\x10\x41\xC4\x24\xB8\x0Aevent-type\x04\
    \x00\x00\xA0\x0C{'foo':'bar'}\x36\xF4\x80\xA0";

pub(super) fn exception() -> Vec<u8> {
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
