//! How hyper's HTTP/2 runs its tasks.

use super::Runtime;
use hyper::rt::Executor;
use std::{
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Runs hyper's tasks but the first.
pub(crate) struct Spawn<R> {
    first: Arc<Mutex<First>>,
    runtime: PhantomData<fn() -> R>,
}

/// The first task reads from and writes to the connection, so it is polled together with what hands requests to it.
#[derive(Default)]
enum First {
    #[default]
    Unknown,
    Task(BoxFuture),
    Taken,
}

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<R> Spawn<R> {
    fn first(&self) -> MutexGuard<'_, First> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first task, which the caller polls. The tasks that come later are the runtime's.
    pub(crate) fn take_first(&self) -> Option<BoxFuture> {
        match mem::replace(&mut *self.first(), First::Taken) {
            First::Task(task) => Some(task),
            First::Unknown | First::Taken => None,
        }
    }
}

impl<R> Default for Spawn<R> {
    fn default() -> Self {
        Spawn {
            first: Arc::default(),
            runtime: PhantomData,
        }
    }
}

impl<R> Clone for Spawn<R> {
    fn clone(&self) -> Self {
        Spawn {
            first: Arc::clone(&self.first),
            runtime: PhantomData,
        }
    }
}

impl<R: Runtime, F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn<R> {
    fn execute(&self, task: F) {
        let mut first = self.first();
        if let First::Unknown = &*first {
            *first = First::Task(Box::pin(task));
            return;
        }
        drop(first);
        R::spawn(task);
    }
}
