use crate::AsyncClient;
use crate::{ChatRequest, Error, UnifiedChatResponse};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use unifiedai_transport::AsyncTransport;

impl<T: AsyncTransport + Clone + Unpin> AsyncClient<T> {
    /// Sends the request, and if no response is complete after a delay, sends it to the model `second` too, named as
    /// in any request. The first response wins, and the other call is dropped. Both calls may cost tokens. Only the
    /// first model gets the request's [`headers`](ChatRequest::headers).
    ///
    /// If the first call fails before the delay is over, its error is the result: hedging is against slowness, a
    /// [`Fallback`](crate::policy::Fallback) is against failure. There is no blocking variant, because a blocking
    /// call cannot be dropped while it runs.
    ///
    /// # Errors
    /// The error of the call that failed last, if both fail.
    pub async fn chat_hedged(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        second: &str,
        after: Duration,
    ) -> Result<UnifiedChatResponse, Error> {
        let request = request.into();
        let mut other = request.clone();
        let of_second = Arc::make_mut(&mut other);
        second.clone_into(&mut of_second.model);
        of_second.headers.clear();
        let until = self.transport.now().saturating_add(after);
        let mut first = pin!(self.chat(request));
        let mut late = pin!(async {
            self.transport.sleep_until(until).await;
            self.chat(other).await
        });
        let (mut first_failed, mut late_failed) = (false, false);
        poll_fn(|cx| {
            if !first_failed {
                if let Poll::Ready(result) = first.as_mut().poll(cx) {
                    first_failed = result.is_err();
                    let alone = self.transport.now() < until;
                    if result.is_ok() || late_failed || alone {
                        return Poll::Ready(result);
                    }
                }
            }
            if !late_failed {
                if let Poll::Ready(result) = late.as_mut().poll(cx) {
                    late_failed = result.is_err();
                    if result.is_ok() || first_failed {
                        return Poll::Ready(result);
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}
