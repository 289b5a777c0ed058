//! The machine: one call from request to result, with its attempts, deadlines and decoding.
//!
//! It does no I/O and reads no clock. A driver asks it what to do ([`Exchange::poll`]) and tells it what happened
//! ([`Exchange::handle`]).

mod body;
mod chat;
mod deadlines;
mod embed;
mod explain;
mod models;
mod native;
mod operation;
mod ping;
mod step;

use crate::{
    Attempt, CallOptions, Error, ErrorKind, Framing, Metrics, Provider, ProviderMetadata,
    RateLimit, RawHeaders, Secret, StreamEvent, Target, TimeoutKind, Timeouts, Warning,
    error::scrub,
    policy::{Admission, Fallback, Guard, Permit, Report, Rng, Turn, retry_after},
    provider::head,
};
use body::BodyReader;
use bytes::Bytes;
use deadlines::Deadlines;
use explain::{
    brief, circuit_open, held_back, is_signed, misuse, seconds_between, timeout_error,
    transport_error,
};
use http::{HeaderValue, Method, Request, response};
use operation::Reading;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai_transport::{Delivery, FailureKind, Time, TransportError};

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
                .field("refusal", refusal)
                .finish(),
            State::Done(result) => f.debug_tuple("Done").field(result).finish(),
        }
    }
}

/// A request that surely was not processed is sent again this often without counting as a retry (F59, F60).
const FREE_REPLAYS: u32 = 2;

/// Clocks that differ by less than this are no reason for a failed signature (AWS allows five minutes).
const TOLERATED_SKEW_SECONDS: i64 = 240;

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

    /// Sends, if the guard gives leave.
    fn ask(&mut self) -> Step {
        let Some(guard) = &self.guard else {
            return self.send();
        };
        let turn = self.turn.take();
        let error = match guard.admit(self.now, self.operation.tokens(), turn) {
            Admission::Go(permit) => {
                self.permit = Some(permit);
                return self.send();
            }
            Admission::Wait {
                at,
                look_again,
                turn,
            } => {
                if at < self.deadlines.total() && !self.has_alternative() {
                    self.turn = Some(turn);
                    if let State::Ready { at, .. } = &mut self.state {
                        *at = look_again;
                    }
                    return Step::Sleep { until: look_again };
                }
                held_back(at.saturating_since(self.now))
            }
            Admission::Open(until, last) => {
                circuit_open(until.saturating_since(self.now), last.as_deref())
            }
        };
        if !self.move_on(&error) {
            self.end(Err(error));
        }
        self.poll(self.now)
    }

    fn send(&mut self) -> Step {
        if let Some(notice) = &self.notice {
            self.operation.warn(notice.clone());
        }
        self.metadata.status = None;
        self.metadata.request_id = None;
        self.metrics.ttfb = None;
        self.metrics.ttft = None;
        let unsent = match &mut self.state {
            State::Ready { unsent, .. } => unsent.take(),
            _ => None,
        };
        let mut request = match unsent.map_or_else(|| self.operation.request(), Ok) {
            Ok(request) => request,
            Err(error) => return self.end_unsent(error),
        };
        match self.provider.auth().apply(&mut request, self.wall()) {
            Ok(secret) => self.secret = secret,
            Err(error) => return self.end_unsent(error),
        }
        self.state = State::AwaitHead;
        let streaming = self.operation.is_streamed();
        self.deadlines
            .begin_attempt(self.now, streaming, &self.timeouts);
        let mut attempt = Attempt::new(self.now.saturating_since(self.start.now));
        attempt.target = self.fallback.as_ref().map(|_| self.target());
        // Most calls need no other one.
        if self.metrics.attempts.is_empty() {
            self.metrics.attempts = Vec::with_capacity(1);
        }
        self.metrics.attempts.push(attempt);
        self.under_way = true;
        let limits = self.deadlines.limits(&self.timeouts);
        Step::Send { request, limits }
    }

    fn end_unsent(&mut self, error: Error) -> Step {
        self.end(Err(error));
        Step::Done
    }

    fn on_head(&mut self, head: response::Parts) -> Result<(), Error> {
        if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the server switched to another protocol, which nobody asked for",
            )
            .with_status(101));
        }
        if head.status.is_informational() {
            return Ok(());
        }
        let status = head.status.as_u16();
        self.metadata.status = Some(status);
        if let Some(attempt) = self.metrics.attempts.last_mut() {
            attempt.status = Some(status);
        }
        self.metrics.ttfb = Some(self.now.saturating_since(self.start.now));
        self.provider.read_head(&head.headers, &mut self.metadata);
        self.metrics.server.total = match self.operation.framing() {
            Framing::Whole => head::server_time(&head.headers),
            _ => None,
        };
        if self.options.keep_headers {
            self.metadata.headers = RawHeaders::copied(&head.headers);
        }
        self.deadlines.begin_body(self.now, &self.timeouts);
        let reader = BodyReader::new(&head, self.operation.framing(), &self.options.sizes)?;
        // Of a success all that matters was read. What is kept of a head can keep the buffer alive that it was read into.
        let refusal = (!head.status.is_success()).then(|| Box::new(head));
        self.state = State::Body { reader, refusal };
        Ok(())
    }

    fn on_chunk(&mut self, chunk: Bytes) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        if chunk.is_empty() {
            return Ok(());
        }
        let reading = reader.chunk(chunk, &mut self.operation)?;
        self.after_reading(reading)
    }

    fn on_end(&mut self) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        let reading = reader.end(&mut self.operation)?;
        self.after_reading(reading)
    }

    fn after_reading(&mut self, reading: Reading) -> Result<(), Error> {
        let timeouts = &self.timeouts;
        self.deadlines.saw_bytes(self.now, timeouts);
        if self.metrics.ttft.is_none() && self.operation.is_visible() {
            self.deadlines.saw_token();
            if self.operation.is_streamed() {
                self.metrics.ttft = Some(self.now.saturating_since(self.start.now));
            }
        }
        match reading {
            Reading::Bytes => {}
            Reading::Progress => {
                self.deadlines.saw_progress(self.now, timeouts);
                if self.operation.is_complete() {
                    self.deadlines.saw_finish(self.now, timeouts);
                }
            }
            Reading::Complete { but } => self.succeed(but)?,
            Reading::ErrorBody(body) => return Err(self.http_error(body)),
        }
        Ok(())
    }

    fn on_failure(&mut self, failure: TransportError) {
        // The status counts even if the body that explains it did not arrive (F38).
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.has_all() {
            return self.succeed_without_end(&format!("the connection failed: {failure}"));
        }
        let error = match failure.kind() {
            FailureKind::Timeout(phase) => {
                self.timeout_error(self.deadlines.behind(phase, self.now))
            }
            _ => transport_error(&failure),
        };
        self.fail_unanswered(error.with_transport(failure));
    }

    fn time_out(&mut self, timeout: TimeoutKind) {
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.has_all() {
            return self.succeed_without_end("it stayed open");
        }
        let error = self.timeout_error(timeout);
        self.fail(error);
    }

    fn timeout_error(&self, timeout: TimeoutKind) -> Error {
        let silent = matches!(&self.state, State::Body { reader, .. } if reader.is_silent());
        let allowed = self.deadlines.allowed(timeout, &self.timeouts);
        timeout_error(timeout, allowed, silent)
    }

    fn http_error(&self, body: Bytes) -> Error {
        let State::Body {
            refusal: Some(head),
            ..
        } = &self.state
        else {
            return Error::new(ErrorKind::Protocol, "an error without a head");
        };
        let mut error = self.provider.decode_error(head, &body);
        if error.retry_after().is_none() {
            if let Some(wait) = retry_after(&head.headers, self.wall()) {
                error = error.with_retry_after(wait);
            }
        }
        if error.kind() == ErrorKind::RateLimit && error.retry_after().is_none() {
            if let Some(wait) = self.exhausted_for() {
                error = error.with_retry_after(wait);
            }
        }
        match head
            .headers
            .get("x-should-retry")
            .map(HeaderValue::as_bytes)
        {
            Some(b"true") => error = error.with_retryable(true),
            Some(b"false") => error = error.with_retryable(false),
            _ => {}
        }
        error.with_status(head.status.as_u16()).with_body(body)
    }

    /// Until the allowances that are used up are there again, where the headers tell (F52).
    fn exhausted_for(&self) -> Option<Duration> {
        let used_up = |limit: &&RateLimit| limit.remaining == Some(0);
        let limits = self.metadata.rate_limits.iter().filter(used_up);
        limits.filter_map(|limit| limit.reset).max()
    }

    /// Whether a stream has said everything and only its end is missing.
    fn has_all(&self) -> bool {
        matches!(&self.state, State::Body { reader, .. } if reader.is_stream())
            && self.operation.is_complete()
    }

    fn succeed_without_end(&mut self, why: &str) {
        let but = Warning::new(
            "missing_end",
            format!("the stream was complete, but did not end as it should: {why}"),
        );
        if let Err(error) = self.succeed(Some(but)) {
            self.fail(error);
        }
    }

    fn succeed(&mut self, but: Option<Warning>) -> Result<(), Error> {
        self.operation.settle(but)?;
        self.close_attempt(None);
        if self.operation.next_page()? {
            self.retries = 0;
            self.again(self.now, None);
        } else {
            self.end(Ok(()));
        }
        Ok(())
    }

    /// The connection failed. Where it had died before the request went out, another one is used at once (F59, F60).
    fn fail_unanswered(&mut self, error: Error) {
        let unsent = error.transport().is_some_and(|failure| {
            failure.delivery() == Delivery::NotSent && failure.kind() == FailureKind::Reset
        });
        if unsent
            && !self.is_committed()
            && self.free_replays < FREE_REPLAYS
            && !self.is_over_time()
        {
            self.free_replays = self.free_replays.saturating_add(1);
            self.close_attempt(Some(&error));
            return self.again(self.now, None);
        }
        self.fail(error);
    }

    fn fail(&mut self, error: Error) {
        self.close_attempt(Some(&error));
        if !self.is_committed() && self.learn_skew(&error) {
            return self.again(self.now, None);
        }
        if self.move_on(&error) {
            return;
        }
        match self.retry_at(&error) {
            Some(at) => {
                self.retries = self.retries.saturating_add(1);
                self.again(at, None);
            }
            None => self.end(Err(error)),
        }
    }

    /// Turns to the next target, if there is one that can do better.
    fn move_on(&mut self, error: &Error) -> bool {
        let (committed, over_time) = (self.is_committed(), self.is_over_time());
        let Some(fallback) = &mut self.fallback else {
            return false;
        };
        if over_time || !fallback.cures(error) || (committed && !fallback.restart) {
            return false;
        }
        while let Some(target) = fallback.next() {
            let Ok(request) = self.operation.retarget(&target.provider, &target.model) else {
                continue;
            };
            if committed {
                let what = "the answer begins anew: what came before is void";
                self.notice = Some(Warning::new("restarted", what));
            }
            self.turn_to(target);
            self.again(self.now, Some(request));
            return true;
        }
        false
    }

    fn turn_to(&mut self, target: Target) {
        self.timeouts = self.options.timeouts;
        if let Some(limit) = target.first_token {
            let shorter = |own: Option<Duration>| own.map_or(limit, |own| own.min(limit));
            self.timeouts.first_token = Some(limit);
            self.timeouts.first_byte = Some(shorter(self.timeouts.first_byte));
        }
        target
            .provider
            .name()
            .clone_into(&mut self.metadata.provider);
        self.provider = target.provider;
        self.guard = target.guard;
        self.secret = None;
        (self.retries, self.free_replays) = (0, 0);
        (self.resigned, self.skew) = (false, 0);
    }

    fn has_alternative(&self) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|fallback| fallback.has_next())
            && (!self.is_committed() || fallback.is_some_and(|fallback| fallback.restart))
    }

    fn target(&self) -> String {
        [self.provider.name(), ".", self.operation.model()].concat()
    }

    /// Whether the call is past its point of no return. That a visible event was decoded is what counts, not that it was
    /// handed out: otherwise the way in which bytes are cut into chunks would decide.
    fn is_committed(&self) -> bool {
        self.operation.is_streamed() && self.operation.is_visible()
    }

    fn retry_at(&mut self, error: &Error) -> Option<Time> {
        if self.is_committed() || !self.may_replay(error) {
            return None;
        }
        let delay = self
            .options
            .retry
            .delay(self.retries, error, &mut self.rng)?;
        let at = self.now.saturating_add(delay);
        if at >= self.deadlines.total() {
            return None;
        }
        let paid = |guard: &Arc<Guard>| guard.pay_for_retry(error);
        self.guard.as_ref().is_none_or(paid).then_some(at)
    }

    /// Another attempt, not before `at`. Nothing that the last one brought may be handed out any more.
    fn again(&mut self, at: Time, unsent: Option<Request<Bytes>>) {
        self.operation.begin();
        self.deadlines.rest();
        self.state = State::Ready { at, unsent };
    }

    fn is_over_time(&self) -> bool {
        self.deadlines.total() <= self.now
    }

    /// Whether sending the request again cannot make the provider do the work twice.
    fn may_replay(&self, error: &Error) -> bool {
        let unanswered = matches!(
            error.kind(),
            ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Truncated | ErrorKind::Protocol
        );
        let refused = error.status().is_some_and(|status| status >= 300);
        let unsent = error
            .transport()
            .is_some_and(|failure| failure.delivery() == Delivery::NotSent);
        !unanswered
            || refused
            || unsent
            || self.options.retry.replay_processed
            || self.operation.method() == Method::GET
    }

    /// A signature that was refused although the key is known may be wrong by our clock: the answer's date tells (F95b).
    fn learn_skew(&mut self, error: &Error) -> bool {
        let refused = matches!(
            error.kind(),
            ErrorKind::Authentication | ErrorKind::PermissionDenied
        );
        if self.resigned || !refused || !is_signed(self.provider.auth()) || self.is_over_time() {
            return false;
        }
        let State::Body {
            refusal: Some(head),
            ..
        } = &self.state
        else {
            return false;
        };
        let date = head
            .headers
            .get(http::header::DATE)
            .and_then(|date| date.to_str().ok());
        let Some(server) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
            return false;
        };
        let skew = seconds_between(self.wall(), server);
        if skew.abs() < TOLERATED_SKEW_SECONDS {
            return false;
        }
        self.resigned = true;
        self.skew = self.skew.saturating_add(skew);
        true
    }

    fn close_attempt(&mut self, error: Option<&Error>) {
        if !std::mem::take(&mut self.under_way) {
            return;
        }
        let elapsed = self.now.saturating_since(self.start.now);
        if let Some(attempt) = self.metrics.attempts.last_mut() {
            attempt.duration = elapsed.saturating_sub(attempt.started);
            attempt.error = error.map(Error::kind);
            attempt.message = error.map(|error| brief(error, self.secret.as_ref()));
        }
        if let Some(permit) = self.permit.take() {
            let report = Report {
                error,
                used_tokens: self.operation.used_tokens(),
                limits: &self.metadata.rate_limits,
                jitter: self.rng.unit(),
            };
            permit.settle(self.now, &report);
        }
    }

    fn end(&mut self, result: Result<(), Error>) {
        self.deadlines.rest();
        (self.permit, self.turn) = (None, None);
        let secret = self.secret.as_ref().map(Secret::expose);
        if let (Some(id), Some(secret)) = (&mut self.metadata.request_id, secret) {
            scrub(id, secret);
        }
        self.state = State::Done(result.map_err(|mut error| {
            if let Some(secret) = secret {
                error.scrub(secret);
            }
            if let Some(id) = &self.metadata.request_id {
                error = error.with_request_id(id);
            }
            if let (None, Some(status)) = (error.status(), self.metadata.status) {
                error = error.with_status(status);
            }
            error.with_provider(self.provider.name())
        }));
    }

    fn wall(&self) -> SystemTime {
        let wall = self
            .start
            .wall
            .checked_add(self.now.saturating_since(self.start.now));
        let wall = wall.unwrap_or(self.start.wall);
        let shift = Duration::from_secs(self.skew.unsigned_abs());
        let shifted = if self.skew < 0 {
            wall.checked_sub(shift)
        } else {
            wall.checked_add(shift)
        };
        shifted.unwrap_or(wall)
    }
}
