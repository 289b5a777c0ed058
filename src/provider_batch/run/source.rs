//! The lines of a part, encoded again while they are sent.

use super::{line_id, state::Part};
use crate::{ChatRequest, Error, provider::Provider};
use bytes::Bytes;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};
use unifiedai_transport::{BodySource, PollPieces, RequestBody};

/// Requests in the order of their lines; `None` for a line without a request.
pub type RequestIter = Box<dyn Iterator<Item = io::Result<Option<ChatRequest>>> + Send>;

/// The requests of a run, which can be read again from any line: see [`BatchRun::with_source`](super::BatchRun::with_source).
///
/// A function from a line, counted from zero, to the requests from there on is a source.
pub trait RequestSource: Send + Sync {
    /// The requests from this line on. They must be those that the run was given before.
    ///
    /// # Errors
    /// If the input cannot be opened. The upload then fails and is repeated later.
    fn open(&self, line: u64) -> io::Result<RequestIter>;
}

impl<F: Fn(u64) -> io::Result<RequestIter> + Send + Sync> RequestSource for F {
    fn open(&self, line: u64) -> io::Result<RequestIter> {
        self(line)
    }
}

/// The file of a part.
pub(super) struct PartFile {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) run_id: String,
    pub(super) source: Arc<dyn RequestSource>,
    pub(super) part: Part,
}

struct PartLines {
    provider: Arc<dyn Provider>,
    run_id: String,
    part: Part,
    requests: RequestIter,
    next: u64,
}

/// The least size of a piece.
const PIECE: usize = 64 * 1024;

impl PartFile {
    /// A body of so many bytes.
    pub(super) fn into_body(self, length: u64) -> RequestBody {
        RequestBody::from_source(length, self)
    }
}

impl BodySource for PartFile {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(PartLines {
            provider: self.provider.clone(),
            run_id: self.run_id.clone(),
            part: self.part.clone(),
            requests: self.source.open(self.part.first)?,
            next: self.part.first,
        }))
    }
}

impl PartLines {
    /// Adds the next line; `false` after the last one.
    fn add_line(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        if self.next >= self.part.end {
            return Ok(false);
        }
        let line = self.next;
        self.next = line.saturating_add(1);
        let Some(request) = self.requests.next().transpose()? else {
            return Ok(false);
        };
        let (Some(request), true) = (request, self.part.has(line)) else {
            return Ok(true);
        };
        let id = line_id(&self.run_id, line);
        let encoded = self.provider.batch_api();
        let encoded = encoded.map(|api| api.encode_line(&id, &request));
        let encoded = encoded.transpose().map_err(|error| refused(line, &error))?;
        piece.extend_from_slice(&encoded.unwrap_or_default());
        piece.push(b'\n');
        Ok(true)
    }
}

fn refused(line: u64, error: &Error) -> io::Error {
    io::Error::other(format!(
        "line {line} is not the one that was read before: {error}"
    ))
}

impl PollPieces for PartLines {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            match self.add_line(&mut piece) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok((!piece.is_empty()).then(|| piece.into())))
    }
}
