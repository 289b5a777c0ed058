//! The machine: one call from request to result, with its attempts, deadlines and decoding.
//!
//! It does no I/O and reads no clock. A driver asks it what to do ([`Exchange::poll`]) and tells it what happened
//! ([`Exchange::handle`]).

mod answer;
mod attempt;
mod body;
mod chat;
mod clock;
mod deadlines;
mod embed;
mod explain;
mod failure;
mod models;
mod native;
mod operation;
mod ping;
mod recovery;
mod step;

use crate::{
    CallOptions, Error, ErrorKind, Metrics, Provider, ProviderMetadata, Secret, StreamEvent,
    Timeouts, Warning,
    policy::{Fallback, Guard, Permit, Rng, Turn},
};
use body::BodyReader;
use bytes::Bytes;
use deadlines::Deadlines;
use explain::misuse;
use http::{Request, response};
use std::{fmt, sync::Arc};
use unifiedai_transport::Time;

pub use chat::Chat;
pub use embed::Embed;
pub use models::{ListModels, OneModel};
pub(crate) use native::Native;
pub use operation::Operation;
pub use ping::Ping;
pub use step::{Input, Start, Step};

/// One call: the state machine that all drivers share.
///
/// The methods are of three kinds. *Ask*: [`poll`](Self::poll) says what to do; call it until it says
/// [`Step::Done`]. *Tell*: [`handle`](Self::handle) says what happened; call it only for what the last step asked for.
/// *End*: [`into_result`](Self::into_result). Dropping an exchange at any point cancels it.
///
/// | after | the driver may handle |
/// |---|---|
/// | [`Step::Send`] | [`Input::Head`], [`Input::Failed`] |
/// | [`Step::Receive`] | [`Input::Body`], [`Input::End`], [`Input::Failed`], or nothing if the deadline passed; [`Input::Head`] if it did not come yet |
/// | [`Step::Sleep`], [`Step::Event`] | nothing |
/// | [`Step::Done`] | nothing; whatever comes is ignored |
///
/// Anything else ends the call with an error of kind [`Misuse`](ErrorKind::Misuse). The first error is final.
#[derive(Debug)]
pub struct Exchange<O: Operation = Chat> {
    operation: O,
    provider: Arc<dyn Provider>,
    options: Arc<CallOptions>,
    /// The options' own, or shorter ones of a target.
    timeouts: Timeouts,
    guard: Option<Arc<Guard>>,
    /// Leave for the attempt that is under way.
    permit: Option<Permit>,
    /// The place among those who wait for the guard's pace.
    turn: Option<Turn>,
    /// Who can be asked instead.
    fallback: Option<Box<Fallback>>,
    state: State,
    start: Start,
    /// The latest time that was passed; an earlier one counts as this (F70).
    now: Time,
    rng: Rng,
    deadlines: Deadlines,
    retries: u32,
    free_replays: u32,
    /// Whether a signature was made anew after a clock error.
    resigned: bool,
    /// Server time minus ours, in seconds, learned from a clock error.
    skew: i64,
    secret: Option<Secret>,
    /// Whether the last attempt in the log goes on.
    under_way: bool,
    /// To be told before anything of each attempt from now on: only of the last one something is handed out.
    notice: Option<Warning>,
    metadata: Box<ProviderMetadata>,
    metrics: Metrics,
}

enum State {
    Ready {
        at: Time,
        /// The request, where it is encoded already. Once it is out it takes no memory: another attempt encodes it anew.
        unsent: Option<Request<Bytes>>,
    },
    AwaitHead,
    Body {
        reader: BodyReader,
        /// Of an answer that is an error.
        refusal: Option<Box<response::Parts>>,
    },
    Done(Result<(), Error>),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The request has the question in it, and an exchange ends up in logs (F113).
            State::Ready { at, .. } => f
                .debug_struct("Ready")
                .field("at", at)
                .finish_non_exhaustive(),
            State::AwaitHead => f.write_str("AwaitHead"),
            State::Body { reader, refusal } => f
                .debug_struct("Body")
                .field("reader", reader)
                .field("refusal", &refusal.as_ref().map(|head| head.status))
                .finish(),
            State::Done(result) => f.debug_tuple("Done").field(result).finish(),
        }
    }
}

impl<O: Operation> Exchange<O> {
    #[inline(always)]
    pub(crate) fn with_operation(
        provider: Arc<dyn Provider>,
        operation: O,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Self {
        let mut metadata = Box::<ProviderMetadata>::default();
        metadata.provider = provider.name().to_owned();
        Exchange {
            operation,
            deadlines: Deadlines::new(start.now, &options.timeouts),
            provider,
            timeouts: options.timeouts,
            options,
            guard: None,
            permit: None,
            turn: None,
            fallback: None,
            state: State::Ready {
                at: start.now,
                unsent: None,
            },
            start,
            now: start.now,
            rng: Rng::new(start.seed),
            retries: 0,
            free_replays: 0,
            resigned: false,
            skew: 0,
            secret: None,
            under_way: false,
            notice: None,
            metadata,
            metrics: Metrics::default(),
        }
    }

    /// Shares a budget for retries, a pace and a circuit breaker with all exchanges that have the same guard.
    #[must_use]
    pub fn guarded_by(mut self, guard: Arc<Guard>) -> Self {
        self.share(guard);
        self
    }

    pub(crate) fn share(&mut self, guard: Arc<Guard>) {
        self.guard = Some(guard);
    }

    /// What to do next. Cheap to call again; a late call notices deadlines that have passed.
    pub fn poll(&mut self, now: Time) -> Step {
        self.now = self.now.max(now);
        if let Some(event) = self.next_event() {
            return Step::Event(event);
        }
        if !matches!(self.state, State::Done(_)) {
            if let Some(timeout) = self.deadlines.passed(self.now) {
                self.time_out(timeout);
            }
        }
        match &self.state {
            State::Ready { at, .. } if self.now < *at => Step::Sleep { until: *at },
            State::Ready { .. } => self.ask(),
            State::AwaitHead | State::Body { .. } => Step::Receive {
                deadline: self.deadlines.next(),
            },
            State::Done(_) => match self.next_event() {
                Some(event) => Step::Event(event),
                None => Step::Done,
            },
        }
    }

    /// What happened, and when.
    pub fn handle(&mut self, input: Input, now: Time) {
        self.now = self.now.max(now);
        let result = match (&mut self.state, input) {
            (State::Done(_), _) => return,
            (State::AwaitHead, Input::Head(head)) => self.on_head(head),
            (State::Body { .. }, Input::Body(chunk)) => self.on_chunk(chunk),
            (State::Body { .. }, Input::End) => self.on_end(),
            (State::AwaitHead | State::Body { .. }, Input::Failed(failure)) => {
                return self.on_failure(failure);
            }
            (state, input) => Err(misuse(state, &input)),
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Ends the call because its caller gave up. Events that were decoded before still come out.
    pub(crate) fn cancel(&mut self, now: Time) {
        self.now = self.now.max(now);
        if !matches!(self.state, State::Done(_)) {
            let error = Error::new(ErrorKind::Cancelled, "the call was cancelled");
            self.close_attempt(Some(&error));
            self.end(Err(error));
        }
    }

    /// The result.
    ///
    /// # Errors
    /// The error that ended the call, with what had arrived; `misuse` before [`Step::Done`].
    pub fn into_result(self) -> Result<O::Output, Error> {
        Box::new(self).into_boxed_result()
    }

    /// The same out of the box in which it is, which is moved as little as it can be.
    #[expect(clippy::boxed_local, reason = "only what is needed is moved out of it")]
    pub(crate) fn into_boxed_result(mut self: Box<Self>) -> Result<O::Output, Error> {
        self.metrics.duration = Some(self.now.saturating_since(self.start.now));
        match self.state {
            State::Done(Ok(())) => Ok(self.operation.into_output(*self.metadata, self.metrics)),
            State::Done(Err(error)) => {
                let attempts = std::mem::take(&mut self.metrics.attempts);
                let partial = self.operation.into_partial(*self.metadata, self.metrics);
                Err(error.with_attempts(attempts).with_partial(partial))
            }
            _ => Err(Error::new(
                ErrorKind::Misuse,
                "into_result was called before poll said Step::Done",
            )),
        }
    }

    /// Events are held back until the first visible one, so that an attempt that fails before it leaves no trace.
    fn next_event(&mut self) -> Option<StreamEvent> {
        let settled = matches!(self.state, State::Done(Ok(())));
        if !self.operation.is_visible() && !settled {
            return None;
        }
        self.operation.next_event()
    }
}
