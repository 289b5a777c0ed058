//! A limit of concurrent attempts per provider, in FIFO order.

use crate::{Error, ErrorKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// A number of permits, granted in FIFO order. All clones of a client share it.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    next: u64,
    /// By number, in the order of arrival. The waker is set once a driver has registered it.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Permits of waiters that have not claimed them yet.
    granted: BTreeSet<u64>,
}

/// Permission to run. Dropping it passes it to the first waiter.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit(Arc<ConcurrencyLimit>);

/// A position in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct QueuedAcquire {
    limiter: Arc<ConcurrencyLimit>,
    number: u64,
}

impl ConcurrencyLimit {
    /// # Errors
    /// `invalid_request` for zero permits.
    pub(crate) fn new(permits: usize) -> Result<Self, Error> {
        if permits == 0 {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the limit of concurrent calls must be at least 1, but is 0",
            ));
        }
        Ok(ConcurrencyLimit(Mutex::new(State {
            free: permits,
            next: 0,
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
        })))
    }

    /// A permit, or the last position in the queue.
    pub(crate) fn acquire(self: &Arc<Self>) -> Result<ConcurrencyPermit, QueuedAcquire> {
        let mut state = self.lock();
        if let Some(left) = state.free.checked_sub(1) {
            state.free = left;
            return Ok(ConcurrencyPermit(self.clone()));
        }
        let number = state.next;
        state.next = state.next.saturating_add(1);
        state.waiting.insert(number, None);
        Err(QueuedAcquire {
            limiter: self.clone(),
            number,
        })
    }

    fn release(&self) {
        let waker = self.lock().release();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Passes a permit on. Call the returned waker after the lock is released.
    fn release(&mut self) -> Option<Waker> {
        let Some((number, waker)) = self.waiting.pop_first() else {
            self.free = self.free.saturating_add(1);
            return None;
        };
        self.granted.insert(number);
        waker
    }
}

impl ConcurrencyPermit {
    pub(crate) fn is_of(&self, limiter: &Arc<ConcurrencyLimit>) -> bool {
        Arc::ptr_eq(&self.0, limiter)
    }
}

impl QueuedAcquire {
    /// The permit, if it was granted.
    pub(crate) fn claim(self) -> Result<ConcurrencyPermit, QueuedAcquire> {
        let granted = self.limiter.lock().granted.remove(&self.number);
        if granted {
            Ok(ConcurrencyPermit(self.limiter.clone()))
        } else {
            Err(self)
        }
    }

    /// Registers `waker` for the moment when the permit is granted. Returns whether it was granted already.
    pub(crate) fn wake_by(&self, waker: &Waker) -> bool {
        let mut state = self.limiter.lock();
        match state.waiting.get_mut(&self.number) {
            Some(Some(known)) => known.clone_from(waker),
            Some(none) => *none = Some(waker.clone()),
            None => return true,
        }
        false
    }
}

impl Drop for QueuedAcquire {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        if state.waiting.remove(&self.number).is_some() {
            return;
        }
        // Granted, but no longer wanted.
        if state.granted.remove(&self.number) {
            let waker = state.release();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, proptest};
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    #[test]
    fn a_limit_of_zero_is_refused() {
        let error = ConcurrencyLimit::new(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn permits_are_granted_in_fifo_order() {
        let limiter = Arc::new(ConcurrencyLimit::new(1).unwrap());
        let held = limiter.acquire().unwrap();
        let mut queue: Vec<QueuedAcquire> =
            (0..3).map(|_| limiter.acquire().unwrap_err()).collect();
        drop(held);
        let late = limiter.acquire().expect_err("the queue was jumped");
        let second = queue.remove(1).claim().unwrap_err();
        let held = queue.remove(0).claim().unwrap();
        drop(second);
        drop(held);
        let held = queue.remove(0).claim().unwrap();
        assert!(late.claim().is_err());
        drop(held);
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_waiter_is_woken_once_when_its_permit_is_granted() {
        const WAITERS: usize = 1000;
        let limiter = Arc::new(ConcurrencyLimit::new(1).unwrap());
        let mut held = limiter.acquire().unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let queue: Vec<QueuedAcquire> = (0..WAITERS)
            .map(|_| limiter.acquire().unwrap_err())
            .collect();
        assert!(queue.iter().all(|waiter| !waiter.wake_by(&waker)));
        for (before, waiter) in queue.into_iter().enumerate() {
            assert_eq!(woken.0.load(Ordering::Relaxed), before);
            drop(held);
            assert!(waiter.wake_by(&waker));
            held = waiter.claim().unwrap();
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), WAITERS);
    }

    proptest! {
        // F115
        #[test]
        fn no_permit_is_lost_or_made(permits in 1..4_usize, steps in prop::collection::vec((0..4_u8, 0..8_usize), 0..200)) {
            let limiter = Arc::new(ConcurrencyLimit::new(permits).unwrap());
            let mut waiters: Vec<QueuedAcquire> = Vec::new();
            let mut held: Vec<ConcurrencyPermit> = Vec::new();
            for (step, at) in steps {
                match step {
                    0 => match limiter.acquire() {
                        Ok(attempt_permit) => held.push(attempt_permit),
                        Err(waiter) => waiters.push(waiter),
                    },
                    1 if at < waiters.len() => match waiters.remove(at).claim() {
                        Ok(attempt_permit) => held.push(attempt_permit),
                        Err(waiter) => waiters.insert(at, waiter),
                    },
                    2 if at < waiters.len() => drop(waiters.remove(at)),
                    3 if at < held.len() => drop(held.remove(at)),
                    _ => {}
                }
                prop_assert!(held.len() <= permits);
            }
            drop((waiters, held));
            let state = limiter.lock();
            prop_assert_eq!(state.free, permits);
            prop_assert!(state.waiting.is_empty() && state.granted.is_empty());
        }
    }
}
