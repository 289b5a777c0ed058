//! Deadlines.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};
use unifiedai_transport::{
    Phase,
    RequestDelivery::{Answered, MaybeProcessed, NotSent},
    Time, TransportError,
    TransportErrorKind::Timeout,
};

/// A timer of a runtime. It belongs to one call.
pub trait Timer: Default + Send + Unpin + 'static {
    /// The clock of the timer.
    fn now() -> Time;

    /// Ready at `at`. Moving `at` later is free until the earlier time.
    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()>;

    /// The output of `work`, or `None` at `at`.
    fn within<T>(
        &mut self,
        at: Time,
        mut work: impl Future<Output = T> + Send + Unpin,
    ) -> impl Future<Output = Option<T>> + Send {
        poll_fn(move |cx| match Pin::new(&mut work).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx, at).map(|()| None),
        })
    }
}

/// The response's head did not come in time. `unsent` if nothing of the request was written.
pub(crate) fn header_timeout(unsent: bool, place: impl std::fmt::Display) -> TransportError {
    let delivery = if unsent { NotSent } else { MaybeProcessed };
    let message = format!("{place} sent no response in time");
    TransportError::new(Timeout(Phase::Headers), delivery, message)
}

/// The next part of the body did not come in time.
pub(crate) fn body_timeout(place: impl std::fmt::Display) -> TransportError {
    let message = format!("{place} sent no more of the response in time");
    TransportError::new(Timeout(Phase::Body), Answered, message)
}
