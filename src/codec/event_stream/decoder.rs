//! Decodes bytes to messages.

use super::{EventStreamError, message::Message};
use crate::codec::buffer;

/// Splits a byte stream into [`Message`]s; chunk boundaries make no difference.
///
/// Lengths are used only after their checksum and limits were checked, and memory grows with the received bytes, not
/// with the announced length. A message in one chunk is borrowed from it.
#[derive(Debug)]
pub struct EventStreamDecoder {
    limit: usize,
    buffer: Vec<u8>,
    /// The checked prelude of the message in `buffer`.
    prelude: Option<Prelude>,
    failed: Option<EventStreamError>,
}

impl EventStreamDecoder {
    /// Creates a decoder for messages of at most `max_message_bytes` bytes, headers and checksums included.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            limit: max_message_bytes,
            buffer: Vec::new(),
            prelude: None,
            failed: None,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next message and returns the message. If the message
    /// is incomplete, it takes and stores all bytes and returns `None`.
    ///
    /// # Errors
    /// If a checksum, length or header is wrong; nothing after it can be trusted. The error is final: later calls
    /// return it again.
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
            Found::Kept(prelude) => (prelude, &*self.buffer),
        };
        match Message::read(prelude, bytes) {
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
    /// If the body ends inside a message, and as [`next`](Self::next).
    pub fn finish(&mut self) -> Result<(), EventStreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.clear_if_consumed();
        if self.buffer.is_empty() {
            return Ok(());
        }
        let error = EventStreamError::Truncated {
            pending: self.buffer.len(),
        };
        self.failed = Some(error);
        Err(error)
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Found<'i>>, EventStreamError> {
        self.clear_if_consumed();
        if self.buffer.is_empty() {
            if let Some(prelude) = Prelude::read(input, self.limit)? {
                if let Some((message, rest)) = input.split_at_checked(prelude.total) {
                    *input = rest;
                    return Ok(Some(Found::Borrowed(prelude, message)));
                }
            }
        }
        if self.prelude.is_none() {
            self.buffer_up_to(PRELUDE, input);
            self.prelude = Prelude::read(&self.buffer, self.limit)?;
        }
        let Some(prelude) = self.prelude else {
            return Ok(None);
        };
        self.buffer_up_to(prelude.total, input);
        Ok((self.buffer.len() == prelude.total).then_some(Found::Kept(prelude)))
    }

    /// The message in `buffer` is complete only between the call that returned it and the next.
    fn clear_if_consumed(&mut self) {
        if self
            .prelude
            .is_some_and(|prelude| prelude.total == self.buffer.len())
        {
            self.prelude = None;
            buffer::clear(&mut self.buffer);
        }
    }

    fn buffer_up_to(&mut self, len: usize, input: &mut &[u8]) {
        let missing = len.saturating_sub(self.buffer.len()).min(input.len());
        if let Some((taken, rest)) = input.split_at_checked(missing) {
            buffer::append(&mut self.buffer, taken, len);
            *input = rest;
        }
    }
}

enum Found<'i> {
    Borrowed(Prelude, &'i [u8]),
    Kept(Prelude),
}

// The prelude of a message: its lengths and their checksum.

pub(super) const PRELUDE: usize = 12;
pub(super) const TRAILER: usize = 4;
/// The size of a message without headers and payload.
pub(super) const OVERHEAD: usize = PRELUDE + TRAILER;
/// The specification's limit for the headers of one message, in bytes.
pub(super) const MAX_HEADERS: usize = 128 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct Prelude {
    pub(super) total: usize,
    pub(super) headers: usize,
}

impl Prelude {
    /// Parses the prelude, if `bytes` contain all of it.
    pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Option<Self>, EventStreamError> {
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
            return Err(EventStreamError::MessageTooLarge { total, limit });
        };
        if headers_len.saturating_add(OVERHEAD) > total_len {
            return Err(EventStreamError::Lengths { total, headers });
        }
        if total_len > limit {
            return Err(EventStreamError::MessageTooLarge { total, limit });
        }
        if headers_len > MAX_HEADERS {
            return Err(EventStreamError::HeadersTooLarge { headers });
        }
        Ok(Some(Self {
            total: total_len,
            headers: headers_len,
        }))
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::event_stream::testing::{
        EMPTY, INT32, LIMIT, decode, decode_with_every_chunking, exception, forge,
    };
    use proptest::prelude::*;

    #[test]
    fn memory_grows_with_received_bytes() {
        let stream = forge(LIMIT as u32, 0, &[0; 1000]);
        let mut decoder = EventStreamDecoder::new(LIMIT);
        assert_eq!(decoder.next(&mut &stream[..]), Ok(None));
        assert!(decoder.buffer.capacity() <= 2 * stream.len());
    }

    #[test]
    fn the_limit_is_inclusive() {
        let frame = exception();
        assert_eq!(decode_with_every_chunking(frame.len(), &frame).1, None);
        let error = EventStreamError::MessageTooLarge {
            total: frame.len() as u32,
            limit: frame.len() - 1,
        };
        assert_eq!(
            decode_with_every_chunking(frame.len() - 1, &frame),
            (vec![], Some(error))
        );
    }

    #[test]
    fn a_changed_byte_is_detected() {
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
    fn an_end_inside_a_message_is_an_error() {
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

    proptest! {
        #[test]
        fn any_chunking_of_valid_checksums_gives_the_same(
            headers in 0_u32..40,
            body in prop::collection::vec(any::<u8>(), 0..60),
            chunk in 1_usize..20,
        ) {
            let stream = forge(body.len() as u32 + 16, headers, &body);
            prop_assert_eq!(decode(LIMIT, [&stream[..]]), decode(LIMIT, stream.chunks(chunk)));
        }
    }
}

#[cfg(test)]
mod prelude_tests {
    use super::*;
    use crate::codec::event_stream::testing::{LIMIT, decode_with_every_chunking, forge};

    #[test]
    fn lengths_are_checked_even_with_a_valid_checksum() {
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
            assert_eq!(
                decode_with_every_chunking(LIMIT, &stream),
                (vec![], Some(error))
            );
        }
    }
}
