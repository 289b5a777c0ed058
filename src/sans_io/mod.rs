//! The machine: one call from request to result, with its attempts, deadlines and decoding.
//!
//! It does no I/O and reads no clock. A driver calls [`Exchange::poll`] to learn what to do, and reports what
//! happened to [`Exchange::handle`]. The crate docs have the graph of its states. All transitions are in
//! `machine.rs` and `retries.rs`:
//!
//! | from | by | to |
//! |---|---|---|
//! | `Ready` | `start_attempt` | `AwaitHeaders`, or `Ready` with a later `at` while the call waits for a permit |
//! | `Ready` | `claim_credentials` | `Fetching` if a token must be fetched, or `Ready` with a later `at` while another call fetches it |
//! | `Fetching` | `poll_fetch` | `Ready` once the fetch is over |
//! | `AwaitHeaders` | `on_headers` | `Body` |
//! | `Body` | `on_chunk`, `on_end` | `Body` until the response is complete, then `succeed` |
//! | `AwaitHeaders`, `Body` | `on_transport_error`, `time_out` | `fail`, or `succeed` if only the end of the body is missing |
//! | | `succeed` | `Done(Ok)`, or `schedule_attempt` for the next page, the next turn, or a response that is not complete |
//! | | `fail`, `try_resume`, `try_fallback` | `schedule_attempt`, or `Done(Err)` by `end_call` |
//! | | `schedule_attempt` | `Ready`; everything that the last attempt received is discarded, unless the next one continues it |
//! | any | `cancel`, `handle` of an unexpected input | `Done(Err)` |

mod billing;
mod body;
mod clock;
mod credentials;
mod deadlines;
mod errors;
mod machine;
mod operation;
mod retries;

use crate::{
    CallOptions, Error, ErrorKind, Secret, StreamEvent, Timeouts,
    chat::{Attempt, CallMetrics, CredentialFetch, ProviderMetadata, Warning},
    credentials::{CredentialRequest, Supply},
    policy::{
        AbandonedTarget, CallPermits, ConcurrencyLimit, ConcurrencyPermit, Fallback,
        FallbackTarget, ProviderLimits, Rng,
    },
    provider::Provider,
};
use body::BodyReader;
use bytes::Bytes;
use credentials::{CallCredentials, Fetching};
use deadlines::Deadlines;
use http::{Request, response};
use std::{
    convert::Infallible,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai_transport::{AttemptDeadlines, RequestBody, Time, TransportError, UploadProgress};

pub use crate::event::Accumulator;
pub(crate) use clock::{clock_skew, shifted};
pub use operation::{ApiCall, CallBatchApi, Chat, Embed, Operation};
pub(crate) use operation::{cached_content_api, decode_chat_body};

/// One call: the state machine that all drivers share.
///
/// Its methods are of three kinds. *Output*: [`poll`](Self::poll) returns what to do; call it until it returns
/// [`Step::Done`]. *Input*: [`handle`](Self::handle) takes what happened; pass only the inputs that the last step
/// allows. *End*: [`into_result`](Self::into_result). Dropping an exchange at any point cancels the call.
///
/// | after | the driver may handle |
/// |---|---|
/// | [`Step::Send`] | [`Input::Upload`], [`Input::Headers`], [`Input::TransportError`] |
/// | [`Step::Receive`] | [`Input::Body`], [`Input::BodyEnd`], [`Input::TransportError`], or nothing if the deadline passed; [`Input::Upload`] and [`Input::Headers`] if they were not handled yet |
/// | [`Step::Supply`] | [`Input::Supplied`] |
/// | [`Step::Sleep`], [`Step::Event`] | nothing |
/// | [`Step::Done`] | nothing; any input is ignored |
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
    /// When the call began; with a driver of this crate, when it was first driven.
    start: CallStart,
    started: bool,
    /// The latest time that was passed; an earlier one is replaced by it.
    now: Time,
    rng: Rng,
    deadlines: Deadlines,
    retries: u32,
    free_retries: u32,
    /// Whether a request was sent whose body cannot be sent again.
    is_sent_once: bool,
    /// Whether a request was signed again after a clock error.
    clock_skew_retried: bool,
    /// Server time minus ours, in seconds, learned from a clock error.
    skew: i64,
    secret: Option<Secret>,
    credentials: CallCredentials,
    /// Whether the last attempt in the log is still open.
    attempt_open: bool,
    /// Warning emitted at the start of each later attempt; earlier attempts' events are discarded.
    restart_warning: Option<Box<Warning>>,
    metadata: Box<ProviderMetadata>,
    metrics: CallMetrics,
}

/// The target of the current attempt. The exchange owns it and lends it to the operation, so that one place changes
/// when the call moves to a fallback target.
pub struct AttemptTarget<R> {
    pub(crate) provider: Arc<dyn Provider>,
    /// The caller's request, with the model and headers of this target.
    pub(crate) request: R,
    /// The call's timeouts, or this target's shorter ones.
    timeouts: Timeouts,
    /// The permits of this target.
    permits: CallPermits,
}

impl<R> AttemptTarget<R> {
    /// Replaces all four members. `request` is the request for `target`, `own` are the timeouts of the call.
    fn switch_target(&mut self, target: FallbackTarget, request: R, own: &Timeouts) {
        self.request = request;
        self.timeouts = *own;
        if let Some(limit) = target.first_token_timeout {
            let shorter = |own: Option<Duration>| own.map_or(limit, |own| own.min(limit));
            self.timeouts.first_token = Some(limit);
            self.timeouts.first_byte = Some(shorter(own.first_byte));
        }
        self.provider = target.provider;
        self.permits.switch_target(target.limits, target.limiter);
    }
}

impl<R> fmt::Debug for AttemptTarget<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Does not show the request: an exchange may be logged.
        f.debug_struct("AttemptTarget")
            .field("provider", &self.provider)
            .field("timeouts", &self.timeouts)
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

/// The attempts and targets of a call so far.
pub(crate) struct CallProgress<'a> {
    /// The current target.
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// The attempts that have ended.
    pub(crate) finished: &'a [Attempt],
    /// The fetches of credentials that have ended.
    pub(crate) fetches: &'a [CredentialFetch],
    /// The attempt that has not ended.
    pub(crate) open: Option<&'a Attempt>,
    /// The targets that were abandoned.
    pub(crate) abandoned: &'a [AbandonedTarget],
}

enum State {
    Ready {
        at: Time,
        /// The encoded request, if there is one. It is dropped once sent; a retry encodes it again.
        encoded: Option<Request<Bytes>>,
    },
    /// A token is fetched for the attempt.
    Fetching(Box<Fetching>),
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
            // Does not show the request: it contains the prompt, and an exchange may be logged.
            State::Ready { at, .. } => f
                .debug_struct("Ready")
                .field("at", at)
                .finish_non_exhaustive(),
            State::Fetching(fetching) => f.debug_tuple("Fetching").field(&fetching.fetch).finish(),
            State::AwaitHeaders => f.write_str("AwaitHeaders"),
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
            is_sent_once: false,
            clock_skew_retried: false,
            skew: 0,
            secret: None,
            credentials: CallCredentials::default(),
            attempt_open: false,
            restart_warning: None,
            metadata,
            metrics: CallMetrics::default(),
        }
    }

    /// Shares a retry budget, a rate limiter and a circuit breaker with all exchanges that have the same limits.
    #[must_use]
    pub fn with_provider_limits(mut self, guard: Arc<ProviderLimits>) -> Self {
        self.set_provider_limits(guard);
        self
    }

    pub(crate) fn set_provider_limits(&mut self, guard: Arc<ProviderLimits>) {
        self.target.permits.set_provider_limits(Some(guard));
    }

    pub(crate) fn options(&self) -> &CallOptions {
        &self.options
    }

    /// Shares a limit of concurrent attempts.
    pub(crate) fn set_concurrency_limit(&mut self, limiter: Option<Arc<ConcurrencyLimit>>) {
        self.target.permits.set_limiter(limiter);
    }

    /// The result of the call.
    ///
    /// # Errors
    /// The error that ended the call, with the partial response; `misuse` before [`Step::Done`].
    pub fn into_result(self) -> Result<O::Output, Error> {
        Box::new(self).into_boxed_result()
    }

    /// [`into_result`](Self::into_result) of a boxed exchange, which it moves as little as possible.
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
                // A provider that does not know the response has removed it.
                let is_gone = error.status() == Some(404);
                let position = self.operation.continuation(&self.target);
                let continuation = position.filter(|_| !is_gone);
                let partial =
                    self.operation
                        .into_partial(&self.target, *self.metadata, self.metrics);
                Err(error
                    .with_attempts(attempts)
                    .with_continuation(continuation)
                    .with_partial(partial))
            }
            _ => Err(Error::new(
                ErrorKind::Misuse,
                "into_result was called before poll returned Step::Done",
            )),
        }
    }

    /// Whether the call waits for its next attempt: no response is open.
    pub(crate) fn is_between_attempts(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Whether a token is being fetched: then requests and inputs belong to no attempt.
    pub(crate) fn is_fetching(&self) -> bool {
        matches!(self.state, State::Fetching(_))
    }

    /// Whether only another call, or a source of credentials with its own I/O, can end the wait, and not a time.
    pub(crate) fn is_queued(&self) -> bool {
        match &self.state {
            State::Fetching(fetching) => fetching.fetch.awaits_source(),
            _ => self.target.permits.is_queued(),
        }
    }

    /// Whether the call has a position in the queue of the rate limiter.
    pub(crate) fn is_paced(&self) -> bool {
        self.target.permits.is_paced()
    }

    /// The attempts and targets of the call so far.
    pub(crate) fn progress(&self) -> CallProgress<'_> {
        let attempts = &self.metrics.attempts;
        let finished = attempts.len().saturating_sub(self.attempt_open.into());
        CallProgress {
            provider: self.target.provider.name(),
            model: O::model(&self.target.request),
            finished: attempts.get(..finished).unwrap_or_default(),
            fetches: &self.metrics.credential_fetches,
            open: attempts.get(finished),
            abandoned: self
                .fallback
                .as_ref()
                .map_or(&[], |fallback| fallback.abandoned()),
        }
    }

    /// The current target, as `provider.model`.
    fn target_name(&self) -> String {
        [
            self.target.provider.name(),
            ".",
            O::model(&self.target.request),
        ]
        .concat()
    }

    /// Releases what the call holds of an abandoned target, once the response was dropped.
    pub(crate) fn release(&mut self) {
        self.target.permits.release();
    }

    /// Takes the concurrency permit, for a driver that has work to do before the next call may start.
    pub(crate) fn take_permit(&mut self) -> Option<ConcurrencyPermit> {
        self.target.permits.take_permit()
    }
}

/// What the driver must do next. `E` is what the operation hands out before its result.
#[must_use]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost each request an allocation"
)]
pub enum Step<E = StreamEvent> {
    /// Send this request within these deadlines, and drop any response that is still open. Then
    /// [`handle`](crate::sans_io::Exchange::handle) [`Input::Headers`] or [`Input::TransportError`].
    Send {
        /// The request, with its authentication. Its body may be streamed: see [`RequestBody`].
        request: Request<RequestBody>,
        /// The deadlines of this attempt.
        deadlines: AttemptDeadlines,
    },
    /// Read more of the response, no longer than `deadline`. Then handle [`Input::Body`], [`Input::BodyEnd`] or
    /// [`Input::TransportError`], or poll again once the deadline has passed.
    Receive {
        /// The end of the wait.
        deadline: Time,
    },
    /// Read or write a file, or run a process, for a source of [credentials](crate::credentials), until `deadline` at the
    /// latest; then handle [`Input::Supplied`]. A driver without this step polls again, which refuses it.
    Supply {
        /// The file or process.
        supply: Supply,
        /// The time limit; after it the result is an error of kind [`TimedOut`](std::io::ErrorKind::TimedOut).
        deadline: Time,
    },
    /// Drop any response, wait until the given time, and poll again.
    Sleep {
        /// When to poll again.
        until: Time,
    },
    /// Pass this event to the application and poll again.
    Event(E),
    /// Drop any response and call [`into_result`](crate::sans_io::Exchange::into_result).
    Done,
}

impl Step<Infallible> {
    /// The step of an operation of any kind: this one has no events.
    pub(crate) fn without_events<E>(self) -> Step<E> {
        match self {
            Step::Send { request, deadlines } => Step::Send { request, deadlines },
            Step::Receive { deadline } => Step::Receive { deadline },
            Step::Supply { supply, deadline } => Step::Supply { supply, deadline },
            Step::Sleep { until } => Step::Sleep { until },
            Step::Event(never) => match never {},
            Step::Done => Step::Done,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Step<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its body may be a secret.
            Step::Send { request, deadlines }
                if request.extensions().get::<CredentialRequest>().is_some() =>
            {
                f.debug_struct("Send")
                    .field("credentials_from", &request.uri().host())
                    .field("deadlines", deadlines)
                    .finish_non_exhaustive()
            }
            Step::Send { request, deadlines } => f
                .debug_struct("Send")
                .field("request", request)
                .field("deadlines", deadlines)
                .finish(),
            Step::Receive { deadline } => f
                .debug_struct("Receive")
                .field("deadline", deadline)
                .finish(),
            Step::Supply { supply, deadline } => f
                .debug_struct("Supply")
                .field("supply", supply)
                .field("deadline", deadline)
                .finish(),
            Step::Sleep { until } => f.debug_struct("Sleep").field("until", until).finish(),
            Step::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Step::Done => f.write_str("Done"),
        }
    }
}

/// What happened to the request or the response.
#[non_exhaustive]
pub enum Input {
    /// The connection took more of a streamed request body, which moves the deadline of the headers. A driver that sends small
    /// bodies need not say it.
    Upload(UploadProgress),
    /// The response's status and headers were received.
    Headers(response::Parts),
    /// More of the response's body was received.
    Body(Bytes),
    /// The response's body ended according to its HTTP framing.
    BodyEnd,
    /// The attempt failed.
    TransportError(TransportError),
    /// The result of a [`Step::Supply`].
    Supplied(io::Result<Bytes>),
}

impl fmt::Debug for Input {
    /// Does not show the data, which may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Upload(progress) => f.debug_tuple("Upload").field(progress).finish(),
            Input::Headers(head) => f.debug_tuple("Headers").field(&head.status).finish(),
            Input::Body(chunk) => write!(f, "Body({} bytes)", chunk.len()),
            Input::BodyEnd => f.write_str("BodyEnd"),
            Input::TransportError(failure) => {
                f.debug_tuple("TransportError").field(failure).finish()
            }
            Input::Supplied(Ok(content)) => write!(f, "Supplied({} bytes)", content.len()),
            Input::Supplied(Err(error)) => f.debug_tuple("Supplied").field(&error.kind()).finish(),
        }
    }
}

impl From<Result<Option<Bytes>, TransportError>> for Input {
    /// Converts the result of reading a body.
    fn from(read: Result<Option<Bytes>, TransportError>) -> Self {
        match read {
            Ok(Some(bytes)) => Input::Body(bytes),
            Ok(None) => Input::BodyEnd,
            Err(error) => Input::TransportError(error),
        }
    }
}

/// The start of a call, and the seed of its jitter. All limits and durations count from it. The drivers of this crate
/// start a call when it is first driven, and advance both clocks to that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStart {
    /// The driver's monotonic clock.
    pub now: Time,
    /// The wall clock at the same moment, for signatures and dates.
    pub wall_clock: SystemTime,
    /// Any number; equal seeds give equal waits.
    pub rng_seed: u64,
}

impl CallStart {
    /// A call that starts now.
    #[must_use]
    pub fn new(now: Time, wall: SystemTime, seed: u64) -> Self {
        CallStart {
            now,
            wall_clock: wall,
            rng_seed: seed,
        }
    }
}
