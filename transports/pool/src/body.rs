use crate::{Alarm, Target, connection::Connection, error, pool::Pool};
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
    reading: Option<(Incoming, Connection)>,
    pool: Arc<Pool>,
    target: Target,
    alarm: A,
}

impl<A: Alarm> Body<A> {
    pub(crate) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Arc<Pool>,
        target: Target,
        alarm: A,
    ) -> Self {
        Body {
            reading: Some((incoming, connection)),
            pool,
            target,
            alarm,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Bytes>>> {
        let Some((incoming, connection)) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let mut driven = false;
        loop {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not data.
                    if let Ok(data) = frame.into_data() {
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
    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some((incoming, mut connection)) = self.reading.take() {
            drop(incoming);
            if connection.is_idle(cx) {
                self.pool.put(&self.target, connection, A::now());
            }
        }
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
            Poll::Ready(Some(Err(error))) => {
                self.reading = None;
                Poll::Ready(Err(error::reading(error, &self.target.host)))
            }
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(Ok(None))
            }
            Poll::Pending => {
                ready!(self.alarm.poll(cx, deadline));
                Poll::Ready(Err(error::silent(&self.target.host)))
            }
        }
    }
}

impl<A: Alarm> Drop for Body<A> {
    fn drop(&mut self) {
        self.finish(&mut Context::from_waker(Waker::noop()));
    }
}

impl<A: Alarm> fmt::Debug for Body<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
