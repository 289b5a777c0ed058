//! Collects the lines of the headers or the trailers, up to the blank line.

use super::error::{Http1Error, header_error};
use crate::codec::buffer;
use memchr::memchr;

/// Lines up to a blank one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// The start of the current line.
    line: usize,
    /// The total size of the interim responses so far.
    discarded: usize,
}

impl Lines {
    /// Takes bytes off the front of `input` up to the blank line; returns whether it was found.
    pub(super) fn take(&mut self, input: &mut &[u8], limit: usize) -> Result<bool, Http1Error> {
        let room = limit.saturating_sub(self.discarded);
        while !input.is_empty() {
            let end = memchr(b'\n', input);
            let len = end.map_or(input.len(), |at| at.saturating_add(1));
            let Some((taken, rest)) = input.split_at_checked(len) else {
                return Ok(false);
            };
            if self.bytes.len().saturating_add(len) > room {
                return Err(Http1Error::HeadersTooLarge { limit });
            }
            buffer::append(&mut self.bytes, taken, room);
            *input = rest;
            if end.is_none() {
                return Ok(false);
            }
            match self.bytes.get(self.line..) {
                Some(b"\r\n") => return Ok(true),
                Some([.., b'\r', b'\n']) => self.line = self.bytes.len(),
                _ => return Err(header_error("a line ends without a CR")),
            }
        }
        Ok(false)
    }

    /// Nothing may precede a status line, not even the empty lines that the parser would skip.
    pub(super) fn check_start(&self, input: &[u8]) -> Result<(), Http1Error> {
        match self
            .bytes
            .iter()
            .chain(input)
            .zip(b"HTTP/1.")
            .all(|(byte, expected)| byte == expected)
        {
            true => Ok(()),
            false => Err(Http1Error::NotHttp),
        }
    }

    pub(super) fn compact(&mut self) {
        let discarded = self.discarded.saturating_add(self.bytes.len());
        *self = Lines {
            discarded,
            ..Lines::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::{
        decoder::MAX_HEADER_BYTES,
        testing::{decode, decode_with_every_chunking},
    };
    use http::Method;

    #[test]
    fn header_and_trailer_sizes_are_limited() {
        let too_large = Some(Http1Error::HeadersTooLarge { limit: 100 });
        let with = |len: usize| {
            let start = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: ";
            format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
        };
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, with(100).as_bytes()).error,
            None
        );
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, with(101).as_bytes()).error,
            too_large
        );
        for (len, error) in [
            (65_536, None),
            (65_537, Some(Http1Error::HeadersTooLarge { limit: 65_536 })),
        ] {
            let head = with(len);
            assert_eq!(
                decode(&Method::GET, MAX_HEADER_BYTES, [head.as_bytes()]).error,
                error
            );
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, endless.as_bytes()).error,
            too_large
        );
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, interim.as_bytes()).error,
            too_large
        );

        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let trailers = format!("{chunked}0\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, trailers.as_bytes()).error,
            too_large
        );
    }
}
