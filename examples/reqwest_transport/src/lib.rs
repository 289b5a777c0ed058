//! A transport of one's own: `AsyncTransport` over [reqwest](https://docs.rs/reqwest). The page `docs/write-a-transport.md`
//! explains it.
#![allow(
    clippy::disallowed_methods,
    reason = "a transport is where time comes from"
)]

use bytes::Bytes;
use futures_core::Stream;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};
use tokio::time::Sleep;
use unifiedai::transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestDelivery, Time,
    TransportError, TransportErrorKind,
};

/// Sends requests with reqwest, on tokio.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    start: Instant,
}

/// The body of a response.
pub struct ReqwestBody {
    chunks: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    start: Instant,
    /// Armed only while a read waits.
    timer: Option<(Time, Pin<Box<Sleep>>)>,
}

impl ReqwestTransport {
    /// A transport over a client of the given settings, such as proxies and certificates.
    ///
    /// # Errors
    /// What reqwest says if the settings cannot be used.
    pub fn new(builder: reqwest::ClientBuilder) -> reqwest::Result<Self> {
        let client = builder
            // A transport follows no redirect and repeats no request: the machine decides about both.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(ReqwestTransport {
            client,
            start: Instant::now(),
        })
    }
}

impl AsyncTransport for ReqwestTransport {
    type Body = ReqwestBody;

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.start.elapsed())
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn send(
        &self,
        request: http::Request<Bytes>,
        deadlines: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<ReqwestBody>, TransportError>> + Send + 'static
    {
        let (client, start, now) = (self.client.clone(), self.start, self.now());
        async move {
            let request = reqwest::Request::try_from(request).map_err(|e| {
                let (kind, delivery) = (TransportErrorKind::Request, RequestDelivery::NotSent);
                TransportError::new(kind, delivery, "not a request for reqwest").with_source(e)
            })?;
            // reqwest takes a limit for connecting only for the whole client, so that both parts share one deadline here.
            let limit = deadlines.headers.saturating_since(now);
            let response = match tokio::time::timeout(limit, client.execute(request)).await {
                Ok(sent) => sent.map_err(send_error)?,
                Err(_) => return Err(timeout(Phase::Headers, RequestDelivery::MaybeProcessed)),
            };
            let (parts, body) = http::Response::from(response).into_parts();
            let body = ReqwestBody {
                chunks: Box::pin(reqwest::Response::from(http::Response::new(body)).bytes_stream()),
                start,
                timer: None,
            };
            Ok(http::Response::from_parts(parts, body))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(at.saturating_since(self.now()))
    }
}

impl AsyncResponseBody for ReqwestBody {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        if let Poll::Ready(chunk) = self.chunks.as_mut().poll_next(cx) {
            self.timer = None;
            return Poll::Ready(chunk.transpose().map_err(read_error));
        }
        if deadline == Time::MAX {
            return Poll::Pending;
        }
        if self.timer.as_ref().is_none_or(|(at, _)| *at != deadline) {
            let now = Time::ZERO.saturating_add(self.start.elapsed());
            let sleep = tokio::time::sleep(deadline.saturating_since(now));
            self.timer = Some((deadline, Box::pin(sleep)));
        }
        if let Some((_, timer)) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(Err(timeout(Phase::Body, RequestDelivery::Answered)))
    }
}

fn timeout(phase: Phase, delivery: RequestDelivery) -> TransportError {
    TransportError::new(
        TransportErrorKind::Timeout(phase),
        delivery,
        "no data in time",
    )
}

/// reqwest says whether a connection stood. Behind that the server may have the request.
fn send_error(error: reqwest::Error) -> TransportError {
    let (kind, delivery) = if error.is_connect() {
        (TransportErrorKind::Connect, RequestDelivery::NotSent)
    } else if error.is_builder() {
        (TransportErrorKind::Request, RequestDelivery::NotSent)
    } else {
        (TransportErrorKind::Reset, RequestDelivery::MaybeProcessed)
    };
    let message = format!("{kind}");
    TransportError::new(kind, delivery, message).with_source(error.without_url())
}

fn read_error(error: reqwest::Error) -> TransportError {
    let (kind, delivery) = (TransportErrorKind::Truncated, RequestDelivery::Answered);
    TransportError::new(kind, delivery, format!("{kind}")).with_source(error.without_url())
}
