//! Sources of request bodies: readers, and several bodies in a row.

use super::{BodyPieces, BodySource, PollPieces, RequestBody};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// The size of a piece that is read.
const PIECE: usize = 64 * 1024;

/// Bodies in memory up to this size are joined.
const JOINED: u64 = 64 * 1024;

/// Opens a reader for each time that the request is sent.
pub(super) struct Readers<F>(pub(super) F);

/// A reader that can be used once.
pub(super) struct Once(Mutex<Option<Box<dyn Read + Send>>>);

/// Several bodies in a row.
struct Chain(Vec<RequestBody>);

struct Pieces<R>(R);

struct ChainPieces {
    current: Option<BodyPieces>,
    rest: VecDeque<RequestBody>,
}

pub(super) fn concat(mut parts: Vec<RequestBody>) -> RequestBody {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let lengths = parts.iter().map(RequestBody::len);
    let length = lengths.fold(0, u64::saturating_add);
    let bytes: Option<Vec<&Bytes>> = parts.iter().map(RequestBody::as_bytes).collect();
    if let Some(bytes) = bytes.filter(|_| length <= JOINED) {
        let slices: Vec<&[u8]> = bytes.into_iter().map(|bytes| &**bytes).collect();
        return slices.concat().into();
    }
    RequestBody::from_source(length, Chain(parts))
}

impl<F, R> BodySource for Readers<F>
where
    F: Fn() -> io::Result<R> + Send + Sync,
    R: Read + Send + 'static,
{
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(Pieces((self.0)()?)))
    }
}

impl Once {
    pub(super) fn new(reader: impl Read + Send + 'static) -> Self {
        Once(Mutex::new(Some(Box::new(reader))))
    }
}

impl BodySource for Once {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match reader.take() {
            Some(reader) => Ok(Box::new(Pieces(reader))),
            None => Err(io::Error::other("it can be read only once")),
        }
    }

    fn is_repeatable(&self) -> bool {
        false
    }
}

impl<R: Read + Send> PollPieces for Pieces<R> {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return Poll::Ready(Ok(None)),
                Ok(size) => {
                    piece.truncate(size);
                    return Poll::Ready(Ok(Some(piece.into())));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl BodySource for Chain {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(ChainPieces {
            current: None,
            rest: self.0.iter().cloned().collect(),
        }))
    }

    fn is_repeatable(&self) -> bool {
        self.0.iter().all(RequestBody::is_repeatable)
    }
}

impl PollPieces for ChainPieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if let Some(current) = &mut self.current {
                let piece = ready!(current.poll_piece(cx)).map_err(io::Error::other)?;
                if piece.is_some() {
                    return Poll::Ready(Ok(piece));
                }
            }
            match self.rest.pop_front() {
                Some(next) => self.current = Some(next.open().map_err(io::Error::other)?),
                None => return Poll::Ready(Ok(None)),
            }
        }
    }
}
