use super::{
    BatchOptions, BatchResult,
    state::{BatchState, NextCall},
};
use crate::{AsyncClient, client::future_set::FutureSet};
use crate::{ChatRequest, Error, UnifiedChatResponse};
use futures_core::Stream;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};
use unifiedai_transport::{AsyncTransport, BoxedAsyncTransport, Time};

impl<T: AsyncTransport + Clone + Unpin + 'static> AsyncClient<T> {
    /// Makes many calls, a limited number at a time, on the task that reads the results. `requests` are pairs of a
    /// key, which the result repeats, and a request (`requests.enumerate()`). They are taken one by one as calls end.
    ///
    /// If the provider's headers report an exhausted rate limit, the next call starts when it is reset. Dropping the
    /// batch cancels its calls.
    ///
    /// # Errors
    /// `invalid_request` for a concurrency of zero.
    pub fn batch<K, I>(
        &self,
        requests: I,
        options: BatchOptions,
    ) -> Result<AsyncBatch<K, IterRequests<I::IntoIter>, T>, Error>
    where
        I: IntoIterator<Item = (K, ChatRequest)>,
    {
        self.batch_stream(IterRequests(requests.into_iter()), options)
    }

    /// [`batch`](Self::batch) for a [`Stream`] of requests.
    ///
    /// # Errors
    /// `invalid_request` for a concurrency of zero.
    pub fn batch_stream<K, S>(
        &self,
        requests: S,
        options: BatchOptions,
    ) -> Result<AsyncBatch<K, S, T>, Error>
    where
        S: Stream<Item = (K, ChatRequest)>,
    {
        Ok(AsyncBatch {
            client: self.clone(),
            requests: Box::pin(requests),
            state: BatchState::new(options.check()?),
            calls: FutureSet::new(),
            pause: None,
        })
    }
}

/// The results of a batch, as a [`Stream`].
pub struct AsyncBatch<K, S, T = BoxedAsyncTransport> {
    client: AsyncClient<T>,
    requests: Pin<Box<S>>,
    state: BatchState<K>,
    calls: FutureSet<CallFuture<K>>,
    pause: Option<(Time, PauseFuture)>,
}

/// After starting this many calls the batch yields to the executor.
const MAX_STARTS_PER_POLL: usize = 64;

type PauseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

type CallFuture<K> =
    Pin<Box<dyn Future<Output = (u64, K, Result<UnifiedChatResponse, Error>)> + Send>>;

impl<K, S, T> AsyncBatch<K, S, T>
where
    T: AsyncTransport + Clone + Unpin + 'static,
    K: Send + Unpin + 'static,
    S: Stream<Item = (K, ChatRequest)>,
{
    /// The next result; `None` after the last. Dropping the future loses no result.
    pub async fn next(&mut self) -> Option<BatchResult<K>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Starts calls while there is room for them, a limited number per poll.
    fn begin(&mut self, cx: &mut Context<'_>) {
        for _ in 0..MAX_STARTS_PER_POLL {
            let now = self.client.transport.now();
            match self.state.next(now) {
                NextCall::Now => {}
                NextCall::NotBefore(at) => {
                    if self.is_pausing(at, cx) {
                        return;
                    }
                    continue;
                }
                NextCall::Later | NextCall::Exhausted => return,
            }
            match self.requests.as_mut().poll_next(cx) {
                Poll::Ready(Some((key, request))) => {
                    let (number, client) = (self.state.start_call(), self.client.clone());
                    self.calls.push(Box::pin(async move {
                        let result = client.chat(request).await;
                        (number, key, result)
                    }));
                }
                Poll::Ready(None) => self.state.set_exhausted(),
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    fn is_pausing(&mut self, at: Time, cx: &mut Context<'_>) -> bool {
        if self.pause.as_ref().is_none_or(|(until, _)| *until != at) {
            let sleeping = self.client.transport.sleep_until(at);
            self.pause = Some((at, Box::pin(sleeping)));
        }
        let pausing = match &mut self.pause {
            Some((_, sleeping)) => sleeping.as_mut().poll(cx).is_pending(),
            None => false,
        };
        if !pausing {
            self.pause = None;
        }
        pausing
    }
}

impl<K, S, T> Stream for AsyncBatch<K, S, T>
where
    T: AsyncTransport + Clone + Unpin + 'static,
    K: Send + Unpin + 'static,
    S: Stream<Item = (K, ChatRequest)>,
{
    type Item = BatchResult<K>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(result) = this.state.take() {
                return Poll::Ready(Some(result));
            }
            this.begin(cx);
            match this.calls.poll_next(cx) {
                Poll::Ready(Some((number, key, result))) => {
                    let now = this.client.transport.now();
                    this.state.finish_call(number, key, result, now);
                }
                Poll::Ready(None) if this.state.is_finished() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<K: fmt::Debug, S, T: fmt::Debug> fmt::Debug for AsyncBatch<K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncBatch")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// An iterator of requests as a [`Stream`].
#[derive(Debug)]
pub struct IterRequests<I>(I);

// The iterator is never pinned, only moved and called.
impl<I> Unpin for IterRequests<I> {}

impl<I: Iterator> Stream for IterRequests<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
