use super::{
    BatchOptions, BatchResult,
    state::{BatchState, NextCall},
};
use crate::Client;
use crate::{ChatRequest, Error, ErrorKind};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};
use unifiedai_transport::Transport;

impl<T: Transport + Clone + Send + 'static> Client<T> {
    /// Makes many calls, a few at a time, on as many threads. `requests` are pairs of whatever the caller calls a request
    /// by and the request (`requests.enumerate()`), and are taken one by one as there is room.
    ///
    /// If the provider's headers say that an allowance is used up, no further call is begun until it is full again. After
    /// the batch is dropped no further call is begun; those that run go on to their end, unseen.
    ///
    /// # Errors
    /// `invalid_request` for zero calls at once, `misuse` if the system gives no threads.
    pub fn batch<K, I>(&self, requests: I, options: BatchOptions) -> Result<Batch<K>, Error>
    where
        K: Send + 'static,
        I: IntoIterator<Item = (K, ChatRequest)>,
        I::IntoIter: Send + 'static,
    {
        let options = options.check()?;
        let shared = Arc::new(Shared::<K>::new(options));
        let batch = Batch(shared.clone());
        let requests = Arc::new(Mutex::new(requests.into_iter()));
        for _ in 0..options.concurrency {
            let (client, requests) = (self.clone(), requests.clone());
            let worker = Worker::new(shared.clone());
            thread::Builder::new()
                .name("unifiedai-batch".into())
                .spawn(move || worker.run(&client, &requests))
                .map_err(|e| Error::new(ErrorKind::Misuse, format!("no thread to work on: {e}")))?;
        }
        Ok(batch)
    }
}

/// The results of a batch, as an iterator that blocks.
pub struct Batch<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    /// Something of the state changed.
    changed: Condvar,
}

struct State<K> {
    batch: BatchState<K>,
    workers: usize,
    cancelled: bool,
}

/// A thread's part in the batch. When the last one is gone no more results come, whatever ended it.
struct Worker<K>(Arc<Shared<K>>);

impl<K> Shared<K> {
    fn new(options: BatchOptions) -> Self {
        Shared {
            state: Mutex::new(State {
                batch: BatchState::new(options),
                workers: 0,
                cancelled: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<K>>) -> MutexGuard<'a, State<K>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State<K>) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl<K> Worker<K> {
    fn new(shared: Arc<Shared<K>>) -> Self {
        shared.change(|state| state.workers = state.workers.saturating_add(1));
        Worker(shared)
    }

    fn run<T, I>(self, client: &Client<T>, requests: &Mutex<I>)
    where
        T: Transport + Clone,
        I: Iterator<Item = (K, ChatRequest)>,
    {
        while let Some((number, key, request)) = self.next(client, requests) {
            // A panic of an observer must not take a request away: the others would wait for its result for ever.
            let call = AssertUnwindSafe(|| client.chat(request));
            let panicked = |_| Err(Error::new(ErrorKind::Misuse, "the call panicked"));
            let result = catch_unwind(call).unwrap_or_else(panicked);
            let now = client.transport.now();
            self.0
                .change(|state| state.batch.finish_call(number, key, result, now));
        }
    }

    /// The next request, once its call may begin; `None` if there is none any more.
    fn next<T, I>(&self, client: &Client<T>, requests: &Mutex<I>) -> Option<(u64, K, ChatRequest)>
    where
        T: Transport,
        I: Iterator<Item = (K, ChatRequest)>,
    {
        // Held while waiting, so that calls begin in the order of the requests; not the other lock, because the caller's
        // iterator may take its time.
        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.wait_to_start(client) {
            return None;
        }
        let Some((key, request)) = requests.next() else {
            self.0.change(|state| state.batch.set_exhausted());
            return None;
        };
        let number = self.0.change(|state| state.batch.start_call());
        Some((number, key, request))
    }

    fn wait_to_start<T: Transport>(&self, client: &Client<T>) -> bool {
        let mut state = self.0.lock();
        loop {
            if state.cancelled {
                return false;
            }
            let now = client.transport.now();
            state = match state.batch.next(now) {
                NextCall::Now => return true,
                NextCall::Exhausted => return false,
                NextCall::Later => self.0.wait(state),
                NextCall::NotBefore(at) => {
                    let waited = self.0.changed.wait_timeout(state, at.saturating_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<K> Drop for Worker<K> {
    fn drop(&mut self) {
        self.0
            .change(|state| state.workers = state.workers.saturating_sub(1));
    }
}

impl<K> Iterator for Batch<K> {
    type Item = BatchResult<K>;

    fn next(&mut self) -> Option<BatchResult<K>> {
        let mut state = self.0.lock();
        loop {
            if let Some(result) = state.batch.take() {
                drop(state);
                self.0.changed.notify_all();
                return Some(result);
            }
            if state.workers == 0 {
                return None;
            }
            state = self.0.wait(state);
        }
    }
}

impl<K> Drop for Batch<K> {
    fn drop(&mut self) {
        self.0.change(|state| state.cancelled = true);
    }
}

impl<K> fmt::Debug for Batch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}
