//! A response's body, read as it comes.

use super::{
    Runtime, Shared, Timer,
    connection::{Connection, Protocol, drive},
    send::cause,
    timeout::body_timeout,
};
use crate::error::find;
#[cfg(feature = "gzip")]
use crate::gzip::Decoder;
use bytes::Bytes;
use http::{
    Response,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use hyper::body::{Body as _, Incoming};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use unifiedai_transport::{
    AsyncBody,
    Delivery::Answered,
    FailureKind::{self, Protocol as NotHttp, Reset, Truncated},
    Time, TransportError,
};

/// A response's body, read as it comes.
pub struct Body<R: Runtime> {
    /// Gone once it has ended.
    reading: Option<(Incoming, Connection<R>)>,
    timer: R::Timer,
    shared: Arc<Shared<R>>,
    #[cfg(feature = "gzip")]
    decoder: Option<Box<Decoder>>,
}

impl<R: Runtime> Body<R> {
    pub(crate) fn of(
        response: Response<Incoming>,
        mut connection: Connection<R>,
        timer: R::Timer,
        shared: Arc<Shared<R>>,
    ) -> Response<Self> {
        let (mut head, incoming) = response.into_parts();
        connection.is_ambiguous = head.headers.contains_key(CONTENT_LENGTH)
            && head.headers.contains_key(TRANSFER_ENCODING);
        #[cfg(feature = "gzip")]
        let decoder = Decoder::of(&mut head.headers).map(Box::new);
        head.extensions.clear();
        let body = Body {
            reading: Some((incoming, connection)),
            timer,
            shared,
            #[cfg(feature = "gzip")]
            decoder,
        };
        Response::from_parts(head, body)
    }

    /// The next chunk of a compressed body, once the decoder has needed so many of its own.
    #[cfg(feature = "gzip")]
    fn poll_decoded(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
        mut decoder: Box<Decoder>,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        loop {
            let place = self
                .reading
                .as_ref()
                .map(|(_, connection)| &connection.target);
            match decoder.pull(place.map_or_else(String::new, ToString::to_string)) {
                Ok(None) if !decoder.is_ended() => {}
                Ok(part) => {
                    self.decoder = Some(decoder);
                    return Poll::Ready(Ok(part));
                }
                Err(failure) => {
                    self.reading = None;
                    return Poll::Ready(Err(failure));
                }
            }
            match self.poll_read(cx, deadline) {
                Poll::Ready(Ok(chunk)) => decoder.push(chunk),
                polled => {
                    self.decoder = Some(decoder);
                    return polled;
                }
            }
        }
    }

    /// Keeps the connection, unless hyper closes it because there is more of the body than it cares to skip.
    fn end(&mut self) {
        if let Some((incoming, mut connection)) = self.reading.take() {
            drop(incoming);
            if let Protocol::Http1(_, driver) = &mut connection.protocol {
                // The task is not to be woken for this connection any more.
                drive(driver, &mut Context::from_waker(Waker::noop()));
                if !connection.is_stuck() && !connection.is_ambiguous {
                    self.shared.pool.put(connection);
                }
            }
        }
    }
}

impl<R: Runtime> Body<R> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let Some((incoming, connection)) = &mut self.reading else {
            return Poll::Ready(Ok(None));
        };
        if let Protocol::Http1(_, driver) = &mut connection.protocol {
            drive(driver, cx);
        }
        loop {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are no data.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let failure = read_error(&error, &connection.target);
                    self.reading = None;
                    return Poll::Ready(Err(failure));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending => {
                    let late = self.timer.poll(cx, deadline);
                    return late.map(|()| Err(body_timeout(&connection.target)));
                }
            }
        }
    }
}

impl<R: Runtime> AsyncBody for Body<R> {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        #[cfg(feature = "gzip")]
        if let Some(decoder) = self.decoder.take() {
            return self.poll_decoded(cx, deadline, decoder);
        }
        self.poll_read(cx, deadline)
    }
}

impl<R: Runtime> Drop for Body<R> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<R: Runtime> fmt::Debug for Body<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// The body broke off.
fn read_error(error: &hyper::Error, place: impl fmt::Display) -> TransportError {
    let kind = if error.is_incomplete_message() {
        Truncated
    } else {
        let io = match find::<h2::Error>(error) {
            Some(h2) => h2.get_io(),
            None => find(error),
        };
        io.map_or(Reset, kind_of)
    };
    let what = match kind {
        Truncated => "the response ended before its end",
        NotHttp => "the response's body is not HTTP",
        _ => "the connection broke inside the response",
    };
    let message = format!("{place}: {what}: {}", cause(error));
    TransportError::new(kind, Answered, message)
}

fn kind_of(error: &io::Error) -> FailureKind {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Truncated,
        InvalidInput | InvalidData if find::<rustls::Error>(error).is_none() => NotHttp,
        _ => Reset,
    }
}
