//! Whether and where a call goes on after an error: the one place in which attempts are repeated.

use super::{Exchange, Operation};
use crate::{Error, ErrorKind, Target, Warning};
use http::Method;
use std::time::Duration;
use unifiedai_transport::{Delivery, FailureKind, Time};

/// A request that surely was not processed is sent again this often without counting as a retry (F59, F60).
const FREE_REPLAYS: u32 = 2;

impl<O: Operation> Exchange<O> {
    pub(super) fn fail(&mut self, error: Error) {
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

    /// The connection failed. Where it had died before the request went out, the attempt goes on over another one, with the
    /// permits that it has: that is no failure of the provider (F59, F60).
    pub(super) fn fail_unanswered(&mut self, error: Error) {
        let unsent = error.transport().is_some_and(|failure| {
            failure.delivery() == Delivery::NotSent && failure.kind() == FailureKind::Reset
        });
        if unsent
            && !self.is_committed()
            && self.free_replays < FREE_REPLAYS
            && !self.is_over_time()
        {
            self.free_replays = self.free_replays.saturating_add(1);
            self.log_end(Some(&error));
            if let Some(attempt) = self.metrics.attempts.last_mut() {
                attempt.replayed = true;
            }
            return self.again(self.now, None);
        }
        self.fail(error);
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
        self.access.pay_for_retry(error).then_some(at)
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

    /// Whether the call is past its point of no return. That a visible event was decoded is what counts, not that it was
    /// handed out: otherwise the way in which bytes are cut into chunks would decide.
    fn is_committed(&self) -> bool {
        self.operation.is_streamed() && self.operation.is_visible()
    }

    pub(super) fn is_over_time(&self) -> bool {
        self.deadlines.total() <= self.now
    }

    /// Turns to the next target, if there is one that can do better.
    pub(super) fn move_on(&mut self, error: &Error) -> bool {
        let (committed, over_time) = (self.is_committed(), self.is_over_time());
        let Some(fallback) = &mut self.fallback else {
            return false;
        };
        if over_time || !fallback.moves_on(error) || (committed && !fallback.restart) {
            return false;
        }
        fallback.leave(self.provider.name(), self.operation.model(), error);
        while let Some(target) = fallback.next() {
            let request = match self.operation.retarget(&target) {
                Ok(request) => request,
                Err(error) => {
                    fallback.leave(target.provider.name(), &target.model, &error);
                    continue;
                }
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

    pub(super) fn turn_to(&mut self, target: Target) {
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
        self.access.turn_to(target.guard, target.limiter);
        self.secret = None;
        (self.retries, self.free_replays) = (0, 0);
        (self.resigned, self.skew) = (false, 0);
    }

    pub(super) fn has_alternative(&self) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|fallback| fallback.has_next())
            && (!self.is_committed() || fallback.is_some_and(|fallback| fallback.restart))
    }

    pub(super) fn target(&self) -> String {
        [self.provider.name(), ".", self.operation.model()].concat()
    }
}
