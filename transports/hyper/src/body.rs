use crate::{clock::Alarm, error};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use unifiedai_transport::{AsyncBody, Time, TransportError};

/// A response's body, read as it comes.
pub struct Body {
    incoming: Incoming,
    alarm: Alarm,
    host: Box<str>,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, alarm: Alarm, host: Box<str>) -> Self {
        Body {
            incoming,
            alarm,
            host,
        }
    }
}

impl AsyncBody for Body {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        while let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            match frame {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(error::reading(error, &self.host))),
                Some(Ok(frame)) => {
                    // Trailers are not data.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
        ready!(self.alarm.poll(cx, deadline));
        Poll::Ready(Err(error::silent(&self.host)))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
