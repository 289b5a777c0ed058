//! A streamed request body that is being sent, and what its call knows of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};
use unifiedai_transport::{
    AttemptDeadlines, BodyError, BodyPieces, Phase, RequestBody, RequestDelivery, Time,
    TransportError, TransportErrorKind, UploadProgress,
};

/// The call's view of a streamed request body. Clones share it.
#[derive(Clone)]
pub struct Upload(Arc<Shared>);

struct Shared {
    limits: AttemptDeadlines,
    now: fn() -> Time,
    state: Mutex<State>,
}

struct State {
    progress: UploadProgress,
    is_opened: bool,
    /// The call has ended: the rest of the body is not sent.
    is_abandoned: bool,
    error: Option<BodyError>,
    /// Of the task that sends the body.
    waker: Option<Waker>,
}

/// Reads a streamed request body for a connection. A clone starts it again.
pub struct UploadReader {
    body: RequestBody,
    pieces: Option<BodyPieces>,
    upload: Upload,
}

impl Upload {
    /// `None` if the body is in memory. `now` is the clock of the limits.
    #[must_use]
    pub fn of(body: &RequestBody, limits: AttemptDeadlines, now: fn() -> Time) -> Option<Self> {
        body.is_streamed().then(|| {
            Upload(Arc::new(Shared {
                limits,
                now,
                state: Mutex::new(State {
                    progress: UploadProgress::NotStarted,
                    is_opened: false,
                    is_abandoned: false,
                    error: None,
                    waker: None,
                }),
            }))
        })
    }

    /// A reader for this body.
    #[must_use]
    pub fn reader(&self, body: RequestBody) -> UploadReader {
        UploadReader {
            body,
            pieces: None,
            upload: self.clone(),
        }
    }

    /// The time by which the next piece must be taken, or the headers of the response received.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.0.limits.headers_by(self.lock().progress)
    }

    /// True if the last piece was taken.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        matches!(self.lock().progress, UploadProgress::Sent(_))
    }

    /// Ends the body, because its call has ended. True if a part of it was not sent: its connection is of no use then.
    pub fn abandon(&self) -> bool {
        let mut state = self.lock();
        if matches!(state.progress, UploadProgress::Sent(_)) {
            return false;
        }
        state.is_abandoned = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The error that ended the body, as the error of its request. `unsent` if nothing of the request was written.
    #[must_use]
    pub fn failure(&self, unsent: bool) -> Option<TransportError> {
        let delivery = match unsent {
            true => RequestDelivery::NotSent,
            false => RequestDelivery::MaybeProcessed,
        };
        let error = self.lock().error.clone();
        error.map(|error| error.into_transport_error(delivery))
    }

    /// The error of a call whose deadline has passed while a piece waited to be sent. `None` if the body was sent, or no piece
    /// of it was taken.
    #[must_use]
    pub fn timeout(&self, place: impl fmt::Display) -> Option<TransportError> {
        matches!(self.lock().progress, UploadProgress::Sending(_)).then(|| {
            TransportError::new(
                TransportErrorKind::Timeout(Phase::RequestBody),
                RequestDelivery::MaybeProcessed,
                format!("{place}: no more of the request body was sent in time"),
            )
        })
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what the reader gives to the connection.
    fn on_piece(&self, is_last: bool) {
        let now = (self.0.now)();
        self.lock().progress = match is_last {
            true => UploadProgress::Sent(now),
            false => UploadProgress::Sending(now),
        };
    }

    fn on_error(&self, error: &BodyError) {
        self.lock().error.get_or_insert_with(|| error.clone());
    }
}

impl UploadReader {
    /// The bytes that were not given yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let pieces = self.pieces.as_ref();
        pieces.map_or_else(|| self.body.len(), BodyPieces::remaining)
    }

    /// True if it can be read from its first byte on.
    #[must_use]
    pub fn can_start(&self) -> bool {
        self.body.is_repeatable() || !self.upload.lock().is_opened
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Of the source, which the call then knows too; or because the call has ended.
    pub fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<bytes::Bytes>, BodyError>> {
        {
            let mut state = self.upload.lock();
            if state.is_abandoned {
                return Poll::Ready(Err(BodyError::new("the call has ended")));
            }
            state.waker = Some(cx.waker().clone());
        }
        let read = ready!(self.read(|pieces| pieces.poll_piece(cx)));
        Poll::Ready(self.given(read))
    }

    /// As [`poll_piece`](Self::poll_piece), for a blocking transport: see [`BodyPieces::poll_blocking`].
    ///
    /// # Errors
    /// As [`poll_piece`](Self::poll_piece).
    pub fn poll_blocking(
        &mut self,
        time: std::time::Duration,
    ) -> Poll<Result<Option<bytes::Bytes>, BodyError>> {
        if self.upload.lock().is_abandoned {
            return Poll::Ready(Err(BodyError::new("the call has ended")));
        }
        let read = ready!(self.read(|pieces| pieces.poll_blocking(time)));
        Poll::Ready(self.given(read))
    }

    fn read<T>(
        &mut self,
        poll: impl FnOnce(&mut BodyPieces) -> Poll<Result<T, BodyError>>,
    ) -> Poll<Result<T, BodyError>> {
        if self.pieces.is_none() {
            self.upload.lock().is_opened = true;
            match self.body.open() {
                Ok(pieces) => self.pieces = Some(pieces),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match &mut self.pieces {
            Some(pieces) => poll(pieces),
            None => Poll::Pending,
        }
    }

    fn given(
        &self,
        read: Result<Option<bytes::Bytes>, BodyError>,
    ) -> Result<Option<bytes::Bytes>, BodyError> {
        match &read {
            Ok(_) => self.upload.on_piece(self.remaining() == 0),
            Err(error) => self.upload.on_error(error),
        }
        read
    }
}

impl Clone for UploadReader {
    fn clone(&self) -> Self {
        self.upload.reader(self.body.clone())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upload")
            .field(&self.lock().progress)
            .finish()
    }
}

impl fmt::Debug for UploadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadReader")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
