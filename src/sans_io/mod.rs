//! The machine: one call from request to result, with its attempts, deadlines and decoding.
//!
//! It does no I/O and reads no clock. A driver asks it what to do ([`Exchange::poll`]) and reports what happened
//! ([`Exchange::handle`]). The crate docs have the graph of its states; all transitions are in `machine.rs`:
//!
//! | from | by | to |
//! |---|---|---|
//! | `Ready` | `start_attempt` | `AwaitHeaders`, or `Ready` with a later `at` while a permit is awaited |
//! | `AwaitHeaders` | `on_headers` | `Body` |
//! | `Body` | `on_chunk`, `on_end` | `Body` until the answer is complete, then `succeed` |
//! | `AwaitHeaders`, `Body` | `on_transport_error`, `time_out` | `fail`, or `succeed` if only the end of the body is missing |
//! | | `succeed` | `Done(Ok)`, or `schedule_attempt` for the next page |
//! | | `fail`, `try_fallback` | `schedule_attempt`, or `Done(Err)` by `end_call` |
//! | | `schedule_attempt` | `Ready`; everything that the last attempt received is discarded |
//! | any | `cancel`, `handle` of an input that does not fit | `Done(Err)` |

mod body;
mod deadlines;
mod errors;
mod machine;
mod operation;

use crate::{
    CallOptions, Error, ErrorKind, Secret, StreamEvent, Timeouts,
    chat::{Attempt, CallMetrics, ProviderMetadata, Warning},
    policy::{
        AbandonedTarget, CallPermits, ConcurrencyLimit, ConcurrencyPermit, Fallback,
        ProviderLimits, Rng,
    },
    provider::Provider,
};
use body::BodyReader;
use bytes::Bytes;
use deadlines::Deadlines;
use http::{Request, response};
use std::{fmt, sync::Arc, time::SystemTime};
use unifiedai_transport::{AttemptDeadlines, Time, TransportError};

pub use crate::event::Accumulator;
pub(crate) use operation::WithRawBody;
pub use operation::{Chat, CheckProvider, Embed, ListModels, Operation, RetrieveModel};

/// One call: the state machine that all drivers share.
///
/// The methods are of three kinds. *Ask*: [`poll`](Self::poll) says what to do; call it until it says
/// [`Step::Done`]. *Tell*: [`handle`](Self::handle) says what happened; call it only for what the last step asked for.
/// *End*: [`into_result`](Self::into_result). Dropping an exchange at any point cancels it.
///
/// | after | the driver may handle |
/// |---|---|
/// | [`Step::Send`] | [`Input::Headers`], [`Input::TransportError`] |
/// | [`Step::Receive`] | [`Input::Body`], [`Input::BodyEnd`], [`Input::TransportError`], or nothing if the deadline passed; [`Input::Headers`] if it did not come yet |
/// | [`Step::Sleep`], [`Step::Event`] | nothing |
/// | [`Step::Done`] | nothing; whatever comes is ignored |
///
/// Anything else ends the call with an error of kind [`Misuse`](ErrorKind::Misuse). The first error is final.
#[derive(Debug)]
pub struct Exchange<O: Operation = Chat> {
    operation: O,
    target: AttemptTarget<O::Request>,
    options: Arc<CallOptions>,
    /// Remaining fallback targets.
    fallback: Option<Box<Fallback>>,
    state: State,
    /// When the call began; for a driver of this crate, when it was first driven.
    start: CallStart,
    started: bool,
    /// The latest time that was passed; an earlier one counts as this (F70).
    now: Time,
    rng: Rng,
    deadlines: Deadlines,
    retries: u32,
    free_retries: u32,
    /// Whether a request was signed again after a clock error.
    clock_skew_retried: bool,
    /// Server time minus ours, in seconds, learned from a clock error.
    skew: i64,
    secret: Option<Secret>,
    /// Whether the last attempt in the log is not over.
    attempt_open: bool,
    /// Warning emitted at the start of each later attempt; earlier attempts' events are discarded.
    restart_warning: Option<Warning>,
    metadata: Box<ProviderMetadata>,
    metrics: CallMetrics,
}

/// What the current attempt is aimed at. The exchange owns it and lends it to the operation, so there is one place that
/// changes when the call moves to a fallback target.
pub struct AttemptTarget<R> {
    pub(crate) provider: Arc<dyn Provider>,
    /// The request as the caller wrote it, with the model and headers of this target.
    pub(crate) request: R,
    /// The timeouts of the options, or shorter ones of this target.
    timeouts: Timeouts,
    /// The permits of this target.
    permits: CallPermits,
}

impl<R> fmt::Debug for AttemptTarget<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the request: an exchange ends up in logs (F113).
        f.debug_struct("AttemptTarget")
            .field("provider", &self.provider)
            .field("timeouts", &self.timeouts)
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

/// The attempts and targets of a call so far.
pub(crate) struct CallProgress<'a> {
    /// The target that the call is with.
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// The attempts that are over.
    pub(crate) finished: &'a [Attempt],
    /// The targets that it has left.
    pub(crate) abandoned: &'a [AbandonedTarget],
}

enum State {
    Ready {
        at: Time,
        /// The encoded request, if there is one. Dropped once sent; a retry encodes it again.
        encoded: Option<Request<Bytes>>,
    },
    AwaitHeaders,
    Body {
        reader: BodyReader,
        /// Status and headers of an error response.
        error_headers: Option<Box<response::Parts>>,
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
            State::AwaitHeaders => f.write_str("AwaitHead"),
            State::Body {
                reader,
                error_headers,
            } => f
                .debug_struct("Body")
                .field("reader", reader)
                .field(
                    "error_headers",
                    &error_headers.as_ref().map(|head| head.status),
                )
                .finish(),
            State::Done(result) => f.debug_tuple("Done").field(result).finish(),
        }
    }
}

impl<O: Operation> Exchange<O> {
    #[inline(always)]
    pub(crate) fn new_with(
        provider: Arc<dyn Provider>,
        request: O::Request,
        operation: O,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Self {
        let mut metadata = Box::<ProviderMetadata>::default();
        metadata.provider = provider.name().to_owned();
        Exchange {
            operation,
            deadlines: Deadlines::new(start.now, &options.timeouts),
            target: AttemptTarget {
                provider,
                request,
                timeouts: options.timeouts,
                permits: CallPermits::default(),
            },
            options,
            fallback: None,
            state: State::Ready {
                at: start.now,
                encoded: None,
            },
            start,
            started: false,
            now: start.now,
            rng: Rng::new(start.rng_seed),
            retries: 0,
            free_retries: 0,
            clock_skew_retried: false,
            skew: 0,
            secret: None,
            attempt_open: false,
            restart_warning: None,
            metadata,
            metrics: CallMetrics::default(),
        }
    }

    /// Shares a budget for retries, a pace and a circuit breaker with all exchanges that have the same guard.
    #[must_use]
    pub fn with_provider_limits(mut self, guard: Arc<ProviderLimits>) -> Self {
        self.set_provider_limits(guard);
        self
    }

    pub(crate) fn set_provider_limits(&mut self, guard: Arc<ProviderLimits>) {
        self.target.permits.set_provider_limits(Some(guard));
    }

    /// Shares a number of attempts that may run at once.
    pub(crate) fn set_concurrency_limit(&mut self, limiter: Option<Arc<ConcurrencyLimit>>) {
        self.target.permits.set_limiter(limiter);
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
            State::Done(Ok(())) => {
                Ok(self
                    .operation
                    .into_output(&self.target, *self.metadata, self.metrics))
            }
            State::Done(Err(error)) => {
                let attempts = std::mem::take(&mut self.metrics.attempts);
                let partial =
                    self.operation
                        .into_partial(&self.target, *self.metadata, self.metrics);
                Err(error.with_attempts(attempts).with_partial(partial))
            }
            _ => Err(Error::new(
                ErrorKind::Misuse,
                "into_result was called before poll said Step::Done",
            )),
        }
    }

    /// Whether the call waits for its next attempt: no server is waited for, and time passes only for the call itself.
    pub(crate) fn is_between_attempts(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Whether only another call can end the wait, and no time.
    pub(crate) fn is_queued(&self) -> bool {
        self.target.permits.is_queued()
    }

    /// Whether the call has a position in the queue for a pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.target.permits.is_paced()
    }

    /// What has become of the call so far.
    pub(crate) fn progress(&self) -> CallProgress<'_> {
        let attempts = &self.metrics.attempts;
        let finished = attempts.len().saturating_sub(self.attempt_open.into());
        CallProgress {
            provider: self.target.provider.name(),
            model: O::model(&self.target.request),
            finished: attempts.get(..finished).unwrap_or_default(),
            abandoned: self
                .fallback
                .as_ref()
                .map_or(&[], |fallback| fallback.abandoned()),
        }
    }

    /// Gives back what the call holds of a target that it has left, once the response has been dropped.
    pub(crate) fn release(&mut self) {
        self.target.permits.release();
    }

    /// The permit to run, for a driver that has something to do before the next call begins.
    pub(crate) fn take_permit(&mut self) -> Option<ConcurrencyPermit> {
        self.target.permits.take_permit()
    }
}

/// What the driver must do next.
#[expect(
    clippy::large_enum_variant,
    reason = "one step at a time exists, and a box would cost an allocation per attempt"
)]
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Step {
    /// Send this request within these limits, dropping any response that is still open; then
    /// [`handle`](crate::sans_io::Exchange::handle) [`Input::Headers`] or [`Input::TransportError`].
    Send {
        /// The request, authenticated.
        request: Request<Bytes>,
        /// What this attempt may take.
        deadlines: AttemptDeadlines,
    },
    /// Read the response on, until `deadline` at the latest; then handle [`Input::Body`], [`Input::BodyEnd`] or
    /// [`Input::TransportError`], or just poll again once the deadline has passed.
    Receive {
        /// When to give up waiting.
        deadline: Time,
    },
    /// Drop any response, do nothing until then, and poll again.
    Sleep {
        /// When to poll again.
        until: Time,
    },
    /// Hand this to the application and poll again.
    Event(StreamEvent),
    /// Drop any response and call [`into_result`](crate::sans_io::Exchange::into_result).
    Done,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The response's head arrived.
    Headers(response::Parts),
    /// More of its body arrived.
    Body(Bytes),
    /// Its body ended where its HTTP framing says that it does.
    BodyEnd,
    /// The attempt failed.
    TransportError(TransportError),
}

impl From<Result<Option<Bytes>, TransportError>> for Input {
    /// What reading a body gave.
    fn from(read: Result<Option<Bytes>, TransportError>) -> Self {
        match read {
            Ok(Some(bytes)) => Input::Body(bytes),
            Ok(None) => Input::BodyEnd,
            Err(error) => Input::TransportError(error),
        }
    }
}

/// When a call begins, and the seed of its jitter. All limits and times count from then. The drivers of this crate begin a
/// call when it is first driven, and move both clocks on to that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStart {
    /// The driver's monotonic clock.
    pub now: Time,
    /// The wall clock at the same moment, for signatures and dates.
    pub wall_clock: SystemTime,
    /// Any number; the same one gives the same waits.
    pub rng_seed: u64,
}

impl CallStart {
    /// A call that begins now.
    #[must_use]
    pub fn new(now: Time, wall: SystemTime, seed: u64) -> Self {
        CallStart {
            now,
            wall_clock: wall,
            rng_seed: seed,
        }
    }
}
