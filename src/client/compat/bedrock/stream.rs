use super::events::{ConverseEvent, event, metadata};
use crate::{AsyncChatStream, ChatStream, Error, StreamEvent};
use futures_core::Stream;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};
use unifiedai_transport::{AsyncTransport, BoxedAsyncTransport, BoxedTransport, Transport};

/// The events of a streamed response in Bedrock's shape, as an iterator.
#[derive(Debug)]
pub struct ConverseStream<T: Transport = BoxedTransport> {
    stream: Option<ChatStream<T>>,
    order: BlockOrder,
}

/// The events of a streamed response in Bedrock's shape, as a [`Stream`].
#[derive(Debug)]
pub struct AsyncConverseStream<T: AsyncTransport = BoxedAsyncTransport> {
    stream: Option<AsyncChatStream<T>>,
    order: BlockOrder,
}

/// Emits Bedrock's first event before all others.
#[derive(Debug, Default)]
struct BlockOrder {
    started: bool,
    held: Option<ConverseEvent>,
}

impl BlockOrder {
    fn next(&mut self, seen: StreamEvent) -> Option<ConverseEvent> {
        let event = event(seen)?;
        if std::mem::replace(&mut self.started, true) {
            return Some(event);
        }
        self.held = Some(event);
        Some(ConverseEvent::MessageStart { role: "assistant" })
    }
}

impl<T: Transport> ConverseStream<T> {
    pub(super) fn new(stream: ChatStream<T>) -> Self {
        ConverseStream {
            stream: Some(stream),
            order: BlockOrder::default(),
        }
    }
}

impl<T: Transport> Iterator for ConverseStream<T> {
    type Item = Result<ConverseEvent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.order.held.take() {
            return Some(Ok(event));
        }
        loop {
            match self.stream.as_mut()?.next() {
                Some(Ok(event)) => {
                    if let Some(event) = self.order.next(event) {
                        return Some(Ok(event));
                    }
                }
                Some(Err(error)) => {
                    self.stream = None;
                    return Some(Err(error));
                }
                None => {
                    let response = self.stream.take()?.into_response();
                    return Some(response.map(|response| metadata(&response)));
                }
            }
        }
    }
}

impl<T: AsyncTransport + Unpin> AsyncConverseStream<T> {
    pub(super) fn new(stream: AsyncChatStream<T>) -> Self {
        AsyncConverseStream {
            stream: Some(stream),
            order: BlockOrder::default(),
        }
    }

    /// The next event. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<ConverseEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: AsyncTransport + Unpin> Stream for AsyncConverseStream<T> {
    type Item = Result<ConverseEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.order.held.take() {
            return Poll::Ready(Some(Ok(event)));
        }
        loop {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(stream).poll_next(cx)) {
                Some(Ok(event)) => {
                    if let Some(event) = self.order.next(event) {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
                Some(Err(error)) => {
                    self.stream = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let Some(stream) = self.stream.take() else {
                        return Poll::Ready(None);
                    };
                    // The stream has ended, so its response is ready.
                    let response = std::pin::pin!(stream.into_response()).poll(cx);
                    return response.map(|response| Some(response.map(|r| metadata(&r))));
                }
            }
        }
    }
}
