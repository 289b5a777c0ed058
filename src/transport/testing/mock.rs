use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use std::{
    collections::VecDeque,
    future::{Future, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestDelivery, ResponseBody, Time,
    Transport, TransportError, TransportErrorKind,
};

/// A transport that returns scripted responses in order. Clones share them.
///
/// ```
/// use unifiedai::{ChatRequest, Client, provider::OpenAiChat, transport::testing::{MockResponse, MockTransport}};
///
/// let script = MockTransport::new([
///     MockResponse::json(503, r#"{"message": "busy"}"#),
///     MockResponse::json(200, r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}"#),
/// ]);
/// let client = Client::new(script.clone(), OpenAiChat::cerebras("key")?);
/// let response = client.chat(ChatRequest::new("m").user("Hello?"))?;
/// assert_eq!(response.text(), "Hi.");
/// assert_eq!(script.requests().len(), 2);
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MockTransport(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    responses: VecDeque<MockResponse>,
    requests: Vec<Request<Bytes>>,
    now: Time,
}

/// The response to one request.
#[derive(Debug)]
pub struct MockResponse {
    headers: Result<Response<()>, TransportError>,
    body: VecDeque<Bytes>,
    end: Option<TransportError>,
}

/// The body of a response of a [`MockTransport`].
#[derive(Debug)]
pub struct MockBody {
    chunks: VecDeque<Bytes>,
    end: Option<TransportError>,
}

impl MockTransport {
    /// Creates a transport that returns these responses, and then errors.
    pub fn new(answers: impl IntoIterator<Item = MockResponse>) -> Self {
        MockTransport(Arc::new(Mutex::new(State {
            responses: answers.into_iter().collect(),
            requests: Vec::new(),
            now: Time::ZERO,
        })))
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.state().requests.clone()
    }

    /// The total duration of all waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.state().now.saturating_since(Time::ZERO)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(&self, request: Request<Bytes>) -> Result<Response<MockBody>, TransportError> {
        let mut state = self.state();
        state.requests.push(request);
        let answer = state.responses.pop_front();
        answer.unwrap_or_else(exhausted_response).response()
    }

    fn wait(&self, until: Time) {
        let mut state = self.state();
        state.now = state.now.max(until);
    }
}

impl MockResponse {
    /// Creates a response with a status, without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let mut response = Response::new(());
        let head = match StatusCode::from_u16(status) {
            Ok(status) => {
                *response.status_mut() = status;
                Ok(response)
            }
            Err(_) => Err(TransportError::new(
                TransportErrorKind::Protocol,
                RequestDelivery::MaybeProcessed,
                format!("{status} is not an HTTP status"),
            )),
        };
        MockResponse {
            headers: head,
            body: VecDeque::new(),
            end: None,
        }
    }

    /// Creates a single-body JSON response.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let answer = MockResponse::new(status).header("content-type", "application/json");
        answer.chunk(body.into())
    }

    /// Creates a stream of server-sent events, one for each data text.
    #[must_use]
    pub fn events<'a>(data: impl IntoIterator<Item = &'a str>) -> Self {
        let answer = MockResponse::new(200).header("content-type", "text/event-stream");
        data.into_iter().fold(answer, |answer, data| {
            answer.chunk(["data: ", data, "\n\n"].concat())
        })
    }

    /// Creates a transport error instead of a response.
    #[must_use]
    pub fn failure(kind: TransportErrorKind, delivery: RequestDelivery) -> Self {
        MockResponse {
            headers: Err(TransportError::new(kind, delivery, kind.to_string())),
            ..MockResponse::new(200)
        }
    }

    /// Adds a header; an invalid one is ignored.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(head), Ok(name), Ok(value)) = (
            &mut self.headers,
            name.parse::<HeaderName>(),
            HeaderValue::from_str(value),
        ) {
            head.headers_mut().append(name, value);
        }
        self
    }

    /// Adds a chunk of the body, which is read as one.
    #[must_use]
    pub fn chunk(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body.push_back(bytes.into());
        self
    }

    /// Breaks the connection after the body.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        let cut = "the connection broke";
        self.end = Some(TransportError::new(
            TransportErrorKind::Reset,
            RequestDelivery::Answered,
            cut,
        ));
        self
    }

    pub(super) fn response(self) -> Result<Response<MockBody>, TransportError> {
        let (chunks, end) = (self.body, self.end);
        let mut response = self.headers?.map(|()| MockBody { chunks, end });
        response.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(response)
    }
}

impl MockBody {
    fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        match (self.chunks.pop_front(), self.end.take()) {
            (Some(chunk), end) => {
                self.end = end;
                Ok(Some(chunk))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}

impl Transport for MockTransport {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.state().now
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.state().now)
    }

    fn send(
        &self,
        request: Request<Bytes>,
        _: AttemptDeadlines,
    ) -> Result<Response<MockBody>, TransportError> {
        self.respond(request)
    }

    fn sleep_until(&self, at: Time) {
        self.wait(at);
    }
}

impl AsyncTransport for MockTransport {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.state().now
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.state().now)
    }

    fn send(
        &self,
        request: Request<Bytes>,
        _: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<MockBody>, TransportError>> + Send + 'static {
        ready(self.respond(request))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.wait(at);
        ready(())
    }
}

impl ResponseBody for MockBody {
    fn chunk(&mut self, _: Time) -> Result<Option<Bytes>, TransportError> {
        self.next()
    }
}

impl AsyncResponseBody for MockBody {
    fn poll_chunk(
        &mut self,
        _: &mut Context<'_>,
        _: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        Poll::Ready(self.next())
    }
}

fn exhausted_response() -> MockResponse {
    let what = "the mock transport has no response left for this request";
    MockResponse {
        headers: Err(TransportError::new(
            TransportErrorKind::Request,
            RequestDelivery::NotSent,
            what,
        )),
        ..MockResponse::new(200)
    }
}

/// The same wall clock in each run, so that signatures are the same.
pub(super) fn wall(now: Time) -> SystemTime {
    let day = Duration::from_secs(1_767_225_600);
    let since = now.saturating_since(Time::ZERO).saturating_add(day);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
