//! A response's body.

use crate::{
    caller_agent::Chunks,
    timeout::{Call, Stage},
};
use bytes::Bytes;
use http::HeaderMap;
use std::{
    fmt,
    io::{self, Read},
};
#[cfg(feature = "gzip")]
use unifiedai_http::gzip::Decoder;
use unifiedai_http::{headers::keeps_connection, target::Target};
use unifiedai_transport::{
    self as contract, CancelHandle, Time, TransportError, TransportErrorKind,
};
use ureq::BodyReader;

/// The body of a response.
pub struct Body {
    /// Gone once it has ended.
    source: Option<Source>,
    target: Target,
    cancel: Option<CancelHandle>,
    /// The connection may serve another call once the body has ended.
    keeps: bool,
    #[cfg(feature = "gzip")]
    decoder: Option<Decoder>,
}

pub(crate) enum Source {
    Here(BodyReader<'static>),
    /// On another thread.
    Worker(Chunks),
}

/// The most that is read at a time.
pub(crate) const CHUNK: usize = 4 * 1024;

impl Body {
    /// With the headers of the response, which are those of the decoded body afterwards. `from_proxy` as in [`keeps_connection`].
    pub(crate) fn new(
        source: Source,
        headers: &mut HeaderMap,
        from_proxy: bool,
        target: Target,
        cancel: Option<CancelHandle>,
    ) -> Self {
        Body {
            source: Some(source),
            target,
            cancel,
            keeps: keeps_connection(headers, from_proxy),
            #[cfg(feature = "gzip")]
            decoder: Decoder::of(headers),
        }
    }

    /// So many bytes of `buffer` are filled; none at the end.
    fn read(&mut self, buffer: &mut [u8], by: Time) -> Result<usize, TransportError> {
        let Some(source) = &mut self.source else {
            return Ok(0);
        };
        let call = Call {
            stage: Stage::Answered,
            connect_by: by,
            by,
            keeps: self.keeps,
            cancel: self.cancel.clone(),
            upload: None,
            write_failed: false,
        };
        let read = call.run(&self.target, || Ok(source.read(buffer)?));
        // After a timeout the body can be read on.
        let is_over = match &read {
            Ok(size) => *size == 0,
            Err(failure) => !matches!(failure.kind(), TransportErrorKind::Timeout(_)),
        };
        if is_over {
            self.source = None;
        }
        read
    }

    fn chunk_as_sent(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        let mut buffer = [0; CHUNK];
        let size = self.read(&mut buffer, deadline)?;
        let read = buffer.get(..size).filter(|read| !read.is_empty());
        Ok(read.map(Bytes::copy_from_slice))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Here(reader) => reader.read(buffer),
            Source::Worker(chunks) => chunks.read(buffer),
        }
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

impl contract::ResponseBody for Body {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        #[cfg(feature = "gzip")]
        while let Some(decoder) = &mut self.decoder {
            let part = decoder.pull(&self.target);
            let part = part.inspect_err(|_| self.source = None)?;
            if part.is_some() || decoder.is_ended() {
                return Ok(part);
            }
            let chunk = self.chunk_as_sent(deadline)?;
            if let Some(decoder) = &mut self.decoder {
                decoder.push(chunk);
            }
        }
        self.chunk_as_sent(deadline)
    }
}
