use super::{
    format::{Payload, RecordedExchange, RecordedRequest, RecordedResponse},
    redact::Secrets,
};
use crate::credentials::CredentialRequest;
use bytes::Bytes;
use http::{Request, Response, response};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::SystemTime,
};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestBody, ResponseBody, Time,
    Transport, TransportError,
};

/// A transport that records the exchanges of another one, for a [`Cassette`](super::Cassette).
///
/// It removes keys from headers and URLs, and identifiers of the caller (organisations, projects, accounts, the
/// account in an ARN, the part of a host that names a customer), also where a response repeats them. It keeps other
/// hosts and the content of messages: review a recording before you share it. `docs/secrets.md` has the list.
///
/// An exchange is recorded once its response was read to the end or dropped. An exchange whose connection broke is
/// not recorded. All recordings stay in memory until the recorder is dropped.
#[derive(Clone, Debug)]
pub struct Recorder<T> {
    inner: T,
    about: Arc<RecordingMeta>,
    recordings: Recordings,
}

type Recordings = Arc<Mutex<Vec<RecordedExchange>>>;

#[derive(Debug)]
struct RecordingMeta {
    provider: String,
    dialect: String,
}

/// The body of a response that is recorded while it is read.
#[derive(Debug)]
pub struct RecordedBody<B> {
    inner: B,
    exchange: Option<Box<RecordedExchange>>,
    body: Vec<u8>,
    secrets: Secrets,
    recordings: Recordings,
}

impl<T> Recorder<T> {
    /// Records the exchanges of `inner` with `provider`, with an API dialect such as `openai-chat`.
    pub fn new(inner: T, provider: impl Into<String>, dialect: impl Into<String>) -> Self {
        Recorder {
            inner,
            about: Arc::new(RecordingMeta {
                provider: provider.into(),
                dialect: dialect.into(),
            }),
            recordings: Recordings::default(),
        }
    }

    /// The recordings so far, one JSON object per line.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let kept = self
            .recordings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let lines = kept
            .iter()
            .filter_map(|one| serde_json::to_string(one).ok());
        lines.map(|line| line + "\n").collect()
    }

    fn begin(&self, request: &Request<RequestBody>) -> Recording {
        let mut secrets = Secrets::default();
        let headers = secrets.headers(request.headers());
        let url = secrets.url(request.uri());
        if let Some(body) = request.body().as_bytes() {
            secrets.add_of_body(body);
        }
        let exchange = RecordedExchange {
            provider: self.about.provider.clone(),
            dialect: self.about.dialect.clone(),
            streaming: false,
            request: RecordedRequest {
                method: request.method().to_string(),
                url,
                headers,
                // A streamed body is not recorded: a cassette then accepts any.
                body: request
                    .body()
                    .as_bytes()
                    .map_or_else(Payload::default, |body| secrets.bytes(body.to_vec()).into()),
            },
            response: RecordedResponse::default(),
        };
        Recording {
            exchange: Box::new(exchange),
            secrets,
            recordings: self.recordings.clone(),
            // Everything that a source of credentials sends and receives is secret.
            is_kept: request.extensions().get::<CredentialRequest>().is_none(),
        }
    }
}

struct Recording {
    exchange: Box<RecordedExchange>,
    secrets: Secrets,
    recordings: Recordings,
    is_kept: bool,
}

impl Recording {
    fn body<B>(mut self, response: Response<B>) -> Response<RecordedBody<B>> {
        let (head, inner) = response.into_parts();
        self.on_headers(&head);
        let body = RecordedBody {
            inner,
            exchange: self.is_kept.then_some(self.exchange),
            body: Vec::new(),
            secrets: self.secrets,
            recordings: self.recordings,
        };
        Response::from_parts(head, body)
    }

    fn on_headers(&mut self, head: &response::Parts) {
        let headers = self.secrets.headers(&head.headers);
        self.exchange.streaming = headers
            .get("content-type")
            .is_some_and(|kind| kind.contains("stream"));
        self.exchange.response = RecordedResponse {
            status: head.status.as_u16(),
            headers,
            ..RecordedResponse::default()
        };
    }
}

impl<B> RecordedBody<B> {
    fn on_read(&mut self, read: &Result<Option<Bytes>, TransportError>) {
        match read {
            Ok(Some(chunk)) => {
                self.body.extend_from_slice(chunk);
                if let Some(exchange) = &mut self.exchange {
                    exchange.response.chunk_lengths.push(chunk.len());
                }
            }
            Ok(None) => self.store(),
            Err(_) => self.exchange = None,
        }
    }

    fn store(&mut self) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let answer = &mut exchange.response;
        let length = self.body.len();
        let body = self.secrets.bytes(std::mem::take(&mut self.body));
        if body.len() != length {
            answer.chunk_lengths.clear();
        }
        answer.body = body.into();
        let mut kept = self
            .recordings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.push(*exchange);
    }
}

/// A stream ends with its last event, which may be before the end of its body.
impl<B> Drop for RecordedBody<B> {
    fn drop(&mut self) {
        if !self.body.is_empty() {
            self.store();
        }
    }
}

impl<T: Transport> Transport for Recorder<T> {
    type Body = RecordedBody<T::Body>;

    fn now(&self) -> Time {
        self.inner.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.inner.wall_clock()
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<Response<Self::Body>, TransportError> {
        let recording = self.begin(&request);
        Ok(recording.body(self.inner.send(request, limits)?))
    }

    fn sleep_until(&self, at: Time) {
        self.inner.sleep_until(at);
    }
}

impl<T: AsyncTransport> AsyncTransport for Recorder<T> {
    type Body = RecordedBody<T::Body>;

    fn now(&self) -> Time {
        self.inner.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.inner.wall_clock()
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send + 'static {
        let recording = self.begin(&request);
        let sending = self.inner.send(request, limits);
        async move { Ok(recording.body(sending.await?)) }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.inner.sleep_until(at)
    }
}

impl<B: ResponseBody> ResponseBody for RecordedBody<B> {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        let read = self.inner.chunk(deadline);
        self.on_read(&read);
        read
    }
}

impl<B: AsyncResponseBody> AsyncResponseBody for RecordedBody<B> {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let read = ready!(self.inner.poll_chunk(cx, deadline));
        self.on_read(&read);
        Poll::Ready(read)
    }
}
