//! The prelude of a message: its lengths and their checksum.

use super::error::EventStreamError;

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
