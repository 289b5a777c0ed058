//! A response's body.

use crate::{
    cancel::{self, Attempt},
    deadline::{self, Stage},
    error,
};
use bytes::Bytes;
use std::{cell::Cell, fmt, io::Read, sync::Arc};
#[cfg(feature = "gzip")]
use unifiedai_http::gzip::Decoder;
use unifiedai_transport::{self as contract, FailureKind, Time, TransportError};
use ureq::BodyReader;

/// A response's body, read as it comes.
pub struct Body {
    /// Gone once it has ended.
    reader: Option<BodyReader<'static>>,
    place: Arc<str>,
    attempt: Option<Arc<Attempt>>,
    #[cfg(feature = "gzip")]
    decoder: Option<Decoder>,
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
        place: Arc<str>,
        attempt: Option<Arc<Attempt>>,
    ) -> Self {
        Body {
            reader: Some(reader),
            place,
            attempt,
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
        let Some(reader) = &mut self.reader else {
            return Ok(0);
        };
        let (read, stage) = cancel::within(self.attempt.as_ref(), || {
            deadline::within(Stage::Answered, by, by, || reader.read(buffer))
        });
        let cancelled = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.is_cancelled());
        let read = match read {
            // A socket that was shut down looks like the end of a body without a length.
            Ok(0) | Err(_) if cancelled => Err(error::cancelled(stage, &self.place)),
            read => read.map_err(|failure| error::from_ureq(failure.into(), stage, &self.place)),
        };
        match &read {
            Ok(0) => self.reader = None,
            Err(failure) if !matches!(failure.kind(), FailureKind::Timeout(_)) => {
                self.reader = None;
            }
            _ => {}
        }
        read
    }
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
                .inspect_err(|_| self.reader = None)?;
            if part.is_some() || decoder.is_ended() {
                return Ok(part);
            }
            decoder.push(self.chunk_as_sent(deadline)?);
        }
    }

    fn chunk_as_sent(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
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
