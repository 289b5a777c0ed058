use super::{no_result, supply::SupplyRun};
use crate::client::CallContext;
use crate::{
    Error, StreamEvent, UnifiedChatResponse,
    chat::Continuation,
    sans_io::{Chat, Exchange, Input, Operation, Step},
};
use futures_core::Stream;
use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, BoxedAsyncTransport, Time, TransportError,
};

/// Runs an exchange over an async transport, in the task that polls it. Dropping it cancels the call.
pub struct AsyncDriver<T: AsyncTransport, O: Operation = Chat> {
    // Fields are dropped in this order: the permit in the exchange must be released last.
    waiting: WaitState<T::Body>,
    context: CallContext,
    /// Boxed, because drivers are moved often and an exchange is large.
    exchange: Box<Exchange<O>>,
    io: T,
    /// Inputs since it last yielded to the executor.
    inputs_since_yield: u32,
    /// The time of the last input. The clock is not read again for each event.
    now: Time,
    /// Whether events were returned since the last input, so that a slow reader is not mistaken for a slow server.
    has_emitted: bool,
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

enum WaitState<B> {
    Idle,
    Headers(Pin<Box<dyn Future<Output = Result<http::Response<B>, TransportError>> + Send>>),
    Body(B),
    /// For a time or for a permit. There is no timer if only the end of another call ends the wait.
    Timer {
        until: Time,
        timer: Option<Timer>,
    },
    /// Runs a file operation or a process, until its time limit.
    Supply(SupplyRun, Option<Timer>),
}

/// After this many inputs the driver yields to the executor.
const MAX_INPUTS_PER_POLL: u32 = 64;

/// Inputs that are available together share one clock reading. But a body that is always ready must not outlast its
/// deadlines.
const INPUTS_PER_CLOCK_READ: u32 = 64;

impl<T: AsyncTransport, O: Operation> AsyncDriver<T, O> {
    /// Creates a driver for an exchange that was created at `now`. The call starts when it is first driven; its
    /// limits and durations count from then.
    #[must_use]
    pub fn new(io: T, exchange: Exchange<O>, now: Time) -> Self {
        AsyncDriver::with_context(io, Box::new(exchange), CallContext::NONE, now)
    }

    pub(crate) fn with_context(
        io: T,
        exchange: Box<Exchange<O>>,
        context: CallContext,
        now: Time,
    ) -> Self {
        AsyncDriver {
            io,
            exchange,
            waiting: WaitState::Idle,
            context,
            now,
            inputs_since_yield: 0,
            has_emitted: false,
        }
    }

    /// The next event; `None` after the end of the call. Dropping a future of [`next_event`](Self::next_event) loses
    /// no event.
    ///
    /// After a number of inputs it yields to the executor even if more are available: it wakes the task and returns
    /// pending.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<O::Event>> {
        if self.exchange.is_between_attempts() {
            self.now = self.io.now();
            self.exchange.begin(self.now);
            self.context.begin(self.now);
        }
        let mut at_once = 0;
        loop {
            if self.inputs_since_yield >= MAX_INPUTS_PER_POLL {
                self.inputs_since_yield = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match &mut self.waiting {
                WaitState::Headers(sending) => {
                    let (waiting, input) = match ready!(sending.as_mut().poll(cx)) {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            (WaitState::Body(body), Input::Headers(head))
                        }
                        Err(error) => (WaitState::Idle, Input::TransportError(error)),
                    };
                    self.waiting = waiting;
                    self.handle(input, &mut at_once);
                }
                WaitState::Timer { until, timer } => {
                    let is_over = match timer {
                        Some(timer) => timer.as_mut().poll(cx).is_ready(),
                        None => false,
                    };
                    if !is_over && self.exchange.wake_by(*until, cx.waker()).is_some() {
                        return Poll::Pending;
                    }
                    self.waiting = WaitState::Idle;
                    self.now = self.io.now();
                    self.inputs_since_yield = self.inputs_since_yield.saturating_add(1);
                    at_once = 1;
                }
                WaitState::Supply(run, timer) => {
                    let supplied = match run.poll(cx.waker()) {
                        Some(supplied) => supplied,
                        None => match timer {
                            Some(timer) => {
                                ready!(timer.as_mut().poll(cx));
                                Err(io::ErrorKind::TimedOut.into())
                            }
                            None => return Poll::Pending,
                        },
                    };
                    self.waiting = WaitState::Idle;
                    self.handle(Input::Supplied(supplied), &mut at_once);
                }
                WaitState::Idle | WaitState::Body(_) => {}
            }
            match self.exchange.poll(self.now) {
                Step::Send {
                    request,
                    deadlines: limits,
                } => {
                    self.waiting = WaitState::Idle;
                    self.exchange.release();
                    if !self.exchange.is_fetching() {
                        self.context
                            .on_send(&request, &self.exchange.progress(), self.now);
                    }
                    self.waiting = WaitState::Headers(Box::pin(self.io.send(request, limits)));
                }
                Step::Receive { deadline } => {
                    // Available data is read in any case.
                    let deadline = if self.has_emitted {
                        Time::MAX
                    } else {
                        deadline
                    };
                    let read = match &mut self.waiting {
                        WaitState::Body(body) => body.poll_chunk(cx, deadline),
                        _ => Poll::Ready(Ok(None)),
                    };
                    let Poll::Ready(read) = read else {
                        if !std::mem::take(&mut self.has_emitted) {
                            return Poll::Pending;
                        }
                        // The wait starts now, not at the last input.
                        self.now = self.io.now();
                        self.exchange.resume(self.now);
                        continue;
                    };
                    self.handle(read.into(), &mut at_once);
                }
                Step::Supply { supply, deadline } => {
                    self.waiting = WaitState::Idle;
                    self.exchange.release();
                    self.waiting =
                        WaitState::Supply(SupplyRun::begin(supply), self.timer(deadline));
                }
                Step::Sleep { until } => {
                    self.context.on_wait(&self.exchange.progress());
                    self.waiting = WaitState::Idle;
                    self.exchange.release();
                    if let Some(until) = self.exchange.wake_by(until, cx.waker()) {
                        self.waiting = self.sleep(until);
                    }
                }
                Step::Event(event) => {
                    if let Some(event) = O::chat_event(&event) {
                        self.context.on_event(event);
                    }
                    self.has_emitted = true;
                    return Poll::Ready(Some(event));
                }
                Step::Done => {
                    self.waiting = WaitState::Idle;
                    self.exchange.release();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn sleep(&self, until: Time) -> WaitState<T::Body> {
        let timer = self.timer(until);
        WaitState::Timer { until, timer }
    }

    /// `None` if no time ends the wait.
    fn timer(&self, until: Time) -> Option<Timer> {
        let is_limited = until < Time::MAX;
        is_limited.then(|| Box::pin(self.io.sleep_until(until)) as Timer)
    }

    /// The next event; `None` after the end of the call.
    pub async fn next_event(&mut self) -> Option<O::Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Runs the call to its end.
    ///
    /// # Errors
    /// The error that ended it.
    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` would store the driver twice"
    )]
    pub fn finish(mut self) -> impl Future<Output = Result<O::Output, Error>> {
        async move {
            while self.next_event().await.is_some() {}
            self.into_result()
        }
    }

    fn into_result(mut self) -> Result<O::Output, Error> {
        // Released last: an observer that counts calls sees this call end before the next one starts.
        let _permit = self.exchange.take_permit();
        self.context.on_wait(&self.exchange.progress());
        let result = self.exchange.into_boxed_result();
        let outcome = result.as_ref().map(O::response);
        self.context.finish(self.now, outcome);
        result
    }

    /// Handles the `at_once`th input of a poll.
    fn handle(&mut self, input: Input, at_once: &mut u32) {
        if *at_once % INPUTS_PER_CLOCK_READ == 0 {
            self.now = self.io.now();
        }
        if std::mem::take(&mut self.has_emitted) {
            self.exchange.resume(self.now);
        }
        *at_once = at_once.wrapping_add(1);
        self.inputs_since_yield = self.inputs_since_yield.saturating_add(1);
        if !self.exchange.is_fetching() {
            self.context.on_input(&input, self.now);
        }
        self.exchange.handle(input, self.now);
        self.context.on_handled(&self.exchange);
    }
}

impl<T: AsyncTransport> AsyncDriver<T, Chat> {
    /// The position after the last returned event; see [`Exchange::continuation`].
    #[must_use]
    pub fn continuation(&self) -> Option<Continuation> {
        self.exchange.continuation()
    }

    pub(crate) fn started(&self) -> Option<Continuation> {
        self.exchange.started()
    }
}

impl<T: AsyncTransport, O: Operation> fmt::Debug for AsyncDriver<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncDriver")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

/// The events of a streamed response, as a [`Stream`]. If the stream fails, the error is the last item.
#[derive(Debug)]
pub struct AsyncChatStream<T: AsyncTransport = BoxedAsyncTransport> {
    driver: Option<AsyncDriver<T>>,
    result: Option<Result<Box<UnifiedChatResponse>, Error>>,
}

impl<T: AsyncTransport + Unpin> AsyncChatStream<T> {
    pub(crate) fn new(driver: AsyncDriver<T>) -> Self {
        AsyncChatStream {
            driver: Some(driver),
            result: None,
        }
    }

    /// The next event. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The position after the last returned event, in a response that the provider keeps: another call, maybe of another process,
    /// can go on there with `resume_stream`. `None` before the response exists, if the provider does not keep it, and after the
    /// end of the stream. If the stream fails, the error has it.
    #[must_use]
    pub fn continuation(&self) -> Option<Continuation> {
        self.driver.as_ref()?.continuation()
    }

    /// Reads the remaining events and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the stream, with the partial response. It is the same one if the stream has yielded it.
    pub async fn into_response(mut self) -> Result<UnifiedChatResponse, Error> {
        match self.driver.take() {
            Some(driver) => driver.finish().await,
            None => self
                .result
                .unwrap_or_else(|| Err(no_result()))
                .map(|response| *response),
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
        let result = result.map(|result| result.map(Box::new));
        let error = result.as_ref().and_then(|result| result.as_ref().err());
        let last = error.cloned().map(Err);
        self.result = result;
        Poll::Ready(last)
    }
}
