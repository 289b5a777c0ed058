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
    /// Makes many calls, a limited number at a time, on as many threads. `requests` are pairs of a key, which the
    /// result repeats, and a request (`requests.enumerate()`). They are taken one by one as calls end.
    ///
    /// If the provider's headers report an exhausted rate limit, the next call starts when it is reset. After the
    /// batch is dropped no further call starts; running calls continue to their end, and their results are discarded.
    ///
    /// # Errors
    /// `invalid_request` for a concurrency of zero, `misuse` if the system refuses to start threads.
    #[expect(clippy::disallowed_methods, reason = "a blocking batch has threads")]
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
                .map_err(|e| {
                    Error::new(
                        ErrorKind::Misuse,
                        format!("a worker thread of the batch could not be started: {e}"),
                    )
                })?;
        }
        Ok(batch)
    }
}

/// The results of a batch, as an iterator that blocks.
pub struct Batch<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    /// Signals each change of the state.
    changed: Condvar,
}

struct State<K> {
    batch: BatchState<K>,
    workers: usize,
    cancelled: bool,
}

/// One thread's share of the batch. When the last worker is dropped, for whatever reason, the batch ends.
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
            // Without this a panicking observer would lose the request, and the reader would wait for its result for
            // ever.
            let call = AssertUnwindSafe(|| client.chat(request));
            let panicked = |_| {
                Err(Error::new(
                    ErrorKind::Misuse,
                    "the call panicked, probably in an observer",
                ))
            };
            let result = catch_unwind(call).unwrap_or_else(panicked);
            let now = client.transport.now();
            self.0
                .change(|state| state.batch.finish_call(number, key, result, now));
        }
    }

    /// The next request, once its call may start; `None` after the last.
    fn next<T, I>(&self, client: &Client<T>, requests: &Mutex<I>) -> Option<(u64, K, ChatRequest)>
    where
        T: Transport,
        I: Iterator<Item = (K, ChatRequest)>,
    {
        // Held while waiting, so that calls start in the order of the requests. It is not the state's lock, because
        // the caller's iterator may be slow.
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
