use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Futures that run together in one task. Only those that asked for it are polled.
pub(super) struct Crowd<F> {
    members: Vec<Option<Pin<Box<F>>>>,
    bell: Arc<Bell>,
}

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
            bell: Arc::default(),
        }
    }

    pub(super) fn push(&mut self, future: F) {
        let future = Some(Box::pin(future));
        let number = match self.members.iter().position(Option::is_none) {
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
        if self.members.iter().all(Option::is_none) {
            return Poll::Ready(None);
        }
        while let Some(number) = self.bell.next(cx) {
            let Some(place) = self.members.get_mut(number) else {
                continue;
            };
            let Some(future) = place else { continue };
            let bell = self.bell.clone();
            let waker = Waker::from(Arc::new(Member { number, bell }));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *place = None;
                return Poll::Ready(Some(output));
            }
        }
        Poll::Pending
    }
}

impl Bell {
    fn ring(&self, number: usize) {
        let task = {
            let mut rung = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if rung.queued.insert(number) {
                rung.queue.push_back(number);
            }
            rung.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Who is next; with nobody, the task is woken by the next who rings.
    fn next(&self, cx: &Context<'_>) -> Option<usize> {
        let mut rung = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = rung.queue.pop_front();
        match next {
            Some(number) => {
                rung.queued.remove(&number);
            }
            None => rung.task = Some(cx.waker().clone()),
        }
        next
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.bell.ring(self.number);
    }
}
