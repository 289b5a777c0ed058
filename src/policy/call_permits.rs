//! A call's share of the limits of its target.

use super::{
    AttemptEstimate, ConcurrencyLimit, ProviderLimits,
    concurrency_limit::{ConcurrencyPermit, QueuedAcquire},
    provider_limits::{Admission, AttemptPermit, AttemptReport, QueueTicket, RetryToken},
};
use crate::Error;
use std::{sync::Arc, task::Waker};
use unifiedai_transport::Time;

/// The permits of a call: to run, and to send a request. They belong to the current target. All are released when the
/// call leaves that target, and when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct CallPermits {
    limiter: Option<Arc<ConcurrencyLimit>>,
    limits: Option<Arc<ProviderLimits>>,
    concurrency: ConcurrencyState,
    /// The position in the queue of the rate limiter.
    queue_ticket: Option<QueueTicket>,
    /// Permit of the current attempt.
    attempt_permit: Option<AttemptPermit>,
    /// Payment for the scheduled retry.
    retry_payment: Option<RetryToken>,
    /// The permit of an abandoned target. It is kept until the driver has dropped the response.
    released: Option<ConcurrencyPermit>,
}

/// The concurrency permit.
#[derive(Debug, Default)]
enum ConcurrencyState {
    #[default]
    None,
    Waiting(QueuedAcquire),
    Held(ConcurrencyPermit),
}

/// Whether an attempt may start.
#[derive(Debug)]
pub(crate) enum AcquireOutcome {
    Granted,
    /// The concurrency limit is reached. The duration of the wait is unknown.
    Queued,
    /// The rate limiter admits the request at `at`, as known now. Without a wake-up, try again at `recheck_at`.
    RateLimited {
        at: Time,
        recheck_at: Time,
    },
    /// The circuit breaker is open until then, for this reason.
    CircuitOpen(Time, Option<Box<str>>),
    /// A budget does not suffice, or the price of the call is unknown.
    OverBudget(Box<Error>),
}

impl CallPermits {
    pub(crate) fn set_provider_limits(&mut self, guard: Option<Arc<ProviderLimits>>) {
        self.limits = guard;
    }

    pub(crate) fn set_limiter(&mut self, limiter: Option<Arc<ConcurrencyLimit>>) {
        self.limiter = limiter;
    }

    /// Acquires the permits of an attempt. The concurrency permit comes first, so that at most that many calls wait
    /// for the rate limiter.
    pub(crate) fn acquire(&mut self, now: Time, estimate: &AttemptEstimate<'_>) -> AcquireOutcome {
        if self.attempt_permit.is_some() {
            return AcquireOutcome::Granted;
        }
        if let Some(limiter) = &self.limiter {
            let acquired = match std::mem::take(&mut self.concurrency) {
                ConcurrencyState::None => limiter.acquire(),
                ConcurrencyState::Waiting(waiter) => waiter.claim(),
                ConcurrencyState::Held(attempt_permit) => Ok(attempt_permit),
            };
            match acquired {
                Ok(attempt_permit) => self.concurrency = ConcurrencyState::Held(attempt_permit),
                Err(waiter) => {
                    self.concurrency = ConcurrencyState::Waiting(waiter);
                    return AcquireOutcome::Queued;
                }
            }
        }
        let Some(guard) = &self.limits else {
            return AcquireOutcome::Granted;
        };
        match guard.admit(now, estimate, &mut self.queue_ticket) {
            Admission::Proceed(attempt_permit) => {
                self.attempt_permit = Some(attempt_permit);
                AcquireOutcome::Granted
            }
            Admission::Wait {
                at,
                recheck_at: look_again,
            } => AcquireOutcome::RateLimited {
                at,
                recheck_at: look_again,
            },
            Admission::CircuitOpen(until, last) => AcquireOutcome::CircuitOpen(until, last),
            Admission::OverBudget(error) => AcquireOutcome::OverBudget(error),
        }
    }

    /// Whether only the end of another call can end the wait, not time.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.concurrency, ConcurrencyState::Waiting(_))
    }

    /// Whether the call has a position in the queue of the rate limiter.
    pub(crate) fn is_paced(&self) -> bool {
        self.queue_ticket.is_some()
    }

    /// Registers `waker` for the moment when another try is useful. Returns the latest such time; `None` if it is
    /// now. `until` is the end of a wait that is unrelated to permits.
    pub(crate) fn wake_by(&self, until: Time, waker: &Waker) -> Option<Time> {
        match (&self.concurrency, &self.queue_ticket) {
            (ConcurrencyState::Waiting(waiter), _) => (!waiter.wake_by(waker)).then_some(until),
            (_, Some(turn)) => turn.wake_by(waker),
            _ => Some(until),
        }
    }

    /// Pays for a retry, if the retry budget allows it.
    pub(crate) fn withdraw_retry_token(&mut self, error: &Error) -> bool {
        let Some(guard) = &self.limits else {
            return true;
        };
        self.retry_payment = guard.withdraw_retry_token(error);
        self.retry_payment.is_some()
    }

    /// The attempt's request is being sent.
    pub(crate) fn on_sent(&mut self) {
        if let Some(retry_payment) = self.retry_payment.take() {
            retry_payment.spend();
        }
    }

    /// The attempt could not start: its request was not sent.
    pub(crate) fn on_not_sent(&mut self) {
        if let Some(attempt_permit) = self.attempt_permit.take() {
            attempt_permit.give_back();
        }
    }

    /// Whether the current attempt has a permit of the provider's limits.
    pub(crate) fn has_permit(&self) -> bool {
        self.attempt_permit.is_some()
    }

    /// The attempt ended.
    pub(crate) fn complete(&mut self, now: Time, report: &AttemptReport<'_>) {
        if let Some(attempt_permit) = self.attempt_permit.take() {
            attempt_permit.complete(now, report);
        }
    }

    /// The call waits, and other calls may run meanwhile.
    pub(crate) fn release_while_waiting(&mut self) {
        if let ConcurrencyState::Held(attempt_permit) = std::mem::take(&mut self.concurrency) {
            self.released = Some(attempt_permit);
        }
    }

    /// The call moves to another target.
    pub(crate) fn switch_target(
        &mut self,
        guard: Option<Arc<ProviderLimits>>,
        limiter: Option<Arc<ConcurrencyLimit>>,
    ) {
        self.finish();
        let keeps = |attempt_permit: &ConcurrencyPermit| {
            let limiter = limiter.as_ref();
            limiter.is_some_and(|limiter| attempt_permit.is_of(limiter))
        };
        if !matches!(&self.concurrency, ConcurrencyState::Held(attempt_permit) if keeps(attempt_permit))
        {
            self.release_while_waiting();
        }
        (self.limits, self.limiter) = (guard, limiter);
    }

    /// No attempt follows. The concurrency permit is kept until the response was read.
    pub(crate) fn finish(&mut self) {
        (self.queue_ticket, self.attempt_permit, self.retry_payment) = (None, None, None);
        if self.is_queued() {
            self.concurrency = ConcurrencyState::None;
        }
    }

    /// Releases the permit of an abandoned target.
    pub(crate) fn release(&mut self) {
        self.released = None;
    }

    /// Takes the concurrency permit, for a driver that has work to do before it releases it.
    pub(crate) fn take_permit(&mut self) -> Option<ConcurrencyPermit> {
        match std::mem::take(&mut self.concurrency) {
            ConcurrencyState::Held(attempt_permit) => Some(attempt_permit),
            ConcurrencyState::None | ConcurrencyState::Waiting(_) => None,
        }
    }
}
