//! What one call holds of the things that all calls to its target share.

use super::{
    ConcurrencyLimit, ProviderLimits,
    concurrency_limit::{ConcurrencyPermit, QueuedAcquire},
    provider_limits::{Admission, AttemptPermit, AttemptReport, QueueTicket, RetryToken},
};
use crate::Error;
use std::{sync::Arc, task::Waker};
use unifiedai_transport::Time;

/// The permits of a call: to run, and to send a request. Each belongs to the target that the call is with; all come back when
/// it leaves that target, and when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct CallPermits {
    limiter: Option<Arc<ConcurrencyLimit>>,
    limits: Option<Arc<ProviderLimits>>,
    concurrency: ConcurrencyState,
    /// The position in the queue for the guard's pace.
    queue_ticket: Option<QueueTicket>,
    /// Of the attempt that is under way.
    attempt_permit: Option<AttemptPermit>,
    /// For the retry that waits.
    retry_payment: Option<RetryToken>,
    /// Of what the call has left. It is kept until the driver has dropped the response.
    released: Option<ConcurrencyPermit>,
}

/// The permit to run.
#[derive(Debug, Default)]
enum ConcurrencyState {
    #[default]
    None,
    Waiting(QueuedAcquire),
    Held(ConcurrencyPermit),
}

/// Whether an attempt may begin.
#[derive(Debug)]
pub(crate) enum AcquireOutcome {
    Granted,
    /// As many run as may. How long it takes is not known.
    Queued,
    /// The pace leaves room at `at`, by what is known now. One that nothing wakes is to ask at `recheck_at`.
    RateLimited {
        at: Time,
        recheck_at: Time,
    },
    /// The circuit is open until then, for this reason.
    CircuitOpen(Time, Option<Box<str>>),
}

impl CallPermits {
    pub(crate) fn set_provider_limits(&mut self, guard: Option<Arc<ProviderLimits>>) {
        self.limits = guard;
    }

    pub(crate) fn set_limiter(&mut self, limiter: Option<Arc<ConcurrencyLimit>>) {
        self.limiter = limiter;
    }

    /// Asks for the permits of an attempt. First for the one to run, so that at most as many calls wait for the pace.
    pub(crate) fn acquire(&mut self, now: Time, tokens: u64) -> AcquireOutcome {
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
        match guard.admit(now, tokens, &mut self.queue_ticket) {
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
        }
    }

    /// Whether only another call can end the wait, and no time.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.concurrency, ConcurrencyState::Waiting(_))
    }

    /// Whether the call has a position in the queue for the guard's pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.queue_ticket.is_some()
    }

    /// Has `waker` woken when it is worth asking again. Returns when that is the case at the latest; `None` if it is now.
    /// `until` is the end of a wait that has nothing to do with permits.
    pub(crate) fn wake_by(&self, until: Time, waker: &Waker) -> Option<Time> {
        match (&self.concurrency, &self.queue_ticket) {
            (ConcurrencyState::Waiting(waiter), _) => (!waiter.wake_by(waker)).then_some(until),
            (_, Some(turn)) => turn.wake_by(waker),
            _ => Some(until),
        }
    }

    /// Pays for a retry, if the guard allows one.
    pub(crate) fn withdraw_retry_token(&mut self, error: &Error) -> bool {
        let Some(guard) = &self.limits else {
            return true;
        };
        self.retry_payment = guard.withdraw_retry_token(error);
        self.retry_payment.is_some()
    }

    /// The attempt begins.
    pub(crate) fn on_sent(&mut self) {
        if let Some(retry_payment) = self.retry_payment.take() {
            retry_payment.spend();
        }
    }

    /// The attempt cannot begin: its request was not sent.
    pub(crate) fn on_not_sent(&mut self) {
        if let Some(attempt_permit) = self.attempt_permit.take() {
            attempt_permit.give_back();
        }
    }

    /// Whether the guard has given leave for the attempt that is under way.
    pub(crate) fn has_permit(&self) -> bool {
        self.attempt_permit.is_some()
    }

    /// The attempt is over.
    pub(crate) fn complete(&mut self, now: Time, report: &AttemptReport<'_>) {
        if let Some(attempt_permit) = self.attempt_permit.take() {
            attempt_permit.complete(now, report);
        }
    }

    /// The call waits, and others may run meanwhile.
    pub(crate) fn release_while_waiting(&mut self) {
        if let ConcurrencyState::Held(attempt_permit) = std::mem::take(&mut self.concurrency) {
            self.released = Some(attempt_permit);
        }
    }

    /// The call turns to another target.
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

    /// No attempt follows. The permit to run is kept until the answer has been read.
    pub(crate) fn finish(&mut self) {
        (self.queue_ticket, self.attempt_permit, self.retry_payment) = (None, None, None);
        if self.is_queued() {
            self.concurrency = ConcurrencyState::None;
        }
    }

    /// Gives back what the call has left.
    pub(crate) fn release(&mut self) {
        self.released = None;
    }

    /// The permit to run, for a driver that has something to do before it is given back.
    pub(crate) fn take_permit(&mut self) -> Option<ConcurrencyPermit> {
        match std::mem::take(&mut self.concurrency) {
            ConcurrencyState::Held(attempt_permit) => Some(attempt_permit),
            ConcurrencyState::None | ConcurrencyState::Waiting(_) => None,
        }
    }
}
