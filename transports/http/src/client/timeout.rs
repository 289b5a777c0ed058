//! Deadlines.

use super::Runtime;
use crate::clock;
use hyper::rt::{Sleep, Timer as _};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};
use unifiedai_transport::{
    Phase,
    RequestDelivery::{Answered, MaybeProcessed, NotSent},
    Time, TransportError,
    TransportErrorKind::Timeout,
};

/// A timer of the current runtime, once one is needed. It belongs to one call.
pub(crate) struct Timer<R: Runtime>(Option<Alarm<R::Id>>);

struct Alarm<Id> {
    /// It fires only while this runtime runs, and may panic once that has ended.
    runtime: Id,
    due: Instant,
    sleep: Pin<Box<dyn Sleep>>,
}

impl<R: Runtime> Timer<R> {
    pub(crate) fn new() -> Self {
        Timer(None)
    }

    /// The clock that it goes by: over tokio one that a test can pause.
    pub(crate) fn now() -> Time {
        clock::time_of(R::timer().now())
    }

    /// Ready once `at` has come; outside a runtime at once. Moving `at` later costs nothing until the old point has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // A point that no instant can represent never comes.
        let Some(due) = clock::instant_of(at) else {
            return Poll::Pending;
        };
        let Some(runtime) = R::id() else {
            return Poll::Ready(());
        };
        self.0.take_if(|alarm| alarm.runtime != runtime);
        loop {
            let alarm = self.0.get_or_insert_with(|| Alarm {
                runtime,
                due,
                sleep: R::timer().sleep_until(due),
            });
            if alarm.due > due {
                R::timer().reset(&mut alarm.sleep, due);
                alarm.due = due;
            }
            ready!(alarm.sleep.as_mut().poll(cx));
            let fired = alarm.due;
            self.0 = None;
            if fired >= due {
                return Poll::Ready(());
            }
        }
    }

    /// The output of `work`, or `None` once `at` has come, which may move to a later time.
    pub(crate) async fn within<T>(
        &mut self,
        at: impl Fn() -> Time + Send,
        mut work: impl Future<Output = T> + Send + Unpin,
    ) -> Option<T> {
        let polled = poll_fn(|cx| match Pin::new(&mut work).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx, at()).map(|()| None),
        });
        polled.await
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
