//! What follows a failure: another attempt, the rest of a response, another target, or the end of the call.

use super::{Exchange, Operation, credentials::CallCredentials};
use crate::{Error, ErrorKind, chat::Warning, policy::FallbackTarget};
use unifiedai_transport::{RequestDelivery, Time, TransportErrorKind};

/// How often a request that was certainly not processed is repeated without counting as a retry.
const MAX_FREE_RETRIES: u32 = 2;

impl<O: Operation> Exchange<O> {
    pub(super) fn fail(&mut self, error: Error) {
        self.finish_attempt(Some(&error));
        if self.operation.take_progress() {
            // The limit is for attempts in a row that get no further.
            self.retries = 0;
        }
        if !self.is_over_time() {
            match self.operation.shrink(&self.target, &error) {
                Ok(true) => return self.schedule_attempt(self.now, None),
                Ok(false) => {}
                Err(error) => return self.end_call(Err(error)),
            }
        }
        let error = self.operation.explain(&self.target, error);
        if !self.is_committed() && self.learn_clock_skew(&error) {
            return self.schedule_attempt(self.now, None);
        }
        if !self.is_committed() && !self.is_over_time() {
            let (auth, moment) = (self.target.provider.auth(), self.moment());
            if self.credentials.renew(auth.fetched(), &error, moment) {
                return self.schedule_attempt(self.now, None);
            }
        }
        if self.try_resume(&error) || self.try_fallback(&error) {
            return;
        }
        match self.retry_at(&error) {
            Some(at) => {
                self.retries = self.retries.saturating_add(1);
                self.schedule_attempt(at, None);
            }
            None => self.end_call(Err(error)),
        }
    }

    /// Handles a transport error. If the connection was closed before the request was sent, the request is sent over
    /// another connection with the same permits, because that is no failure of the provider.
    pub(super) fn fail_or_resend(&mut self, error: Error) {
        let was_not_sent = error.transport().is_some_and(|failure| {
            failure.delivery() == RequestDelivery::NotSent
                && failure.kind() == TransportErrorKind::Reset
        });
        if was_not_sent
            && !self.is_committed()
            && self.free_retries < MAX_FREE_RETRIES
            && !self.is_over_time()
        {
            self.free_retries = self.free_retries.saturating_add(1);
            self.log_end(Some(&error));
            if let Some(attempt) = self.metrics.attempts.last_mut() {
                attempt.replayed = true;
            }
            return self.schedule_attempt(self.now, None);
        }
        self.fail(error);
    }

    pub(super) fn retry_at(&mut self, error: &Error) -> Option<Time> {
        if self.is_committed() || !self.may_resend(error) || !self.operation.may_repeat(error) {
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
        self.target
            .permits
            .withdraw_retry_token(error)
            .then_some(at)
    }

    /// Whether the request can be sent again without the risk that the provider does the work twice.
    pub(super) fn may_resend(&self, error: &Error) -> bool {
        let unanswered = matches!(
            error.kind(),
            ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Truncated | ErrorKind::Protocol
        );
        let refused = error.status().is_some_and(|status| status >= 300);
        let was_not_sent = error
            .transport()
            .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
        !unanswered
            || refused
            || was_not_sent
            || self.options.retry.retry_ambiguous
            || self.operation.is_repeatable()
    }

    /// Asks for the rest of a response that the provider keeps. It costs a token of the retry budget, as a retry does.
    pub(super) fn try_resume(&mut self, error: &Error) -> bool {
        if self.is_over_time() {
            return false;
        }
        let Some((request, failures)) = self.operation.resume(&self.target, error) else {
            return false;
        };
        let retry = &self.options.retry;
        let Some(wait) = retry.wait(failures, error, &mut self.rng) else {
            return false;
        };
        let at = self.now.saturating_add(wait);
        if at >= self.deadlines.total() || !self.target.permits.withdraw_retry_token(error) {
            return false;
        }
        self.schedule_attempt(at, Some(request));
        true
    }

    /// Whether the call is past its point of no return: the body of its request can be sent only once, or an event is
    /// visible that the next attempt would not continue. That a visible event was decoded counts, not that it was
    /// returned: otherwise chunk boundaries would decide.
    pub(super) fn is_committed(&self) -> bool {
        self.is_sent_once || (self.has_streamed() && !self.operation.is_resuming())
    }

    pub(super) fn has_streamed(&self) -> bool {
        O::is_streamed(&self.target.request) && self.operation.is_visible()
    }

    /// Whether content was returned that another target would have to restart.
    pub(super) fn has_returned(&self) -> bool {
        O::is_streamed(&self.target.request) && self.operation.has_content()
    }

    pub(super) fn is_over_time(&self) -> bool {
        self.deadlines.total() <= self.now
    }

    pub(super) fn has_alternative(&self) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|fallback| fallback.has_next())
            && (!self.has_returned()
                || fallback.is_some_and(|fallback| fallback.allow_restart_mid_stream))
    }

    /// Moves to the next target, if the error is specific to this one.
    pub(super) fn try_fallback(&mut self, error: &Error) -> bool {
        let (committed, over_time) = (self.has_returned(), self.is_over_time());
        let Some(fallback) = &mut self.fallback else {
            return false;
        };
        if over_time
            || !fallback.applies_to(error)
            || (committed && !fallback.allow_restart_mid_stream)
        {
            return false;
        }
        fallback.abandon(
            self.target.provider.name(),
            O::model(&self.target.request),
            error,
        );
        while let Some(target) = fallback.next() {
            let (request, encoded) = match self
                .operation
                .encode_for_target(&self.target.request, &target)
            {
                Ok(encoded) => encoded,
                Err(error) => {
                    fallback.abandon(target.provider.name(), &target.model, &error);
                    continue;
                }
            };
            if committed {
                let what = "the response restarts on another model: discard the earlier output";
                self.restart_warning = Some(Box::new(Warning::new("restarted", what)));
            }
            self.switch_target(target, request);
            self.schedule_attempt(self.now, Some(encoded));
            return true;
        }
        false
    }

    pub(super) fn switch_target(&mut self, target: FallbackTarget, request: O::Request) {
        target
            .provider
            .name()
            .clone_into(&mut self.metadata.provider);
        self.target
            .switch_target(target, request, &self.options.timeouts);
        self.secret = None;
        self.credentials = CallCredentials::default();
        (self.retries, self.free_retries) = (0, 0);
        (self.clock_skew_retried, self.skew) = (false, 0);
    }
}
