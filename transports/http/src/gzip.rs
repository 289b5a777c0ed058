//! Decodes responses that are compressed although `identity` was requested, as some proxies do.

use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header};
use std::{
    fmt,
    io::{self, BufRead, Read},
};
use unifiedai_transport::{
    RequestDelivery::Answered,
    TransportError,
    TransportErrorKind::{Protocol, Truncated},
};

/// Decodes a body incrementally. The size of an output chunk is bounded, whatever the compression ratio.
pub struct Decoder {
    inflate: MultiGzDecoder<Input>,
    is_ended: bool,
}

/// The largest part of a body that is decoded at a time.
const MAX_CHUNK: usize = 16 * 1024;

impl Decoder {
    /// Creates a decoder if the headers declare gzip. Changes the headers to describe the decoded body.
    #[must_use]
    pub fn of(headers: &mut HeaderMap) -> Option<Self> {
        let encoding = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?.trim();
        if !encoding.eq_ignore_ascii_case("gzip") && !encoding.eq_ignore_ascii_case("x-gzip") {
            return None;
        }
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        Some(Decoder {
            inflate: MultiGzDecoder::new(Input::default()),
            is_ended: false,
        })
    }

    /// Takes the next chunk, or the end. Call it when [`pull`](Self::pull) returns no more.
    pub fn push(&mut self, chunk: Option<Bytes>) {
        *self.inflate.get_mut() = match chunk {
            Some(chunk) => Input {
                chunk,
                is_ended: false,
            },
            None => Input {
                chunk: Bytes::new(),
                is_ended: true,
            },
        };
    }

    /// True after everything was decoded.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The next decoded chunk. `place` is host and port.
    ///
    /// # Errors
    /// `Truncated` if the compressed data ends early, `Protocol` if it is not gzip.
    pub fn pull(&mut self, place: impl fmt::Display) -> Result<Option<Bytes>, TransportError> {
        let mut part = vec![0; MAX_CHUNK];
        match self.inflate.read(&mut part) {
            Ok(0) => {
                self.is_ended = true;
                Ok(None)
            }
            Ok(count) => {
                part.truncate(count);
                Ok(Some(part.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let message =
                    format!("{place}: the response ended before the end of its gzip data");
                Err(TransportError::new(Truncated, Answered, message))
            }
            Err(error) => {
                let message = format!("{place}: the response's body is not gzip: {error}");
                Err(TransportError::new(Protocol, Answered, message))
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Input {
    chunk: Bytes,
    is_ended: bool,
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() && !self.is_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, count: usize) {
        self.chunk.advance(count);
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}
