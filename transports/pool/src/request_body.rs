use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// A request's body, all of which is there. It is small, because hyper keeps room for 32 requests for each connection.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Bytes>>);

impl RequestBody {
    pub(crate) fn new(bytes: Bytes) -> Self {
        RequestBody((!bytes.is_empty()).then(|| Box::new(bytes)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(*bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let size = self.0.as_ref().map_or(0, |bytes| bytes.len());
        SizeHint::with_exact(u64::try_from(size).unwrap_or(u64::MAX))
    }
}
