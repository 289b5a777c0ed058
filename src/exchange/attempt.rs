//! One attempt: from the permits to send it to its entry in the log.

use super::{
    Exchange, Operation, State, Step,
    explain::{brief, circuit_open, held_back},
};
use crate::{
    Attempt, Error,
    policy::{Entry, Report},
};
use bytes::Bytes;
use http::Request;
use unifiedai_transport::Time;

impl<O: Operation> Exchange<O> {
    /// Sends once there are permits for it, to the first target that has not failed by then.
    pub(super) fn ask(&mut self) -> Step {
        loop {
            let error = match self.access.enter(self.now, self.operation.tokens()) {
                Entry::Granted => match self.send() {
                    Ok(step) => return step,
                    Err(error) => error,
                },
                Entry::Queued => return self.sleep(self.deadlines.total()),
                Entry::Paced { at, look_again } => {
                    let in_time = at < self.deadlines.total();
                    if in_time && !self.has_alternative() {
                        return self.sleep(look_again);
                    }
                    let error = held_back(at.saturating_since(self.now));
                    if self.move_on(&error) {
                        continue;
                    }
                    if in_time {
                        return self.sleep(look_again);
                    }
                    error
                }
                Entry::Open(until, last) => {
                    circuit_open(until.saturating_since(self.now), last.as_deref())
                }
            };
            if !self.move_on(&error) {
                self.end(Err(error));
                return Step::Done;
            }
        }
    }

    fn sleep(&mut self, until: Time) -> Step {
        if let State::Ready { at, .. } = &mut self.state {
            *at = until;
        }
        Step::Sleep { until }
    }

    /// An error if the request cannot be made: nothing was sent then.
    fn send(&mut self) -> Result<Step, Error> {
        if let Some(notice) = &self.notice {
            self.operation.warn(notice.clone());
        }
        self.metadata.status = None;
        self.metadata.request_id = None;
        // Those of the last answer are another target's, or were learned from already.
        self.metadata.rate_limits.clear();
        self.metrics.ttfb = None;
        self.metrics.ttft = None;
        let unsent = match &mut self.state {
            State::Ready { unsent, .. } => unsent.take(),
            _ => None,
        };
        let request = unsent.map_or_else(|| self.operation.request(), Ok);
        let request = request.and_then(|mut request| {
            let secret = self.provider.auth().apply(&mut request, self.wall())?;
            Ok((request, secret))
        });
        let (request, secret) = request.inspect_err(|_| self.access.not_sent())?;
        self.secret = secret;
        self.access.sent();
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
        let limits = self.deadlines.limits();
        Ok(Step::Send { request, limits })
    }

    /// Another attempt, not before `at`. Nothing that the last one brought may be handed out any more.
    pub(super) fn again(&mut self, at: Time, unsent: Option<Request<Bytes>>) {
        self.operation.begin();
        self.deadlines.rest();
        if at > self.now {
            self.access.rest();
        }
        self.state = State::Ready { at, unsent };
    }

    pub(super) fn close_attempt(&mut self, error: Option<&Error>) {
        if !self.log_end(error) || !self.access.has_permit() {
            return;
        }
        let report = Report {
            error,
            used_tokens: self.operation.used_tokens(),
            limits: &self.metadata.rate_limits,
            jitter: self.rng.unit(),
        };
        self.access.settle(self.now, &report);
    }

    /// Writes the end of the attempt into the log. Whether there was one.
    pub(super) fn log_end(&mut self, error: Option<&Error>) -> bool {
        if !std::mem::take(&mut self.under_way) {
            return false;
        }
        let elapsed = self.now.saturating_since(self.start.now);
        if let Some(attempt) = self.metrics.attempts.last_mut() {
            attempt.duration = elapsed.saturating_sub(attempt.started);
            attempt.error = error.map(Error::kind);
            attempt.message = error.map(|error| brief(error, self.secret.as_ref()));
        }
        true
    }
}
