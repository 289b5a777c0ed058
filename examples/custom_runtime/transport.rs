use crate::peer::Peer;
use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};
use unifiedai::{
    sans_io::Input,
    transport::{
        AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery,
        Time, TransportError, TransportErrorKind,
    },
};

/// Sockets that are asked once a frame whether something has come.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    began: Instant,
}

/// The rest of a response.
pub(crate) struct Rest {
    peer: Peer,
    began: Instant,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Frames {
            began: Instant::now(),
        }
    }
}

impl AsyncTransport for Frames {
    type Body = Rest;

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.began.elapsed())
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<Rest>, TransportError>> + Send + 'static {
        let io = *self;
        async move {
            // Connecting and writing stop the frame: on loopback nobody will notice.
            let mut peer = Peer::send(&request, Duration::from_secs(1))?;
            peer.socket().set_nonblocking(true).map_err(|error| {
                TransportError::new(
                    TransportErrorKind::Other,
                    RequestDelivery::MaybeProcessed,
                    error.to_string(),
                )
            })?;
            let head = poll_fn(|_| match peer.next() {
                Some(Input::Headers(head)) => Poll::Ready(Ok(head)),
                Some(Input::TransportError(error)) => Poll::Ready(Err(error)),
                None if io.now() >= limits.headers => Poll::Ready(Err(late(Phase::Headers))),
                _ => Poll::Pending,
            });
            let head = head.await?;
            Ok(http::Response::from_parts(
                head,
                Rest {
                    peer,
                    began: io.began,
                },
            ))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let io = *self;
        poll_fn(move |_| {
            if io.now() >= at {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl AsyncResponseBody for Rest {
    fn poll_chunk(
        &mut self,
        _: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        match self.peer.next() {
            Some(Input::Body(bytes)) => Poll::Ready(Ok(Some(bytes))),
            Some(Input::TransportError(error)) => Poll::Ready(Err(error)),
            Some(_) => Poll::Ready(Ok(None)),
            None if Time::ZERO.saturating_add(self.began.elapsed()) >= deadline => {
                Poll::Ready(Err(late(Phase::Body)))
            }
            None => Poll::Pending,
        }
    }
}

fn late(phase: Phase) -> TransportError {
    let delivery = match phase {
        Phase::Body => RequestDelivery::Answered,
        _ => RequestDelivery::MaybeProcessed,
    };
    TransportError::new(
        TransportErrorKind::Timeout(phase),
        delivery,
        "nothing came in time",
    )
}
