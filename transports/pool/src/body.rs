use crate::{Alarm, connection::Connection, error, pool::Pool};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};
use unifiedai_transport::{AsyncBody, Time, TransportError};

/// A response's body, read as it comes. It holds and drives its connection.
pub struct Body<A: Alarm> {
    /// Both are gone once the body has ended.
    reading: Option<(Incoming, Connection<A>)>,
    pool: Arc<Pool<A>>,
    /// Whether the last piece had to be fetched from the connection. Then the next one has to be, too.
    fetching: bool,
}

impl<A: Alarm> Body<A> {
    pub(crate) fn new(incoming: Incoming, connection: Connection<A>, pool: Arc<Pool<A>>) -> Self {
        Body {
            reading: Some((incoming, connection)),
            pool,
            fetching: false,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Bytes>>> {
        let Some((incoming, connection)) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let mut unread = Context::from_waker(connection.waker(cx));
        let mut driven = self.fetching;
        if driven {
            connection.drive(cx);
        }
        loop {
            match Pin::new(&mut *incoming).poll_frame(&mut unread) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not data.
                    if let Ok(data) = frame.into_data() {
                        self.fetching = driven;
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {
                    connection.drive(cx);
                    driven = true;
                }
            }
        }
    }

    /// Gives the connection back if the body was read to its end, or hyper can do so from what has arrived.
    fn finish(&mut self, ended: bool) {
        if let Some((incoming, mut connection)) = self.reading.take() {
            drop(incoming);
            if !ended {
                // The codec has to see that nobody reads on. Until then it may seem to be ready.
                connection.drive(&mut Context::from_waker(Waker::noop()));
            }
            if ended && connection.is_done() || connection.is_idle() {
                connection.rest();
                self.pool.put(connection, A::now());
            }
        }
    }

    fn fail(&mut self, error: hyper::Error) -> TransportError {
        let reading = self.reading.take();
        let host = reading
            .as_ref()
            .map_or("", |(_, connection)| connection.host());
        error::reading(error, host)
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>, deadline: Time) -> Poll<TransportError> {
        let Some((_, connection)) = &mut self.reading else {
            return Poll::Pending;
        };
        ready!(connection.poll_alarm(cx, deadline));
        Poll::Ready(error::silent(connection.host()))
    }
}

impl<A: Alarm> AsyncBody for Body<A> {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        match self.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => Poll::Ready(Ok(Some(data))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(self.fail(error))),
            Poll::Ready(None) => {
                self.finish(true);
                Poll::Ready(Ok(None))
            }
            Poll::Pending => self.poll_silence(cx, deadline).map(Err),
        }
    }
}

impl<A: Alarm> Drop for Body<A> {
    fn drop(&mut self) {
        self.finish(false);
    }
}

impl<A: Alarm> fmt::Debug for Body<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
