//! All transitions of an [`Exchange`], in the order of a call. The crate docs have the graph of its states.

use super::{
    Exchange, Input, Operation, State, Step,
    billing::spend,
    body::BodyReader,
    credentials::Fetching,
    deadlines::Deadlines,
    errors::{circuit_open, error_summary, misuse, rate_limited_locally, transport_error},
    operation::BodyOutcome,
};
use crate::{
    Error, ErrorKind, Secret,
    chat::{Attempt, CredentialFetch, RawHeaders, Warning},
    cost::Cost,
    credentials::{Claim, Fetch, FetchPoll},
    error::{TimeoutKind, scrub},
    policy::{AcquireOutcome, AttemptReport},
    provider::{Framing, kit::headers},
};
use bytes::Bytes;
use http::{Request, response};
use std::task::Waker;
use unifiedai_transport::{RequestBody, Time, TransportError, TransportErrorKind};

/// # Driving
impl<O: Operation> Exchange<O> {
    /// Returns what to do next. It may be called again at any time; a late call notices expired deadlines.
    pub fn poll(&mut self, now: Time) -> Step<O::Event> {
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
            State::Ready { .. } => self.start_attempt(),
            State::Fetching(_) => match self.poll_fetch() {
                Some(step) => step,
                None => self.start_attempt(),
            },
            State::AwaitHeaders | State::Body { .. } => Step::Receive {
                deadline: self.deadlines.next(),
            },
            State::Done(_) => match self.next_event() {
                Some(event) => Step::Event(event),
                None => Step::Done,
            },
        }
    }

    /// Takes what happened, and when.
    pub fn handle(&mut self, input: Input, now: Time) {
        self.now = self.now.max(now);
        let moment = self.moment();
        let result = match (&mut self.state, input) {
            (State::Done(_), _) => return,
            (State::Fetching(fetching), input) => match fetching.fetch.handle(input, moment) {
                Ok(()) => return,
                Err(input) => Err(misuse(&self.state, &input)),
            },
            (State::AwaitHeaders, Input::Headers(head)) => self.on_headers(head),
            (State::AwaitHeaders, Input::Upload(progress)) => {
                let timeouts = &self.target.timeouts;
                return self.deadlines.on_upload(progress, timeouts);
            }
            // The response was faster than the rest of the request.
            (State::Body { .. }, Input::Upload(_)) => return,
            (State::Body { .. }, Input::Body(chunk)) => self.on_chunk(chunk),
            (State::Body { .. }, Input::BodyEnd) => self.on_end(),
            (State::AwaitHeaders | State::Body { .. }, Input::TransportError(failure)) => {
                return self.on_transport_error(failure);
            }
            (state, input) => Err(misuse(state, &input)),
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Ends the call because its caller cancelled it. Events that were decoded before are still returned.
    pub(crate) fn cancel(&mut self, now: Time) {
        self.now = self.now.max(now);
        if !matches!(self.state, State::Done(_)) {
            let error = Error::new(ErrorKind::Cancelled, "the call was cancelled");
            self.finish_attempt(Some(&error));
            self.end_call(Err(error));
        }
    }

    /// Before the first poll: the call begins now, however long ago the exchange was created.
    pub(crate) fn begin(&mut self, now: Time) {
        if !std::mem::replace(&mut self.started, true) {
            self.now = self.now.max(now);
            (self.start.wall_clock, self.start.now) = (self.wall_clock_now(), self.now);
            self.deadlines = Deadlines::new(self.now, &self.target.timeouts);
        }
    }

    /// The caller continues to read after events. The time since the last input counts only against the total timeout.
    pub(crate) fn resume(&mut self, now: Time) {
        self.deadlines.extend(now.saturating_since(self.now));
        self.now = self.now.max(now);
    }

    /// After [`Step::Sleep`]: registers `waker` for an early end of the wait. Returns the latest end of the wait;
    /// `None` if it is over.
    pub(crate) fn wake_by(&mut self, until: Time, waker: &Waker) -> Option<Time> {
        match &mut self.state {
            State::Ready { at, .. } => {
                let latest = self.target.permits.wake_by(until, waker);
                *at = latest.unwrap_or(self.now);
                latest
            }
            State::Fetching(fetching) => fetching.fetch.wake_by(until, waker),
            _ => None,
        }
    }

    /// Events are queued until the first visible one, so that an attempt that fails before it leaves no trace.
    fn next_event(&mut self) -> Option<O::Event> {
        let settled = matches!(self.state, State::Done(Ok(())));
        if !self.operation.may_emit() && !settled {
            return None;
        }
        self.operation.next_event()
    }
}

/// # Events of an attempt
impl<O: Operation> Exchange<O> {
    fn on_headers(&mut self, head: response::Parts) -> Result<(), Error> {
        if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::new(
                ErrorKind::Protocol,
                "unexpected status 101: the server switched to another protocol",
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
        let ttfb = self.now.saturating_since(self.start.now);
        self.metrics.ttfb.get_or_insert(ttfb);
        self.target
            .provider
            .read_headers(&head.headers, &mut self.metadata);
        self.metrics.server.total = match self.operation.framing() {
            Framing::SingleBody => headers::server_time(&head.headers),
            _ => None,
        };
        if self.options.keep_headers {
            self.metadata.headers = RawHeaders::copied(&head.headers);
        }
        self.deadlines.begin_body(self.now, &self.target.timeouts);
        let is_answer = self.operation.accepts(&head);
        let framing = self.operation.framing();
        let reader = BodyReader::new(&head, is_answer, framing, &self.options.sizes)?;
        if is_answer {
            self.operation.keep_head(&head);
        }
        // The headers of a success were read. Keeping them could keep the buffer alive into which they were read.
        let error_headers = (!is_answer).then(|| Box::new(head));
        self.state = State::Body {
            reader,
            error_headers,
        };
        Ok(())
    }

    fn on_chunk(&mut self, chunk: Bytes) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        if chunk.is_empty() {
            return Ok(());
        }
        let reading = reader.chunk(chunk, &mut self.operation, &self.target)?;
        self.on_body_outcome(reading)
    }

    fn on_end(&mut self) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        let reading = reader.end(&mut self.operation, &self.target)?;
        self.on_body_outcome(reading)
    }

    fn on_transport_error(&mut self, failure: TransportError) {
        // The status counts even if the body was not received completely.
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.is_logically_complete() {
            return self.finish_early(&format!("the connection failed: {failure}"));
        }
        let error = match failure.kind() {
            TransportErrorKind::Timeout(phase) => self.timeout_error(
                self.deadlines.classify_timeout(phase, self.now),
                Some(&failure),
            ),
            _ => transport_error(&failure),
        };
        self.fail_or_resend(error.with_transport(failure));
    }

    fn time_out(&mut self, timeout: TimeoutKind) {
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.is_logically_complete() {
            return self.finish_early("it stayed open");
        }
        let error = self.timeout_error(timeout, None);
        self.fail(error);
    }

    fn on_body_outcome(&mut self, reading: BodyOutcome) -> Result<(), Error> {
        let timeouts = &self.target.timeouts;
        self.deadlines.on_bytes(self.now, timeouts);
        if self.metrics.ttft.is_none() && self.operation.is_visible() {
            self.deadlines.on_token();
            if O::is_streamed(&self.target.request) {
                self.metrics.ttft = Some(self.now.saturating_since(self.start.now));
            }
        }
        match reading {
            BodyOutcome::Bytes => {}
            BodyOutcome::Progress => {
                self.deadlines.on_progress(self.now, timeouts);
                if self.operation.is_complete() {
                    self.deadlines.on_finish(self.now, timeouts);
                } else {
                    self.deadlines.clear_finish();
                }
            }
            BodyOutcome::Complete { warning } => self.succeed(warning)?,
            BodyOutcome::ErrorBody(body) => return Err(self.http_error(body)),
        }
        Ok(())
    }
}

/// # Attempts
impl<O: Operation> Exchange<O> {
    /// Starts an attempt once its credentials are available and its permits granted, on the first target that has not
    /// failed by then.
    fn start_attempt(&mut self) -> Step<O::Event> {
        loop {
            match self.claim_credentials() {
                Ok(None) => {}
                Ok(Some(step)) => return step,
                Err(error) if self.try_fallback(&error) => continue,
                Err(error) => {
                    self.end_call(Err(error));
                    return Step::Done;
                }
            }
            let error = match self.acquire_permits() {
                AcquireOutcome::Granted => match self.send() {
                    Ok(step) => return step,
                    Err(error) => error,
                },
                AcquireOutcome::Queued => return self.sleep(self.deadlines.total()),
                AcquireOutcome::RateLimited { at, recheck_at } => {
                    let in_time = at < self.deadlines.total();
                    if in_time && !self.has_alternative() {
                        return self.sleep(recheck_at);
                    }
                    let error = rate_limited_locally(at.saturating_since(self.now));
                    if self.try_fallback(&error) {
                        continue;
                    }
                    if in_time {
                        return self.sleep(recheck_at);
                    }
                    error
                }
                AcquireOutcome::CircuitOpen(until, last) => {
                    circuit_open(until.saturating_since(self.now), last.as_deref())
                }
                AcquireOutcome::OverBudget(error) => *error,
            };
            if !self.try_fallback(&error) {
                self.end_call(Err(error));
                return Step::Done;
            }
        }
    }

    fn sleep(&mut self, until: Time) -> Step<O::Event> {
        if let State::Ready { at, .. } = &mut self.state {
            *at = until;
        }
        Step::Sleep { until }
    }

    /// Fails if the request cannot be built or authenticated. In that case nothing was sent.
    fn send(&mut self) -> Result<Step<O::Event>, Error> {
        let is_resuming = self.operation.is_resuming();
        if let Some(restart_warning) = self.restart_warning.as_ref().filter(|_| !is_resuming) {
            self.operation
                .warn(&self.target, Warning::clone(restart_warning));
        }
        self.metadata.status = None;
        self.metadata.request_id = None;
        // The rate limits of the last response were applied already, or belong to another target.
        self.metadata.rate_limits.clear();
        if !is_resuming && !self.operation.has_content() {
            self.metrics.ttfb = None;
            self.metrics.ttft = None;
        }
        let encoded = match &mut self.state {
            State::Ready { encoded, .. } => encoded.take(),
            _ => None,
        };
        let request = match encoded {
            Some(encoded) => Ok(encoded.map(RequestBody::from)),
            None => self.operation.request(&self.target),
        };
        let request = request.and_then(|mut request| {
            if !self.operation.is_authenticated() {
                return Ok((request, None));
            }
            let token = self.credentials.claimed.as_ref();
            let secret = self.target.provider.auth().apply(
                &mut request,
                self.wall_clock_now(),
                token.map(|claimed| &*claimed.token),
            )?;
            Ok((request, secret))
        });
        let (request, secret) = request.inspect_err(|_| self.target.permits.on_not_sent())?;
        self.secret = secret;
        self.target.permits.on_sent();
        self.state = State::AwaitHeaders;
        let streaming = O::is_streamed(&self.target.request);
        self.deadlines
            .begin_attempt(self.now, streaming, &self.target.timeouts);
        if is_resuming && self.operation.is_visible() {
            self.deadlines.on_token();
        }
        self.is_sent_once |= !self.operation.can_send_again();
        let moment = self.moment();
        let mut attempt = Attempt::new(moment.now.saturating_since(self.start.now), moment.wall);
        attempt.target = self.fallback.as_ref().map(|_| self.target_name());
        attempt.cost = self
            .options
            .prices
            .as_ref()
            .map(|_| Cost::unknown("tokens"));
        // Most calls have one attempt.
        if self.metrics.attempts.is_empty() {
            self.metrics.attempts = Vec::with_capacity(1);
        }
        self.metrics.attempts.push(attempt);
        self.attempt_open = true;
        Ok(Step::Send {
            request,
            deadlines: self.deadlines.attempt_deadlines(&self.target.timeouts),
        })
    }

    /// Schedules another attempt, not before `at`, and discards everything that the last one received.
    pub(super) fn schedule_attempt(&mut self, at: Time, encoded: Option<Request<Bytes>>) {
        self.operation.reset();
        self.deadlines.clear_attempt();
        if at > self.now {
            self.target.permits.release_while_waiting();
        }
        self.state = State::Ready { at, encoded };
    }

    pub(super) fn finish_attempt(&mut self, error: Option<&Error>) {
        if !self.log_end(error) || !self.target.permits.has_permit() {
            return;
        }
        let jitter = self.rng.unit();
        let report = AttemptReport {
            error,
            spend: spend(self.metrics.attempts.last()),
            limits: &self.metadata.rate_limits,
            jitter,
        };
        self.target.permits.complete(self.now, &report);
    }

    /// Records the end of the open attempt; `false` if no attempt is open.
    pub(super) fn log_end(&mut self, error: Option<&Error>) -> bool {
        if !std::mem::take(&mut self.attempt_open) {
            return false;
        }
        let elapsed = self.now.saturating_since(self.start.now);
        if let Some(attempt) = self.metrics.attempts.last_mut() {
            attempt.duration = elapsed.saturating_sub(attempt.started);
            attempt.error = error.map(Error::kind);
            let in_body = O::secrets(&self.target.request);
            let secrets = self.secret.as_ref().map(Secret::expose);
            attempt.message =
                error.map(|error| error_summary(error, secrets.into_iter().chain(in_body)));
        }
        self.bill_attempt(error);
        true
    }
}

/// # Credentials
impl<O: Operation> Exchange<O> {
    /// Ensures the token for the attempt before a permit is requested. `Ok(None)` if it is available.
    fn claim_credentials(&mut self) -> Result<Option<Step<O::Event>>, Error> {
        // A request to another host carries no token, and a refusal of it says nothing about the token.
        if !self.operation.is_authenticated() {
            self.credentials.claimed = None;
            return Ok(None);
        }
        loop {
            let Some(credentials) = self.target.provider.auth().fetched() else {
                return Ok(None);
            };
            match credentials.claim(self.moment()) {
                Claim::Use(claimed) => {
                    if !self.clock_skew_retried {
                        self.skew = claimed.skew;
                    }
                    self.credentials.set(claimed);
                    return Ok(None);
                }
                Claim::Wait => {
                    let until = self.credentials.look_again(self.now);
                    return Ok(Some(self.sleep(until.min(self.deadlines.total()))));
                }
                Claim::Failed(error) => return Err(error),
                Claim::Lead(lease) => {
                    let fetch = Fetch::new(lease, self.moment(), self.rng.next_u64());
                    let encoded = match &mut self.state {
                        State::Ready { encoded, .. } => encoded.take(),
                        _ => None,
                    };
                    self.state = State::Fetching(Box::new(Fetching {
                        fetch,
                        began: self.now,
                        encoded,
                    }));
                    if let Some(step) = self.poll_fetch() {
                        return Ok(Some(step));
                    }
                }
            }
        }
    }

    /// `None` once the fetch is over. Its result is in the cache.
    fn poll_fetch(&mut self) -> Option<Step<O::Event>> {
        let (moment, total) = (self.moment(), self.deadlines.total());
        let State::Fetching(fetching) = &mut self.state else {
            return None;
        };
        match fetching.fetch.poll(moment, total) {
            FetchPoll::Step(step) => Some(step.without_events()),
            FetchPoll::Done(error) => {
                let encoded = fetching.encoded.take();
                self.metrics.credential_fetches.push(CredentialFetch {
                    source: fetching.fetch.source_name().to_owned(),
                    started: fetching.began.saturating_since(self.start.now),
                    duration: self.now.saturating_since(fetching.began),
                    error,
                    abandoned: self
                        .fallback
                        .as_ref()
                        .map_or(0, |fallback| fallback.abandoned().len()),
                });
                self.state = State::Ready {
                    at: self.now,
                    encoded,
                };
                None
            }
        }
    }
}

/// # The end of a call
impl<O: Operation> Exchange<O> {
    /// Whether a stream has sent its end signal, so that only the end of the body is missing.
    fn is_logically_complete(&self) -> bool {
        matches!(&self.state, State::Body { reader, .. } if reader.is_stream())
            && self.operation.is_complete()
    }

    fn finish_early(&mut self, why: &str) {
        let warning = Warning::new(
            "missing_end",
            format!("the stream was complete, but its body did not end correctly: {why}"),
        );
        if let Err(error) = self.succeed(Some(warning)) {
            self.fail(error);
        }
    }

    fn succeed(&mut self, warning: Option<Warning>) -> Result<(), Error> {
        self.operation.finish(&self.target, warning)?;
        self.finish_attempt(None);
        if self.operation.next_page(&self.target)? {
            self.retries = 0;
            let wait = self.operation.wait_before_next();
            let at = self.now.saturating_add(wait);
            self.schedule_attempt(at.min(self.deadlines.total().max(self.now)), None);
        } else {
            self.end_call(Ok(()));
        }
        Ok(())
    }

    pub(super) fn end_call(&mut self, result: Result<(), Error>) {
        self.deadlines.clear_attempt();
        self.target.permits.finish();
        let secret = self.secret.as_ref().map(Secret::expose);
        if let (Some(id), Some(secret)) = (&mut self.metadata.request_id, secret) {
            scrub(id, secret);
        }
        self.state = State::Done(result.map_err(|mut error| {
            let in_body = O::secrets(&self.target.request);
            for secret in secret.into_iter().chain(in_body) {
                error.scrub(secret);
            }
            if let Some(id) = &self.metadata.request_id {
                error = error.with_request_id(id);
            }
            if let (None, Some(status)) = (error.status(), self.metadata.status) {
                error = error.with_status(status);
            }
            error.with_provider(self.target.provider.name())
        }));
    }
}
