use crate::{
    Alarm, RequestBody,
    connection::{Answer, Answering, Connection, Opening, Wire},
    error::{self, is_too_large},
    target,
};
use bytes::Bytes;
use http::{Method, Request, Response, header::CONNECTION};
use hyper::body::Incoming;
use std::task::{Context, Poll, ready};
use unifiedai_transport::{Time, TransportError};

/// A connection whose codec has a request, and what comes of it.
pub(crate) struct Sent<A> {
    pub(crate) connection: Connection<A>,
    awaited: Awaited,
    method: Method,
    /// Whether the request said something of the connection, so that it may be the last one here.
    last: bool,
}

enum Awaited {
    Answer(Answering),
    /// A codec that can read a head as large as this answer's.
    Codec(Opening),
}

impl<A: Alarm> Sent<A> {
    pub(crate) fn new(mut connection: Connection<A>, mut request: Request<Bytes>) -> Self {
        let method = request.method().clone();
        let last = request.headers().contains_key(CONNECTION);
        target::state_empty_body(&mut request);
        let awaited = Awaited::Answer(connection.send(request));
        Sent {
            connection,
            awaited,
            method,
            last,
        }
    }

    /// The head of the answer, unless `by` comes before.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        by: Time,
    ) -> Poll<Result<Response<Incoming>, TransportError>> {
        match self.poll_answer(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => {
                Poll::Ready(Err(error::sending(error, self.connection.host())))
            }
            Poll::Pending => {
                ready!(self.connection.poll_alarm(cx, by));
                Poll::Ready(Err(error::unanswered(self.connection.host())))
            }
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            match &mut self.awaited {
                Awaited::Answer(answering) => {
                    match ready!(self.connection.poll_answer(cx, answering)) {
                        Err(error) if is_too_large(&error) => match self.connection.larger() {
                            Some(larger) => self.awaited = Awaited::Codec(larger),
                            None => return Poll::Ready(Err(error)),
                        },
                        answer => return Poll::Ready(answer),
                    }
                }
                Awaited::Codec(larger) => {
                    let mut larger = match ready!(larger.as_mut().poll(cx)) {
                        Ok(larger) => larger,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    larger.unfit |= self.last;
                    // It begins with a request, too, which goes nowhere.
                    let mut request = Request::new(RequestBody::default());
                    *request.method_mut() = self.method.clone();
                    self.awaited = Awaited::Answer(larger.send(request));
                    self.connection.wire = Wire::Http1(larger);
                }
            }
        }
    }
}
