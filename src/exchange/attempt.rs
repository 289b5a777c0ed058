//! One attempt: from leave to send it to its entry in the log.

use super::{
    Exchange, Operation, State, Step,
    explain::{brief, circuit_open, held_back},
};
use crate::{
    Attempt, Error,
    policy::{Admission, Report},
};
use bytes::Bytes;
use http::Request;
use unifiedai_transport::Time;

impl<O: Operation> Exchange<O> {
    /// Sends, if the guard gives leave.
    pub(super) fn ask(&mut self) -> Step {
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
        let limits = self.deadlines.limits();
        Step::Send { request, limits }
    }

    fn end_unsent(&mut self, error: Error) -> Step {
        self.end(Err(error));
        Step::Done
    }

    /// Another attempt, not before `at`. Nothing that the last one brought may be handed out any more.
    pub(super) fn again(&mut self, at: Time, unsent: Option<Request<Bytes>>) {
        self.operation.begin();
        self.deadlines.rest();
        self.state = State::Ready { at, unsent };
    }

    pub(super) fn close_attempt(&mut self, error: Option<&Error>) {
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
}
