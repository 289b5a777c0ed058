//! A streamed request body as a stream of reqwest's, and what its call knows of it.

use bytes::Bytes;
use futures_core::Stream;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};
use unifiedai::transport::{
    BodyError, BodyPieces, RequestBody, RequestDelivery, Time, TransportError, UploadProgress,
};

#[derive(Clone)]
pub(crate) struct Upload {
    start: Instant,
    state: Arc<Mutex<(UploadProgress, Option<BodyError>)>>,
}

/// reqwest sends the body when it is polled, so that the source is opened then.
struct Pieces {
    body: RequestBody,
    opened: Option<BodyPieces>,
    upload: Upload,
}

impl Upload {
    pub(crate) fn new(start: Instant) -> Self {
        let state = Arc::new(Mutex::new((UploadProgress::NotStarted, None)));
        Upload { start, state }
    }

    /// reqwest's form of a body.
    pub(crate) fn body(&self, body: RequestBody) -> reqwest::Body {
        match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap_stream(Pieces {
                body,
                opened: None,
                upload: self.clone(),
            }),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.start.elapsed())
    }

    pub(crate) fn progress(&self) -> UploadProgress {
        self.with(|(progress, _)| *progress)
    }

    /// Why the body ended early, if it did.
    pub(crate) fn failure(&self) -> Option<TransportError> {
        let error = self.with(|(_, error)| error.clone())?;
        Some(error.into_transport_error(RequestDelivery::MaybeProcessed))
    }

    fn with<T>(&self, f: impl FnOnce(&mut (UploadProgress, Option<BodyError>)) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pieces {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            None => self.opened.insert(self.body.open()?),
        };
        opened.poll_piece(cx)
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll(cx);
        let now = self.upload.now();
        let is_sent = self
            .opened
            .as_ref()
            .is_some_and(|body| body.remaining() == 0);
        self.upload.with(|state| match &polled {
            Poll::Ready(Ok(_)) if is_sent => state.0 = UploadProgress::Sent(now),
            Poll::Ready(Ok(_)) => state.0 = UploadProgress::Sending(now),
            Poll::Ready(Err(error)) => state.1 = Some(error.clone()),
            Poll::Pending => {}
        });
        polled.map(Result::transpose)
    }
}
