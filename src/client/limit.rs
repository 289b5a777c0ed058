//! How many calls of one provider may run at once, in the order in which they asked.

use crate::{Error, ErrorKind};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A number of places, given out first come, first served. All clones of a client share it.
#[derive(Debug)]
pub(crate) struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    next: u64,
    /// Ascending, because tickets are numbered as they come.
    waiting: VecDeque<(u64, Waker)>,
    /// Places that belong to tickets which do not know it yet.
    granted: BTreeSet<u64>,
}

/// One of the places. Dropping it gives it to who waits longest.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limiter>);

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Ticket {
    limiter: Arc<Limiter>,
    number: Option<u64>,
}

impl Limiter {
    /// # Errors
    /// `invalid_request` for zero places, in which nothing could ever run.
    pub(crate) fn new(places: usize) -> Result<Self, Error> {
        if places == 0 {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the most calls at once must be at least 1: with 0 nothing could ever run",
            ));
        }
        Ok(Limiter(Mutex::new(State {
            free: places,
            next: 0,
            waiting: VecDeque::new(),
            granted: BTreeSet::new(),
        })))
    }

    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        Ticket {
            limiter: self.clone(),
            number: None,
        }
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
    /// Passes a place on; the waker is to be called once the lock is gone.
    fn release(&mut self) -> Option<Waker> {
        match self.waiting.pop_front() {
            Some((number, waker)) => {
                self.granted.insert(number);
                Some(waker)
            }
            None => {
                self.free = self.free.saturating_add(1);
                None
            }
        }
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()
    }
}

impl Ticket {
    /// Waits for a place. Ready once.
    pub(crate) fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        let mut state = self.limiter.lock();
        let number = match self.number {
            Some(number) if state.granted.remove(&number) => {
                self.number = None;
                return Poll::Ready(Permit(self.limiter.clone()));
            }
            Some(number) => number,
            None if state.free > 0 => {
                state.free = state.free.saturating_sub(1);
                return Poll::Ready(Permit(self.limiter.clone()));
            }
            None => {
                let number = state.next;
                state.next = state.next.saturating_add(1);
                state.waiting.push_back((number, cx.waker().clone()));
                self.number = Some(number);
                return Poll::Pending;
            }
        };
        if let Some(at) = state.position(number) {
            if let Some((_, waker)) = state.waiting.get_mut(at) {
                waker.clone_from(cx.waker());
            }
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        let mut state = self.limiter.lock();
        // Given to this ticket a moment ago, and not wanted any more.
        if state.granted.remove(&number) {
            let waker = state.release();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        } else if let Some(at) = state.position(number) {
            state.waiting.remove(at);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, proptest};

    fn poll(ticket: &mut Ticket) -> Option<Permit> {
        match ticket.poll_permit(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn zero_places_are_refused() {
        let error = Limiter::new(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn first_come_first_served() {
        let limiter = Arc::new(Limiter::new(1).unwrap());
        let held = poll(&mut limiter.ticket()).unwrap();
        let mut queue: Vec<Ticket> = (0..3).map(|_| limiter.ticket()).collect();
        assert!(queue.iter_mut().all(|ticket| poll(ticket).is_none()));
        drop(held);
        assert!(
            poll(&mut limiter.ticket()).is_none(),
            "nobody jumps the queue"
        );
        assert!(poll(&mut queue[1]).is_none());
        let held = poll(&mut queue[0]).unwrap();
        drop(queue.remove(1));
        drop(held);
        assert!(poll(&mut queue[1]).is_some());
    }

    proptest! {
        // F115
        #[test]
        fn no_place_is_lost_or_made(places in 1..4_usize, steps in prop::collection::vec((0..4_u8, 0..8_usize), 0..200)) {
            let limiter = Arc::new(Limiter::new(places).unwrap());
            let mut tickets: Vec<Ticket> = Vec::new();
            let mut permits: Vec<Permit> = Vec::new();
            for (step, at) in steps {
                match step {
                    0 => tickets.push(limiter.ticket()),
                    1 if at < tickets.len() => {
                        if let Some(permit) = poll(&mut tickets[at]) {
                            permits.push(permit);
                            tickets.remove(at);
                        }
                    }
                    2 if at < tickets.len() => drop(tickets.remove(at)),
                    3 if at < permits.len() => drop(permits.remove(at)),
                    _ => {}
                }
                prop_assert!(permits.len() <= places);
            }
            drop((tickets, permits));
            let state = limiter.lock();
            prop_assert_eq!(state.free, places);
            prop_assert!(state.waiting.is_empty() && state.granted.is_empty());
        }
    }
}
