use super::handed_out;
use crate::client::Escort;
use crate::{Chat, Error, Exchange, Input, Operation, Step, StreamEvent, UnifiedChatResponse};
use futures_core::Stream;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};
use unifiedai_transport::{AsyncBody, AsyncTransport, Time, TransportError};

/// Carries an exchange over an async transport. It holds no task: whoever polls it drives it, and dropping it cancels.
pub struct AsyncDriver<T: AsyncTransport, O: Operation = Chat> {
    io: T,
    /// Boxed, because a driver is moved from hand to hand and an exchange is large.
    exchange: Box<Exchange<O>>,
    waiting: Waiting<T::Body>,
    escort: Escort,
    /// The time of the last input. Not read again for each event, so that a slow reader is not taken for a slow server.
    now: Time,
}

#[expect(
    clippy::enum_variant_names,
    reason = "waiting for nothing reads better than `Nothing`"
)]
enum Waiting<B> {
    ForNothing,
    ForHead(Pin<Box<dyn Future<Output = Result<http::Response<B>, TransportError>> + Send>>),
    ForBody(B),
    ForTime(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// What is there at once came at one time. But a body that never lets wait must not outlast its deadlines.
const INPUTS_PER_TIME: u32 = 64;

impl<T: AsyncTransport, O: Operation> AsyncDriver<T, O> {
    /// A driver for an exchange that began at `now`.
    #[must_use]
    pub fn new(io: T, exchange: Exchange<O>, now: Time) -> Self {
        AsyncDriver::escorted(io, Box::new(exchange), Escort::NONE, now)
    }

    pub(crate) fn escorted(io: T, exchange: Box<Exchange<O>>, escort: Escort, now: Time) -> Self {
        AsyncDriver {
            io,
            exchange,
            waiting: Waiting::ForNothing,
            escort,
            now,
        }
    }

    /// The next event; `None` once the call is over. Dropping a future of [`next_event`](Self::next_event) loses nothing.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        if self.escort.is_waiting() {
            ready!(self.poll_admission(cx));
        }
        let mut at_once = 0;
        loop {
            match &mut self.waiting {
                Waiting::ForHead(sending) => {
                    let (waiting, input) = match ready!(sending.as_mut().poll(cx)) {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            (Waiting::ForBody(body), Input::Head(head))
                        }
                        Err(error) => (Waiting::ForNothing, Input::Failed(error)),
                    };
                    self.waiting = waiting;
                    self.handle(input, &mut at_once);
                }
                Waiting::ForTime(sleeping) => {
                    ready!(sleeping.as_mut().poll(cx));
                    self.waiting = Waiting::ForNothing;
                    self.now = self.io.now();
                    at_once = 1;
                }
                Waiting::ForNothing | Waiting::ForBody(_) => {}
            }
            match self.exchange.poll(self.now) {
                Step::Send { request, limits } => {
                    self.waiting = Waiting::ForNothing;
                    self.escort.sending(&request, self.now);
                    self.waiting = Waiting::ForHead(Box::pin(self.io.send(request, limits)));
                }
                Step::Receive { deadline } => {
                    let read = match &mut self.waiting {
                        Waiting::ForBody(body) => ready!(body.poll_chunk(cx, deadline)),
                        _ => Ok(None),
                    };
                    self.handle(read.into(), &mut at_once);
                }
                Step::Sleep { until } => {
                    self.waiting = Waiting::ForTime(Box::pin(self.io.sleep_until(until)))
                }
                Step::Event(event) => {
                    self.escort.event(&event);
                    return Poll::Ready(Some(event));
                }
                Step::Done => {
                    self.waiting = Waiting::ForNothing;
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The next event; `None` once the call is over.
    pub async fn next_event(&mut self) -> Option<StreamEvent> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Runs the call to its end.
    ///
    /// # Errors
    /// The error that ended it.
    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` would have room for the driver twice"
    )]
    pub fn finish(mut self) -> impl Future<Output = Result<O::Output, Error>> {
        async move {
            while self.next_event().await.is_some() {}
            self.into_result()
        }
    }

    fn into_result(mut self) -> Result<O::Output, Error> {
        let result = self.exchange.into_boxed_result();
        let outcome = result.as_ref().map(O::answer);
        self.escort.over(self.now, outcome);
        result
    }

    /// Waits for a place among the calls that may run, or for the end of the call's own time.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.escort.poll_admission(cx).is_pending() {
            let deadline = self.escort.deadline();
            if deadline == Time::MAX {
                return Poll::Pending;
            }
            if !matches!(self.waiting, Waiting::ForTime(_)) {
                self.waiting = Waiting::ForTime(Box::pin(self.io.sleep_until(deadline)));
            }
            if let Waiting::ForTime(sleeping) = &mut self.waiting {
                ready!(sleeping.as_mut().poll(cx));
            }
        }
        self.waiting = Waiting::ForNothing;
        self.now = self.escort.stop_waiting(self.io.now());
        Poll::Ready(())
    }

    /// The `at_once`th input of a poll.
    fn handle(&mut self, input: Input, at_once: &mut u32) {
        if *at_once % INPUTS_PER_TIME == 0 {
            self.now = self.io.now();
        }
        *at_once = at_once.wrapping_add(1);
        self.escort.input(&input, self.now);
        self.exchange.handle(input, self.now);
    }
}

impl<T: AsyncTransport, O: Operation> fmt::Debug for AsyncDriver<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDriver")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

/// The events of a streamed answer, as a [`Stream`]. After the last event it yields the error that ended the stream, if any.
#[derive(Debug)]
pub struct AsyncChatStream<T: AsyncTransport> {
    driver: Option<AsyncDriver<T>>,
    response: Option<Box<UnifiedChatResponse>>,
}

impl<T: AsyncTransport + Unpin> AsyncChatStream<T> {
    pub(crate) fn new(driver: AsyncDriver<T>) -> Self {
        AsyncChatStream {
            driver: Some(driver),
            response: None,
        }
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads to the end, and gives all of it as one response.
    ///
    /// # Errors
    /// The error that ended the stream, with what had arrived; `misuse` if the stream has yielded it already.
    pub async fn into_response(mut self) -> Result<UnifiedChatResponse, Error> {
        match self.driver.take() {
            Some(driver) => driver.finish().await,
            None => self
                .response
                .map(|response| *response)
                .ok_or_else(handed_out),
        }
    }
}

impl<T: AsyncTransport + Unpin> Stream for AsyncChatStream<T> {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(driver) = &mut self.driver else {
            return Poll::Ready(None);
        };
        if let Some(event) = ready!(driver.poll_event(cx)) {
            return Poll::Ready(Some(Ok(event)));
        }
        let result = self.driver.take().map(AsyncDriver::into_result);
        Poll::Ready(match result {
            Some(Ok(response)) => {
                self.response = Some(Box::new(response));
                None
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}
