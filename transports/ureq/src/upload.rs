//! A streamed request body as ureq reads it.

use crate::timeout;
use bytes::{Buf as _, Bytes};
use std::{
    io::{self, Read},
    task::Poll,
    time::Duration,
};
use unifiedai_http::upload::UploadReader;

/// How often a call that waits for its body is asked whether it was cancelled.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Uploading {
    reader: UploadReader,
    /// Of the last piece.
    rest: Bytes,
    /// What ureq still expects.
    left: u64,
}

impl Uploading {
    pub(crate) fn new(reader: UploadReader) -> Self {
        Uploading {
            left: reader.remaining(),
            rest: Bytes::new(),
            reader,
        }
    }

    fn next(&mut self) -> io::Result<Bytes> {
        loop {
            let wait = timeout::wait()?.unwrap_or(CHECK_INTERVAL);
            match self.reader.poll_blocking(wait.min(CHECK_INTERVAL)) {
                Poll::Ready(Ok(piece)) => return Ok(piece.unwrap_or_default()),
                Poll::Ready(Err(error)) => return Err(io::Error::other(error)),
                Poll::Pending => {}
            }
        }
    }
}

impl Read for Uploading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut size = room;
        // If the server takes no more, nothing is written, and ureq goes on to the response once it has counted the body.
        if !timeout::call(|call| call.write_failed) {
            if self.rest.is_empty() {
                self.rest = self.next()?;
            }
            size = self.rest.len().min(room);
            if let Some(into) = buffer.get_mut(..size) {
                self.rest.copy_to_slice(into);
            }
        }
        self.left = self.left.saturating_sub(size as u64);
        Ok(size)
    }
}
