//! The body of a request as hyper reads it.

use super::tcp::SocketState;
use crate::upload::{Upload, UploadReader};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};
use unifiedai_transport::{BodyError, RequestBody};

/// In memory, or read piece by piece. A clone starts it again.
#[derive(Clone)]
pub(crate) enum SendBody {
    Bytes(Bytes),
    Streamed(Streamed),
}

#[derive(Clone)]
pub(crate) struct Streamed {
    reader: UploadReader,
    /// Of the HTTP/1.1 connection.
    socket: Option<Arc<SocketState>>,
    /// Pieces since the connection was last let read.
    at_once: u32,
}

/// hyper writes as long as there is something to write. After so many pieces the body lets it look for a response.
const MAX_AT_ONCE: u32 = 8;

impl SendBody {
    /// `upload` is there if the body is streamed.
    pub(crate) fn new(body: RequestBody, upload: Option<&Upload>) -> Self {
        match upload {
            Some(upload) => SendBody::Streamed(Streamed {
                reader: upload.reader(body),
                socket: None,
                at_once: 0,
            }),
            None => SendBody::Bytes(body.as_bytes().cloned().unwrap_or_default()),
        }
    }

    /// The body goes out over this HTTP/1.1 connection.
    pub(crate) fn goes_over(&mut self, socket: &Arc<SocketState>) {
        if let SendBody::Streamed(streamed) = self {
            streamed.socket = Some(Arc::clone(socket));
        }
    }

    /// True if it can be sent from its first byte on.
    pub(crate) fn can_start(&self) -> bool {
        match self {
            SendBody::Bytes(_) => true,
            SendBody::Streamed(streamed) => streamed.reader.can_start(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let failed = |socket: &Arc<SocketState>| socket.write_failed.load(Relaxed);
        if self.socket.as_ref().is_some_and(failed) {
            // The server takes no more. What is left is to read its response, and that wakes the task.
            return Poll::Pending;
        }
        if self.at_once >= MAX_AT_ONCE {
            self.at_once = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.reader).poll_frame(cx);
        self.at_once = match polled {
            Poll::Ready(_) => self.at_once.saturating_add(1),
            Poll::Pending => 0,
        };
        polled
    }
}

impl Body for UploadReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = self.poll_piece(cx);
        read.map(|read| read.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            SendBody::Bytes(bytes) => {
                let all = std::mem::take(bytes);
                Poll::Ready((!all.is_empty()).then(|| Ok(Frame::data(all))))
            }
            SendBody::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            SendBody::Bytes(bytes) => bytes.is_empty(),
            SendBody::Streamed(streamed) => streamed.reader.remaining() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            SendBody::Bytes(bytes) => bytes.len() as u64,
            SendBody::Streamed(streamed) => streamed.reader.remaining(),
        })
    }
}
