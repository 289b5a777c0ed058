use crate::{RequestDelivery, TransportError, TransportErrorKind};
use bytes::Bytes;
use std::{
    error::Error,
    fmt, io,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

mod sources;

/// The body of a request: bytes in memory, or a source that gives it piece by piece. Clones share the bytes and the source.
///
/// The length is known in both cases and is sent as `content-length`. A transport takes bytes with
/// [`as_bytes`](Self::as_bytes), and everything else with [`open`](Self::open).
#[derive(Clone)]
pub struct RequestBody(Kind);

#[derive(Clone)]
enum Kind {
    Bytes(Bytes),
    Streamed {
        length: u64,
        source: Arc<dyn BodySource>,
    },
}

/// Where a streamed request body comes from: a file, a generator, another service.
///
/// A request may be sent several times: a retry opens the source again.
pub trait BodySource: Send + Sync {
    /// Starts the body at its first byte.
    ///
    /// # Errors
    /// Any error ends the call: it is not retried.
    fn open(&self) -> io::Result<Box<dyn PollPieces>>;

    /// False if the body can be read only once. Such a request is never sent again.
    fn is_repeatable(&self) -> bool {
        true
    }
}

/// A streamed request body that is being read.
pub trait PollPieces: Send {
    /// The next piece, `None` at the end. An empty piece is skipped. Pieces of 16 to 256 KiB are a good size: a transport
    /// keeps one or two in memory.
    ///
    /// Over a blocking transport the waker wakes the thread of the call. A short blocking read, such as from a local file, is
    /// acceptable here.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;
}

/// A request body that is being sent. It gives exactly as many bytes as its length announces, or an error: the last piece is
/// withheld until the source has ended, so that a body of the wrong length is never complete.
pub struct BodyPieces {
    length: u64,
    given: u64,
    reader: Reader,
    /// Read from the source, and not yet given.
    held: Option<Bytes>,
    failed: bool,
}

enum Reader {
    Bytes(Bytes),
    Streamed(Box<dyn PollPieces>),
}

/// The source of a request body failed, or gave another number of bytes than announced. Cloneable, because a body and its
/// call may be in different tasks.
#[derive(Clone, Debug)]
pub struct BodyError {
    message: Box<str>,
    source: Option<Arc<io::Error>>,
}

impl RequestBody {
    /// A body of `length` bytes from a source.
    #[must_use]
    pub fn from_source(length: u64, source: impl BodySource + 'static) -> Self {
        RequestBody(Kind::Streamed {
            length,
            source: Arc::new(source),
        })
    }

    /// A body of `length` bytes from a reader, such as a file. `open` is called for each time that the request is sent.
    ///
    /// Reads block. On an async runtime that is acceptable for a local file; for anything slower implement [`BodySource`].
    ///
    /// ```no_run
    /// # use unifiedai_transport::RequestBody;
    /// let length = std::fs::metadata("requests.jsonl")?.len();
    /// let body = RequestBody::from_reader(length, || std::fs::File::open("requests.jsonl"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn from_reader<R: io::Read + Send + 'static>(
        length: u64,
        open: impl Fn() -> io::Result<R> + Send + Sync + 'static,
    ) -> Self {
        RequestBody::from_source(length, sources::Readers(open))
    }

    /// As [`from_reader`](Self::from_reader), but for a reader that cannot be opened again. The request is sent once: it is not
    /// retried.
    #[must_use]
    pub fn from_reader_once(length: u64, reader: impl io::Read + Send + 'static) -> Self {
        RequestBody::from_source(length, sources::Once::new(reader))
    }

    /// One body after the other. Parts in memory are joined if they are small together.
    #[must_use]
    pub fn concat(parts: impl IntoIterator<Item = RequestBody>) -> Self {
        sources::concat(parts.into_iter().collect())
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::Streamed { length, .. } => *length,
        }
    }

    /// Whether the length is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; `None` if they come from a source.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Streamed { .. } => None,
        }
    }

    /// Whether the bytes come from a source.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self.0, Kind::Streamed { .. })
    }

    /// Whether the body can be sent more than once.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match &self.0 {
            Kind::Bytes(_) => true,
            Kind::Streamed { source, .. } => source.is_repeatable(),
        }
    }

    /// Starts the body at its first byte.
    ///
    /// # Errors
    /// If the source cannot be opened.
    pub fn open(&self) -> Result<BodyPieces, BodyError> {
        let (length, reader) = match &self.0 {
            Kind::Bytes(bytes) => (bytes.len() as u64, Reader::Bytes(bytes.clone())),
            Kind::Streamed { length, source } => {
                let opened = source.open();
                let reader = opened.map_err(|error| BodyError::source(error, 0, *length))?;
                (*length, Reader::Streamed(reader))
            }
        };
        Ok(BodyPieces {
            length,
            given: 0,
            reader,
            held: None,
            failed: false,
        })
    }

    /// The whole body in memory, for tests and for transports of small bodies. Waits on this thread.
    ///
    /// # Errors
    /// If the source fails, gives another number of bytes than announced, or announces more than `limit`.
    pub fn collect(&self, limit: usize) -> Result<Bytes, BodyError> {
        if let Some(bytes) = self.as_bytes() {
            return Ok(bytes.clone());
        }
        if self.len() > limit as u64 {
            let length = self.len();
            return Err(BodyError::new(format!(
                "the request body has {length} bytes; at most {limit} are kept in memory"
            )));
        }
        let mut pieces = self.open()?;
        let mut all = Vec::new();
        loop {
            match pieces.poll_blocking(Duration::MAX) {
                Poll::Ready(Ok(Some(piece))) => all.extend_from_slice(&piece),
                Poll::Ready(Ok(None)) => return Ok(all.into()),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
    }
}

impl BodyPieces {
    /// The bytes that were not given yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.given)
    }

    /// The next piece, which is not empty; `None` at the end.
    ///
    /// # Errors
    /// If the source fails, or gives another number of bytes than announced.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let reader = match &mut self.reader {
            Reader::Bytes(bytes) => {
                self.given = self.length;
                let piece = std::mem::take(bytes);
                return Poll::Ready(Ok(Some(piece).filter(|piece| !piece.is_empty())));
            }
            Reader::Streamed(reader) => reader,
        };
        if self.failed {
            let message = "the request body failed before";
            return Poll::Ready(Err(BodyError::new(message)));
        }
        loop {
            let left = self.length.saturating_sub(self.given);
            if let Some(held) = self.held.take_if(|held| (held.len() as u64) < left) {
                self.given = self.given.saturating_add(held.len() as u64);
                return Poll::Ready(Ok(Some(held)));
            }
            let polled = match reader.poll_piece(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(polled) => polled,
            };
            let read = self
                .given
                .saturating_add(self.held.as_ref().map_or(0, Bytes::len) as u64);
            let problem = match polled {
                Ok(Some(piece)) if piece.is_empty() => continue,
                Ok(Some(piece)) if piece.len() as u64 <= self.length.saturating_sub(read) => {
                    self.held = Some(piece);
                    continue;
                }
                Ok(Some(_)) => BodyError::new(format!(
                    "the source of the request body gave more than the announced {} bytes",
                    self.length
                )),
                Ok(None) if read == self.length => {
                    self.given = self.length;
                    return Poll::Ready(Ok(self.held.take()));
                }
                Ok(None) => BodyError::new(format!(
                    "the source of the request body ended after {read} of the announced {} bytes",
                    self.length
                )),
                Err(error) => BodyError::source(error, read, self.length),
            };
            self.failed = true;
            return Poll::Ready(Err(problem));
        }
    }

    /// As [`poll_piece`](Self::poll_piece), for a blocking transport: waits on this thread until the source continues, at most
    /// for `time`. It may return `Pending` earlier.
    ///
    /// # Errors
    /// As [`poll_piece`](Self::poll_piece).
    pub fn poll_blocking(&mut self, time: Duration) -> Poll<Result<Option<Bytes>, BodyError>> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        let first = self.poll_piece(&mut cx);
        if first.is_ready() || time.is_zero() {
            return first;
        }
        thread::park_timeout(time);
        self.poll_piece(&mut cx)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl BodyError {
    /// An error with a short description, without secrets.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        BodyError {
            message: message.into().into(),
            source: None,
        }
    }

    fn source(error: io::Error, read: u64, length: u64) -> Self {
        BodyError {
            message: format!(
                "the source of the request body failed after {read} of {length} bytes: {error}"
            )
            .into(),
            source: Some(Arc::new(error)),
        }
    }

    /// The error of the request: of kind [`RequestBody`](TransportErrorKind::RequestBody), with the source's own words.
    #[must_use]
    pub fn into_transport_error(self, delivery: RequestDelivery) -> TransportError {
        let message = self.message.to_string();
        TransportError::new(TransportErrorKind::RequestBody, delivery, message).with_source(self)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        RequestBody(Kind::Bytes(Bytes::new()))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.fmt(f),
            Kind::Streamed { length, .. } => write!(f, "RequestBody({length} bytes, streamed)"),
        }
    }
}

/// Bytes are compared; sources are equal if they are the same one.
impl PartialEq for RequestBody {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Bytes(one), Kind::Bytes(other)) => one == other,
            (
                Kind::Streamed { length, source },
                Kind::Streamed {
                    length: length2,
                    source: source2,
                },
            ) => length == length2 && Arc::ptr_eq(source, source2),
            _ => false,
        }
    }
}

impl Eq for RequestBody {}

impl fmt::Debug for BodyPieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyPieces")
            .field("length", &self.length)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

macro_rules! from_bytes {
    ($($bytes:ty)*) => {$(
        impl From<$bytes> for RequestBody {
            fn from(bytes: $bytes) -> Self {
                RequestBody(Kind::Bytes(bytes.into()))
            }
        }
    )*};
}

from_bytes!(Bytes Vec<u8> String &'static str &'static [u8]);

#[cfg(test)]
mod tests;
