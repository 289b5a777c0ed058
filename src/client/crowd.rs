use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Futures that run together in one task. Only those that asked for it are polled.
pub(super) struct Crowd<F> {
    members: Vec<Option<Pin<Box<F>>>>,
    /// The places among them that are free.
    free: Vec<usize>,
    bell: Arc<Bell>,
    /// Results since it last gave way.
    unyielded: usize,
}

/// After so many results, or members polled for none, it gives way to the other tasks of the thread.
const MOST_AT_ONCE: usize = 64;

/// Who wants to be polled, and the task that does it.
#[derive(Default)]
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    /// In the order in which they rang, so that nobody is passed over; each of them once.
    queue: VecDeque<usize>,
    queued: BTreeSet<usize>,
    task: Option<Waker>,
}

struct Member {
    number: usize,
    bell: Arc<Bell>,
}

impl<F: Future> Crowd<F> {
    pub(super) fn new() -> Self {
        Crowd {
            members: Vec::new(),
            free: Vec::new(),
            unyielded: 0,
            bell: Arc::default(),
        }
    }

    pub(super) fn push(&mut self, future: F) {
        let future = Some(Box::pin(future));
        let number = match self.free.pop() {
            Some(free) => free,
            None => {
                self.members.push(None);
                self.members.len().saturating_sub(1)
            }
        };
        if let Some(place) = self.members.get_mut(number) {
            *place = future;
        }
        self.bell.ring(number);
    }

    /// The result of one that is ready; `None` if nobody is left.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.members.len() == self.free.len() {
            return Poll::Ready(None);
        }
        if self.unyielded >= MOST_AT_ONCE {
            self.unyielded = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Each at most once: who rings while it is polled, as tokio's sockets do once a task has had its share, rings again and
        // again until the task has given way.
        for _ in 0..self.bell.waiting().min(MOST_AT_ONCE) {
            let Some(number) = self.bell.next() else {
                break;
            };
            let Some(place) = self.members.get_mut(number) else {
                continue;
            };
            let Some(future) = place else { continue };
            let bell = self.bell.clone();
            let waker = Waker::from(Arc::new(Member { number, bell }));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *place = None;
                self.free.push(number);
                self.unyielded = self.unyielded.saturating_add(1);
                return Poll::Ready(Some(output));
            }
        }
        self.bell.call(cx);
        Poll::Pending
    }
}

impl Bell {
    fn ring(&self, number: usize) {
        let task = {
            let mut rung = self.rung();
            if rung.queued.insert(number) {
                rung.queue.push_back(number);
            }
            rung.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    fn waiting(&self) -> usize {
        self.rung().queue.len()
    }

    /// Who is next.
    fn next(&self) -> Option<usize> {
        let mut rung = self.rung();
        let number = rung.queue.pop_front()?;
        rung.queued.remove(&number);
        Some(number)
    }

    /// Has the task woken by the next who rings, or at once if somebody has.
    fn call(&self, cx: &Context<'_>) {
        let mut rung = self.rung();
        if rung.queue.is_empty() {
            rung.task = Some(cx.waker().clone());
        } else {
            drop(rung);
            cx.waker().wake_by_ref();
        }
    }

    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.bell.ring(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[test]
    fn members_that_are_always_ready_do_not_keep_the_task() {
        let mut crowd = Crowd::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut in_a_row = 0;
        while in_a_row < 1000 {
            crowd.push(std::future::ready(()));
            match crowd.poll_next(&mut cx) {
                Poll::Ready(_) => in_a_row += 1,
                Poll::Pending => break,
            }
        }
        assert_eq!(in_a_row, MOST_AT_ONCE);
    }

    #[test]
    fn one_poll_drives_a_number_of_members_and_no_more() {
        let polls = std::cell::Cell::new(0);
        let mut crowd = Crowd::new();
        for _ in 0..1000 {
            crowd.push(poll_fn(|cx| {
                polls.set(polls.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
        }
        assert_eq!(
            crowd.poll_next(&mut Context::from_waker(Waker::noop())),
            Poll::Pending
        );
        assert_eq!(polls.get(), MOST_AT_ONCE);
    }

    #[test]
    fn one_that_rings_while_it_is_polled_does_not_keep_the_task() {
        let mut crowd = Crowd::new();
        let mut polls = 0;
        crowd.push(poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 3 {
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(crowd.poll_next(&mut cx), Poll::Pending);
        assert_eq!(crowd.poll_next(&mut cx), Poll::Pending);
        assert_eq!(crowd.poll_next(&mut cx), Poll::Ready(Some(3)));
        assert_eq!(crowd.poll_next(&mut cx), Poll::Ready(None));
    }
}
