use super::{no_result, supply::SupplyRun};
use crate::client::CallContext;
use crate::{
    Error, StreamEvent, UnifiedChatResponse,
    chat::Continuation,
    credentials::Supply,
    sans_io::{Chat, Exchange, Input, Operation, Step},
};
use bytes::Bytes;
use std::{
    fmt, io,
    sync::{Arc, Weak},
    task::{Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use unifiedai_transport::{BoxedTransport, CancelHandle, Interrupt, ResponseBody, Time, Transport};

/// Runs an exchange over a blocking transport. Dropping it closes the connection.
pub struct Driver<T: Transport, O: Operation = Chat> {
    // Fields are dropped in this order: the permit in the exchange must be released last.
    body: Option<T::Body>,
    context: CallContext,
    /// Boxed, because drivers are moved often and an exchange is large.
    exchange: Box<Exchange<O>>,
    io: T,
    cancel: Option<CancelHandle>,
    /// The time of the last input. The clock is not read again for each event.
    now: Time,
    /// Whether events were returned since the last input, so that a slow reader is not mistaken for a slow server.
    has_emitted: bool,
}

impl<T: Transport, O: Operation> Driver<T, O> {
    /// Creates a driver for an exchange that was created at `now`. The call starts when it is first driven; its
    /// limits and durations count from then.
    #[must_use]
    pub fn new(io: T, exchange: Exchange<O>, now: Time) -> Self {
        Driver::with_context(io, Box::new(exchange), CallContext::NONE, now)
    }

    pub(crate) fn with_context(
        io: T,
        exchange: Box<Exchange<O>>,
        context: CallContext,
        now: Time,
    ) -> Self {
        Driver {
            io,
            exchange,
            body: None,
            context,
            cancel: None,
            now,
            has_emitted: false,
        }
    }

    /// Ends the call when this handle is cancelled, even while it waits for the server, for a permit or between
    /// attempts. Must be called before the first event is read.
    #[must_use]
    pub fn cancelled_by(mut self, handle: CancelHandle) -> Self {
        self.cancel = Some(handle);
        self
    }

    /// The next event; `None` after the end of the call.
    pub fn next_event(&mut self) -> Option<O::Event> {
        if self.exchange.is_between_attempts() {
            self.now = self.io.now();
            self.exchange.begin(self.now);
            self.context.begin(self.now);
        }
        loop {
            if self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled) {
                self.exchange.cancel(self.now);
            }
            let input = match self.exchange.poll(self.now) {
                Step::Send {
                    mut request,
                    deadlines: limits,
                } => {
                    self.body = None;
                    self.exchange.release();
                    if let Some(handle) = &self.cancel {
                        request.extensions_mut().insert(handle.clone());
                    }
                    if !self.exchange.is_fetching() {
                        self.context
                            .on_send(&request, &self.exchange.progress(), self.now);
                    }
                    match self.io.send(request, limits) {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            self.body = Some(body);
                            Some(Input::Headers(head))
                        }
                        Err(error) => Some(Input::TransportError(error)),
                    }
                }
                Step::Receive { .. } if std::mem::take(&mut self.has_emitted) => {
                    self.now = self.io.now();
                    self.exchange.resume(self.now);
                    continue;
                }
                Step::Receive { deadline } => Some(
                    self.body
                        .as_mut()
                        .map_or(Ok(None), |body| body.chunk(deadline))
                        .into(),
                ),
                Step::Supply { supply, deadline } => {
                    self.body = None;
                    self.exchange.release();
                    Some(Input::Supplied(self.supply(supply, deadline)))
                }
                Step::Sleep { until } => {
                    self.context.on_wait(&self.exchange.progress());
                    self.body = None;
                    self.exchange.release();
                    self.sleep(until);
                    None
                }
                Step::Event(event) => {
                    if let Some(event) = O::chat_event(&event) {
                        self.context.on_event(event);
                    }
                    self.has_emitted = true;
                    return Some(event);
                }
                Step::Done => {
                    self.body = None;
                    self.exchange.release();
                    return None;
                }
            };
            self.now = self.io.now();
            if let Some(input) = input {
                let is_cancelled = matches!(input, Input::TransportError(_))
                    && self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled);
                if !self.exchange.is_fetching() {
                    self.context.on_input(&input, self.now);
                }
                // A transport may notice the handle late, or fail in another way because of it.
                if !is_cancelled {
                    self.exchange.handle(input, self.now);
                    self.context.on_handled(&self.exchange);
                }
            }
        }
    }

    /// Blocks this thread until the given time, until a permit is available, or until the call is cancelled.
    fn sleep(&mut self, until: Time) {
        // Behind other calls in the rate limiter's queue the transport's own sleep cannot be interrupted, but only it
        // advances a virtual clock.
        let is_woken =
            self.exchange.is_queued() || (self.exchange.is_paced() && clock_moves(&self.io, until));
        if !is_woken {
            return match &self.cancel {
                Some(handle) => self.sleep_cancellable(until, handle),
                None => self.io.sleep_until(until),
            };
        }
        let unpark = Arc::new(Unpark(thread::current()));
        if let Some(handle) = &self.cancel {
            let weak: Weak<dyn Interrupt> = Arc::<Unpark>::downgrade(&unpark);
            handle.interrupts(weak);
        }
        let cancelled = self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled);
        if let Some(until) = self.exchange.wake_by(until, &Waker::from(unpark.clone())) {
            if !cancelled {
                thread::park_timeout(until.saturating_since(self.io.now()));
            }
        }
    }

    /// Reads or writes a file, or runs a process. The call can be cancelled meanwhile.
    fn supply(&self, supply: Supply, deadline: Time) -> io::Result<Bytes> {
        let run = SupplyRun::begin(supply);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Some(result) = run.poll(&waker) {
                return result;
            }
            if self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = deadline.saturating_since(self.io.now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::park_timeout(left.min(CANCEL_RESOLUTION));
        }
    }

    fn sleep_cancellable(&self, until: Time, handle: &CancelHandle) {
        let before = self.io.now();
        let left = until.saturating_since(before);
        handle.wait(left.min(CLOCK_RESOLUTION));
        if handle.is_cancelled() {
            return;
        }
        let now = self.io.now();
        if now == before {
            // A virtual clock is only advanced by the transport's own sleep.
            return self.io.sleep_until(until);
        }
        handle.wait(until.saturating_since(now));
    }

    /// Runs the call to its end.
    ///
    /// # Errors
    /// The error that ended it.
    pub fn finish(mut self) -> Result<O::Output, Error> {
        while self.next_event().is_some() {}
        self.into_result()
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
}

/// A clock that has not advanced after this time is virtual.
const CLOCK_RESOLUTION: Duration = Duration::from_millis(1);

/// How long a process may run on after its call was cancelled.
const CANCEL_RESOLUTION: Duration = Duration::from_millis(50);

/// Waits for a moment, at most until the given time. Returns whether the clock advanced by itself.
fn clock_moves<T: Transport>(io: &T, until: Time) -> bool {
    let before = io.now();
    thread::park_timeout(until.saturating_since(before).min(CLOCK_RESOLUTION));
    io.now() != before
}

struct Unpark(Thread);

impl Interrupt for Unpark {
    fn interrupt(&self) {
        self.0.unpark();
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<T: Transport> Driver<T, Chat> {
    /// The position after the last returned event; see [`Exchange::continuation`].
    #[must_use]
    pub fn continuation(&self) -> Option<Continuation> {
        self.exchange.continuation()
    }

    pub(crate) fn started(&self) -> Option<Continuation> {
        self.exchange.started()
    }
}

impl<T: Transport, O: Operation> fmt::Debug for Driver<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

/// The events of a streamed response, as an iterator. If the stream fails, the error is the last item.
#[derive(Debug)]
pub struct ChatStream<T: Transport = BoxedTransport> {
    driver: Option<Driver<T>>,
    cancel: CancelHandle,
    result: Option<Result<Box<UnifiedChatResponse>, Error>>,
}

impl<T: Transport> ChatStream<T> {
    pub(crate) fn new(mut driver: Driver<T>) -> Self {
        let cancel = driver.cancel.get_or_insert_default().clone();
        ChatStream {
            driver: Some(driver),
            cancel,
            result: None,
        }
    }

    /// A handle that ends the stream from another thread, even while the server sends nothing. The stream then yields
    /// an error of kind [`Cancelled`](crate::ErrorKind::Cancelled). If the client has a handle already, this returns
    /// that one.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
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
    /// The error that ended the stream, with the partial response. It is the same one if the iterator has yielded it.
    pub fn into_response(mut self) -> Result<UnifiedChatResponse, Error> {
        match self.driver.take() {
            Some(driver) => driver.finish(),
            None => self
                .result
                .unwrap_or_else(|| Err(no_result()))
                .map(|response| *response),
        }
    }
}

impl<T: Transport> Iterator for ChatStream<T> {
    type Item = Result<StreamEvent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.driver.as_mut()?.next_event() {
            return Some(Ok(event));
        }
        let result = self.driver.take()?.into_result().map(Box::new);
        let error = result.as_ref().err().cloned();
        self.result = Some(result);
        error.map(Err)
    }
}
