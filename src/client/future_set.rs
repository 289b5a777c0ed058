//! A set of futures.
//!
//! `FuturesUnordered` of `futures-util` does this too. It brings four crates (`futures-task`, `futures-util`, `pin-project-lite`,
//! `slab`), with which the tree of the core would have more than the 25 that CI allows.

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Futures that run concurrently in one task. A poll only polls those that were woken.
pub(crate) struct FutureSet<F> {
    entries: Vec<Option<Pin<Box<F>>>>,
    /// Free indexes of `entries`.
    free: Vec<usize>,
    ready: Arc<ReadyQueue>,
    /// Results since the set last yielded to the executor.
    results_since_yield: usize,
}

/// After this many results, or this many polls without one, the set yields to the executor.
const MAX_RESULTS_PER_POLL: usize = 64;

/// The woken entries, and the task that polls the set.
#[derive(Default)]
struct ReadyQueue(Mutex<ReadyState>);

#[derive(Default)]
struct ReadyState {
    /// In the order in which they were woken; each entry at most once.
    queue: VecDeque<usize>,
    queued: BTreeSet<usize>,
    task: Option<Waker>,
}

struct EntryWaker {
    number: usize,
    ready: Arc<ReadyQueue>,
}

impl<F: Future> FutureSet<F> {
    pub(crate) fn new() -> Self {
        FutureSet {
            entries: Vec::new(),
            free: Vec::new(),
            results_since_yield: 0,
            ready: Arc::default(),
        }
    }

    pub(crate) fn push(&mut self, future: F) {
        let future = Some(Box::pin(future));
        let number = match self.free.pop() {
            Some(free) => free,
            None => {
                self.entries.push(None);
                self.entries.len().saturating_sub(1)
            }
        };
        if let Some(place) = self.entries.get_mut(number) {
            *place = future;
        }
        self.ready.mark_ready(number);
    }

    /// The result of an entry that is ready; `None` if the set is empty.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.entries.len() == self.free.len() {
            return Poll::Ready(None);
        }
        if self.results_since_yield >= MAX_RESULTS_PER_POLL {
            self.results_since_yield = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Each entry at most once: an entry that wakes itself while it is polled, as tokio's sockets do once the
        // task's budget is used up, would do so until the task yields.
        for _ in 0..self.ready.waiting().min(MAX_RESULTS_PER_POLL) {
            let Some(number) = self.ready.pop() else {
                break;
            };
            let Some(place) = self.entries.get_mut(number) else {
                continue;
            };
            let Some(future) = place else { continue };
            let bell = self.ready.clone();
            let waker = Waker::from(Arc::new(EntryWaker {
                number,
                ready: bell,
            }));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *place = None;
                self.free.push(number);
                self.results_since_yield = self.results_since_yield.saturating_add(1);
                return Poll::Ready(Some(output));
            }
        }
        self.ready.set_task(cx);
        Poll::Pending
    }
}

impl ReadyQueue {
    fn mark_ready(&self, number: usize) {
        let task = {
            let mut state = self.lock();
            if state.queued.insert(number) {
                state.queue.push_back(number);
            }
            state.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// The next woken entry.
    fn pop(&self) -> Option<usize> {
        let mut state = self.lock();
        let number = state.queue.pop_front()?;
        state.queued.remove(&number);
        Some(number)
    }

    /// Registers the task's waker; wakes the task immediately if an entry was woken already.
    fn set_task(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.task = Some(cx.waker().clone());
        } else {
            drop(state);
            cx.waker().wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReadyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for EntryWaker {
    fn wake(self: Arc<Self>) {
        self.ready.mark_ready(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[test]
    fn entries_that_are_always_ready_let_the_task_yield() {
        let mut futures = FutureSet::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut in_a_row = 0;
        while in_a_row < 1000 {
            futures.push(std::future::ready(()));
            match futures.poll_next(&mut cx) {
                Poll::Ready(_) => in_a_row += 1,
                Poll::Pending => break,
            }
        }
        assert_eq!(in_a_row, MAX_RESULTS_PER_POLL);
    }

    #[test]
    fn one_poll_drives_a_bounded_number_of_entries() {
        let polls = std::cell::Cell::new(0);
        let mut futures = FutureSet::new();
        for _ in 0..1000 {
            futures.push(poll_fn(|cx| {
                polls.set(polls.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
        }
        assert_eq!(
            futures.poll_next(&mut Context::from_waker(Waker::noop())),
            Poll::Pending
        );
        assert_eq!(polls.get(), MAX_RESULTS_PER_POLL);
    }

    #[test]
    fn an_entry_that_wakes_itself_lets_the_task_yield() {
        let mut futures = FutureSet::new();
        let mut polls = 0;
        futures.push(poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 3 {
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(futures.poll_next(&mut cx), Poll::Pending);
        assert_eq!(futures.poll_next(&mut cx), Poll::Pending);
        assert_eq!(futures.poll_next(&mut cx), Poll::Ready(Some(3)));
        assert_eq!(futures.poll_next(&mut cx), Poll::Ready(None));
    }
}
