//! A response's body.

use crate::{
    cancel::{self, Attempt},
    deadline::{self, Stage},
    error,
    own::{self, Chunks},
};
use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use std::{
    cell::Cell,
    fmt,
    io::{self, Read},
    sync::Arc,
};
#[cfg(feature = "gzip")]
use unifiedai_http::gzip::Decoder;
use unifiedai_transport::{self as contract, FailureKind, Time, TransportError};
use ureq::BodyReader;

/// A response's body, read as it comes.
pub struct Body {
    /// Gone once it has ended.
    source: Option<Source>,
    place: Arc<str>,
    attempt: Option<Arc<Attempt>>,
    /// Where the response ends is a matter of opinion (RFC 9112, 6.3).
    is_ambiguous: bool,
    #[cfg(feature = "gzip")]
    decoder: Option<Decoder>,
}

enum Source {
    Here(BodyReader<'static>),
    /// On another thread.
    Worker(Chunks),
}

/// A chunk is copied once more. Small ones are still in the processor's nearest cache then.
const CHUNK: usize = 4 * 1024;

thread_local! {
    /// Where a thread's bodies read to. To clear a buffer for each of them takes longer than to read a short response.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Body {
    pub(crate) fn new(
        reader: BodyReader<'static>,
        headers: &HeaderMap,
        place: Arc<str>,
        attempt: Option<Arc<Attempt>>,
    ) -> Self {
        let mut body = Body::of(Source::Here(reader), place, attempt);
        let has = |name| headers.contains_key(name);
        body.is_ambiguous = has(CONTENT_LENGTH) && has(TRANSFER_ENCODING);
        body
    }

    pub(crate) fn of_worker(
        chunks: Chunks,
        place: Arc<str>,
        attempt: Option<Arc<Attempt>>,
    ) -> Self {
        Body::of(Source::Worker(chunks), place, attempt)
    }

    fn of(source: Source, place: Arc<str>, attempt: Option<Arc<Attempt>>) -> Self {
        Body {
            source: Some(source),
            place,
            attempt,
            is_ambiguous: false,
            #[cfg(feature = "gzip")]
            decoder: None,
        }
    }

    #[cfg(feature = "gzip")]
    pub(crate) fn decoded_by(mut self, decoder: Option<Decoder>) -> Self {
        self.decoder = decoder;
        self
    }

    /// So many bytes of `buffer` are filled; none at the end.
    fn read(&mut self, buffer: &mut [u8], by: Time) -> Result<usize, TransportError> {
        let Some(Source::Here(reader)) = &mut self.source else {
            return Ok(0);
        };
        let (read, stage) = cancel::within(self.attempt.as_ref(), || {
            deadline::within(Stage::Answered, by, by, || {
                if self.is_ambiguous {
                    deadline::discard();
                }
                reader.read(buffer)
            })
        });
        let cancelled = cancel::is_cancelled(self.attempt.as_ref());
        let read = match read {
            // A socket that was shut down looks like the end of a body without a length.
            Ok(0) | Err(_) if cancelled => Err(error::cancelled(stage, &self.place)),
            read => read.map_err(|failure| error::from_ureq(failure.into(), stage, &self.place)),
        };
        if matches!(read, Ok(0)) || read.as_ref().is_err_and(is_final) {
            self.source = None;
        }
        read
    }

    /// What the thread has read that reads.
    fn received(&mut self, by: Time) -> Result<Option<Bytes>, TransportError> {
        let Some(Source::Worker(chunks)) = &self.source else {
            return Ok(None);
        };
        let attempt = self.attempt.as_ref();
        let chunk = own::wait(chunks, by, Stage::Answered, attempt, &self.place);
        let chunk = chunk.and_then(|chunk| {
            let failed =
                |error: io::Error| error::from_ureq(error.into(), Stage::Answered, &self.place);
            let chunk = chunk.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
            let chunk = chunk.map_err(failed)?;
            Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
        });
        if matches!(chunk, Ok(None)) || chunk.as_ref().is_err_and(is_final) {
            self.source = None;
        }
        chunk
    }
}

/// After a timeout the body can be read on.
fn is_final(failure: &TransportError) -> bool {
    !matches!(failure.kind(), FailureKind::Timeout(_))
}

/// If all that was left is the end of the framing, the connection can be put back. It usually has arrived with the
/// last bytes, so this waits a millisecond at most; otherwise the connection is closed.
impl Drop for Body {
    fn drop(&mut self) {
        let _ = self.read(&mut [0], Time::ZERO);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl contract::Body for Body {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        #[cfg(feature = "gzip")]
        if let Some(mut decoder) = self.decoder.take() {
            let part = self.decoded(deadline, &mut decoder);
            self.decoder = Some(decoder);
            return part;
        }
        self.chunk_as_sent(deadline)
    }
}

impl Body {
    /// The next part of a compressed body.
    #[cfg(feature = "gzip")]
    fn decoded(
        &mut self,
        deadline: Time,
        decoder: &mut Decoder,
    ) -> Result<Option<Bytes>, TransportError> {
        loop {
            let part = decoder
                .pull(&self.place)
                .inspect_err(|_| self.source = None)?;
            if part.is_some() || decoder.is_ended() {
                return Ok(part);
            }
            decoder.push(self.chunk_as_sent(deadline)?);
        }
    }

    fn chunk_as_sent(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        if let Some(Source::Worker(_)) = &self.source {
            return self.received(deadline);
        }
        let mut buffer = BUFFER.take();
        buffer.resize(CHUNK, 0);
        let read = self.read(&mut buffer, deadline).map(|size| {
            let read = buffer.get(..size).filter(|read| !read.is_empty());
            read.map(Bytes::copy_from_slice)
        });
        BUFFER.set(buffer);
        read
    }
}
