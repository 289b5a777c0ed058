//! What one call holds of the things that all calls to its target share.

use super::{
    Limiter, ProviderLimits,
    guard::{Admission, Permit, Report, RetryPayment, Turn},
    limiter::{LimiterPermit, Waiter},
};
use crate::Error;
use std::{sync::Arc, task::Waker};
use unifiedai_transport::Time;

/// The permits of a call: to run, and to send a request. Each belongs to the target that the call is with; all come back when
/// it leaves that target, and when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Access {
    limiter: Option<Arc<Limiter>>,
    guard: Option<Arc<ProviderLimits>>,
    slot: Slot,
    /// The position in the queue for the guard's pace.
    turn: Option<Turn>,
    /// Of the attempt that is under way.
    permit: Option<Permit>,
    /// For the retry that waits.
    payment: Option<RetryPayment>,
    /// Of what the call has left. It is kept until the driver has dropped the response.
    left: Option<LimiterPermit>,
}

/// The permit to run.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    None,
    Waiting(Waiter),
    Held(LimiterPermit),
}

/// Whether an attempt may begin.
#[derive(Debug)]
pub(crate) enum Entry {
    Granted,
    /// As many run as may. How long it takes is not known.
    Queued,
    /// The pace leaves room at `at`, by what is known now. One that nothing wakes is to ask at `look_again`.
    Paced {
        at: Time,
        look_again: Time,
    },
    /// The circuit is open until then, for this reason.
    Open(Time, Option<Box<str>>),
}

impl Access {
    pub(crate) fn set_provider_limits(&mut self, guard: Option<Arc<ProviderLimits>>) {
        self.guard = guard;
    }

    pub(crate) fn set_limiter(&mut self, limiter: Option<Arc<Limiter>>) {
        self.limiter = limiter;
    }

    /// Asks for the permits of an attempt. First for the one to run, so that at most as many calls wait for the pace.
    pub(crate) fn enter(&mut self, now: Time, tokens: u64) -> Entry {
        if self.permit.is_some() {
            return Entry::Granted;
        }
        if let Some(limiter) = &self.limiter {
            let acquired = match std::mem::take(&mut self.slot) {
                Slot::None => limiter.acquire(),
                Slot::Waiting(waiter) => waiter.claim(),
                Slot::Held(permit) => Ok(permit),
            };
            match acquired {
                Ok(permit) => self.slot = Slot::Held(permit),
                Err(waiter) => {
                    self.slot = Slot::Waiting(waiter);
                    return Entry::Queued;
                }
            }
        }
        let Some(guard) = &self.guard else {
            return Entry::Granted;
        };
        match guard.admit(now, tokens, &mut self.turn) {
            Admission::Go(permit) => {
                self.permit = Some(permit);
                Entry::Granted
            }
            Admission::Wait { at, look_again } => Entry::Paced { at, look_again },
            Admission::Open(until, last) => Entry::Open(until, last),
        }
    }

    /// Whether only another call can end the wait, and no time.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.slot, Slot::Waiting(_))
    }

    /// Whether the call has a position in the queue for the guard's pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.turn.is_some()
    }

    /// Has `waker` woken when it is worth asking again. Returns when that is the case at the latest; `None` if it is now.
    /// `until` is the end of a wait that has nothing to do with permits.
    pub(crate) fn wake_by(&self, until: Time, waker: &Waker) -> Option<Time> {
        match (&self.slot, &self.turn) {
            (Slot::Waiting(waiter), _) => (!waiter.wake_by(waker)).then_some(until),
            (_, Some(turn)) => turn.wake_by(waker),
            _ => Some(until),
        }
    }

    /// Pays for a retry, if the guard allows one.
    pub(crate) fn pay_for_retry(&mut self, error: &Error) -> bool {
        let Some(guard) = &self.guard else {
            return true;
        };
        self.payment = guard.pay_for_retry(error);
        self.payment.is_some()
    }

    /// The attempt begins.
    pub(crate) fn sent(&mut self) {
        if let Some(payment) = self.payment.take() {
            payment.spend();
        }
    }

    /// The attempt cannot begin: its request was not sent.
    pub(crate) fn not_sent(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.give_back();
        }
    }

    /// Whether the guard has given leave for the attempt that is under way.
    pub(crate) fn has_permit(&self) -> bool {
        self.permit.is_some()
    }

    /// The attempt is over.
    pub(crate) fn settle(&mut self, now: Time, report: &Report<'_>) {
        if let Some(permit) = self.permit.take() {
            permit.settle(now, report);
        }
    }

    /// The call waits, and others may run meanwhile.
    pub(crate) fn rest(&mut self) {
        if let Slot::Held(permit) = std::mem::take(&mut self.slot) {
            self.left = Some(permit);
        }
    }

    /// The call turns to another target.
    pub(crate) fn turn_to(
        &mut self,
        guard: Option<Arc<ProviderLimits>>,
        limiter: Option<Arc<Limiter>>,
    ) {
        self.end();
        let keeps = |permit: &LimiterPermit| {
            let limiter = limiter.as_ref();
            limiter.is_some_and(|limiter| permit.is_of(limiter))
        };
        if !matches!(&self.slot, Slot::Held(permit) if keeps(permit)) {
            self.rest();
        }
        (self.guard, self.limiter) = (guard, limiter);
    }

    /// No attempt follows. The permit to run is kept until the answer has been read.
    pub(crate) fn end(&mut self) {
        (self.turn, self.permit, self.payment) = (None, None, None);
        if self.is_queued() {
            self.slot = Slot::None;
        }
    }

    /// Gives back what the call has left.
    pub(crate) fn release(&mut self) {
        self.left = None;
    }

    /// The permit to run, for a driver that has something to do before it is given back.
    pub(crate) fn take_permit(&mut self) -> Option<LimiterPermit> {
        match std::mem::take(&mut self.slot) {
            Slot::Held(permit) => Some(permit),
            Slot::None | Slot::Waiting(_) => None,
        }
    }
}
