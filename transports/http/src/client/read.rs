//! A response's body, read as it comes.

use super::{
    Runtime, Timer, connection::Connection, error::read_error, pool::Pool, timeout::body_timeout,
};
#[cfg(feature = "gzip")]
use crate::gzip::Decoder;
use crate::{target::Target, upload::Upload};
use bytes::{Buf as _, Bytes};
use http::Response;
use hyper::body::Body;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use unifiedai_transport::{AsyncResponseBody, Time, TransportError};

/// The body of a response.
pub struct ResponseBody<D, R: Runtime> {
    /// Gone once it has ended.
    reading: Option<D>,
    /// The connection of the body, and the pool that it returns to. A service has connections of its own.
    connection: Option<(Connection<R>, Arc<Pool<R>>)>,
    timer: Timer<R>,
    /// A part of the request's body may still be on its way.
    upload: Option<Upload>,
    target: Target,
    #[cfg(feature = "gzip")]
    decoder: Option<Box<Decoder>>,
}

impl<D, R> ResponseBody<D, R>
where
    D: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    R: Runtime,
{
    pub(crate) fn of(
        response: Response<D>,
        connection: Option<(Connection<R>, Arc<Pool<R>>)>,
        (timer, upload): (Timer<R>, Option<Upload>),
        target: Target,
    ) -> Response<Self> {
        let (mut head, body) = response.into_parts();
        head.extensions.clear();
        let body = ResponseBody {
            reading: Some(body),
            connection,
            timer,
            upload,
            target,
            #[cfg(feature = "gzip")]
            decoder: Decoder::of(&mut head.headers).map(Box::new),
        };
        Response::from_parts(head, body)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let Some(body) = &mut self.reading else {
            return Poll::Ready(Ok(None));
        };
        if let Some((Connection::Http1(http1), _)) = &mut self.connection {
            http1.drive(cx);
        }
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are no data.
                    if let Ok(mut data) = frame.into_data() {
                        let chunk = data.copy_to_bytes(data.remaining());
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.end();
                    let failure = read_error(&*error.into(), &self.target);
                    return Poll::Ready(Err(failure));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending => {
                    let late = self.timer.poll(cx, deadline);
                    return late.map(|()| Err(body_timeout(&self.target)));
                }
            }
        }
    }

    /// The next chunk of a compressed body, once the decoder has needed so many of its own.
    #[cfg(feature = "gzip")]
    fn poll_decoded(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
        decoder: &mut Decoder,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        loop {
            match decoder.pull(&self.target) {
                Ok(None) if !decoder.is_ended() => {}
                decoded => return Poll::Ready(decoded.inspect_err(|_| self.end())),
            }
            decoder.push(std::task::ready!(self.poll_read(cx, deadline))?);
        }
    }
}

impl<D, R: Runtime> ResponseBody<D, R> {
    fn end(&mut self) {
        self.reading = None;
        let is_unsent = self.upload.take().is_some_and(|upload| upload.abandon());
        match self.connection.take() {
            // The server may wait for the rest of the request.
            Some((connection, _)) if is_unsent => connection.retire(),
            Some((Connection::Http1(mut http1), pool)) => {
                http1.release();
                pool.park(&self.target, http1);
            }
            _ => {}
        }
    }
}

impl<D, R> AsyncResponseBody for ResponseBody<D, R>
where
    D: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
    R: Runtime,
{
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        #[cfg(feature = "gzip")]
        if let Some(mut decoder) = self.decoder.take() {
            let polled = self.poll_decoded(cx, deadline, &mut decoder);
            self.decoder = Some(decoder);
            return polled;
        }
        self.poll_read(cx, deadline)
    }
}

impl<D, R: Runtime> Drop for ResponseBody<D, R> {
    /// hyper closes the connection then if there is more of the body than it cares to skip.
    fn drop(&mut self) {
        self.end();
    }
}

impl<D, R: Runtime> fmt::Debug for ResponseBody<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
