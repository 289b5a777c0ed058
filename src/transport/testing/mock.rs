use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use std::{
    collections::VecDeque,
    fmt,
    future::{Future, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery,
    ResponseBody, Time, Transport, TransportError, TransportErrorKind,
};

/// A transport that returns scripted responses in order. Clones share them. Its clock is virtual: a response that is delayed or
/// stalls, a retry's back-off and a time limit take no real time.
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
#[derive(Clone)]
pub struct MockTransport {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

struct State {
    responses: VecDeque<MockResponse>,
    requests: Vec<Request<Bytes>>,
}

/// The virtual clock of a transport and of its bodies.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Time>>);

impl Clock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, until: Time) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = until.max(*now);
    }

    /// Waits for `time`, `None` for ever, but not beyond `deadline`.
    fn wait(&self, time: Option<Duration>, deadline: Time) -> Waited {
        let until = time.map_or(Time::MAX, |time| self.now().saturating_add(time));
        if until <= deadline && until != Time::MAX {
            self.advance(until);
            return Waited::Enough;
        }
        if deadline == Time::MAX {
            return Waited::ForEver;
        }
        self.advance(deadline);
        Waited::NotEnough(time.map(|_| until.saturating_since(self.now())))
    }
}

/// How a wait ended.
enum Waited {
    Enough,
    /// At the deadline, with what is left of the wait.
    NotEnough(Option<Duration>),
    /// A stall, and the call has no deadline.
    ForEver,
}

/// A step of a body.
enum BodyStep {
    Chunk(Bytes),
    /// `None` for ever.
    Wait(Option<Duration>),
}

/// The response to one request.
pub struct MockResponse {
    /// Before the headers; `None` inside for ever.
    wait: Option<Option<Duration>>,
    headers: Result<Response<()>, TransportError>,
    body: VecDeque<BodyStep>,
    end: Option<TransportError>,
}

/// The body of a response of a [`MockTransport`].
pub struct MockBody {
    steps: VecDeque<BodyStep>,
    end: Option<TransportError>,
    clock: Clock,
}

impl MockTransport {
    /// Creates a transport that returns these responses, and then errors.
    pub fn new(answers: impl IntoIterator<Item = MockResponse>) -> Self {
        MockTransport {
            state: Arc::new(Mutex::new(State {
                responses: answers.into_iter().collect(),
                requests: Vec::new(),
            })),
            clock: Clock::default(),
        }
    }

    /// The requests so far. Streamed bodies were read to their end.
    #[must_use]
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.state().requests.clone()
    }

    /// The total duration of all waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.now().saturating_since(Time::ZERO)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<Response<MockBody>, TransportError> {
        let request = read_body(request)?;
        let mut state = self.state();
        state.requests.push(request);
        let answer = state.responses.pop_front();
        drop(state);
        let answer = answer.unwrap_or_else(exhausted_response);
        if let Some(time) = answer.wait {
            let waited = self.clock.wait(time, limits.headers.min(limits.total));
            waited_enough(&waited, Phase::Headers, RequestDelivery::MaybeProcessed)?;
        }
        answer.response_at(self.clock.clone())
    }
}

/// A request with its body in memory.
pub(super) fn read_body(request: Request<RequestBody>) -> Result<Request<Bytes>, TransportError> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect(MAX_BODY);
    let bytes = bytes.map_err(|e| e.into_transport_error(RequestDelivery::MaybeProcessed))?;
    Ok(Request::from_parts(parts, bytes))
}

/// The largest body that a transport for tests keeps.
const MAX_BODY: usize = 256 << 20;

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
            wait: None,
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
        MockResponse::named_events(data.into_iter().map(|data| ("", data)))
    }

    /// Creates a stream of server-sent events, one for each pair of a name and a data text. An event with an empty name has no
    /// `event` field. A name contains no line break.
    ///
    /// ```
    /// use unifiedai::transport::testing::MockResponse;
    ///
    /// let stream = MockResponse::named_events([("delta", r#"{"text": "Hello"}"#), ("done", "{}")]);
    /// ```
    #[must_use]
    pub fn named_events<'a>(events: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let answer = MockResponse::new(200).header("content-type", "text/event-stream");
        events.into_iter().fold(answer, |answer, (name, data)| {
            answer.chunk(sse_event(name, data))
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
        self.body.push_back(BodyStep::Chunk(bytes.into()));
        self
    }

    /// The headers come after so much virtual time, or the call runs into its time limit.
    #[must_use]
    pub fn delay_headers(mut self, time: Duration) -> Self {
        self.wait = Some(Some(time));
        self
    }

    /// The headers never come: the call runs into its time limit. Without one it fails at once with an error that says so.
    #[must_use]
    pub fn stall_headers(mut self) -> Self {
        self.wait = Some(None);
        self
    }

    /// What is added to the body after this comes after so much virtual time, or the call runs into its time limit.
    #[must_use]
    pub fn delay(mut self, time: Duration) -> Self {
        self.body.push_back(BodyStep::Wait(Some(time)));
        self
    }

    /// The body never goes on: the call runs into its time limit. Without one it fails at once with an error that says so.
    #[must_use]
    pub fn stall(mut self) -> Self {
        self.body.push_back(BodyStep::Wait(None));
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
        self.response_at(Clock::default())
    }

    fn response_at(self, clock: Clock) -> Result<Response<MockBody>, TransportError> {
        let (steps, end) = (self.body, self.end);
        let mut response = self.headers?.map(|()| MockBody { steps, end, clock });
        response.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(response)
    }
}

impl MockBody {
    fn next(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        while let Some(step) = self.steps.pop_front() {
            let time = match step {
                BodyStep::Chunk(chunk) => return Ok(Some(chunk)),
                BodyStep::Wait(time) => time,
            };
            let waited = self.clock.wait(time, deadline);
            if let Waited::NotEnough(left) = &waited {
                self.steps.push_front(BodyStep::Wait(*left));
            }
            waited_enough(&waited, Phase::Body, RequestDelivery::Answered)?;
        }
        match self.end.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }
}

fn waited_enough(
    waited: &Waited,
    phase: Phase,
    delivery: RequestDelivery,
) -> Result<(), TransportError> {
    let (kind, what) = match waited {
        Waited::Enough => return Ok(()),
        Waited::NotEnough(_) => (
            TransportErrorKind::Timeout(phase),
            "the mock response was not there in time",
        ),
        Waited::ForEver => (
            TransportErrorKind::Request,
            "the mock response stalls and the call has no time limit: set one in its `Timeouts`",
        ),
    };
    Err(TransportError::new(kind, delivery, what))
}

impl Transport for MockTransport {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.clock.now())
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<Response<MockBody>, TransportError> {
        self.respond(request, limits)
    }

    fn sleep_until(&self, at: Time) {
        self.clock.advance(at);
    }
}

impl AsyncTransport for MockTransport {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.clock.now())
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<MockBody>, TransportError>> + Send + 'static {
        ready(self.respond(request, limits))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.clock.advance(at);
        ready(())
    }
}

impl ResponseBody for MockBody {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        self.next(deadline)
    }
}

impl AsyncResponseBody for MockBody {
    fn poll_chunk(
        &mut self,
        _: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        Poll::Ready(self.next(deadline))
    }
}

// `Debug` shows no headers and bodies: they may be prompts, keys and tokens.

impl fmt::Debug for MockTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MockTransport")
            .field("requests", &state.requests.len())
            .field("responses_left", &state.responses.len())
            .field("elapsed", &self.elapsed())
            .finish()
    }
}

impl fmt::Debug for MockResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.headers.as_ref().map(Response::status);
        f.debug_struct("MockResponse")
            .field("status", &status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MockBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBody")
            .field("steps_left", &self.steps.len())
            .finish_non_exhaustive()
    }
}

fn sse_event(name: &str, data: &str) -> String {
    let mut event = String::new();
    if !name.is_empty() {
        event = ["event: ", name, "\n"].concat();
    }
    for line in data.split('\n') {
        event.extend(["data: ", line, "\n"]);
    }
    event.push('\n');
    event
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_requests_nor_responses() {
        let responses = || MockResponse::json(200, "canary").header("x-canary", "canary");
        let mock = MockTransport::new([responses(), responses()]);
        let request = Request::post("https://host.example/canary")
            .body(RequestBody::from("canary"))
            .unwrap();
        let response = Transport::send(&mock, request, AttemptDeadlines::NONE).unwrap();
        let shown = format!("{mock:?} {:?} {:?}", response.body(), responses());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("requests: 1, responses_left: 1"), "{shown}");
        assert!(shown.contains("status: Ok(200)"), "{shown}");
    }
}
