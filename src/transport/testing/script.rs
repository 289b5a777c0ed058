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
    AsyncBody, AsyncTransport, Body, Delivery, FailureKind, Limits, Time, Transport, TransportError,
};

/// A transport that gives the answers it was told to, in their order. Clones share them.
///
/// ```
/// use unifiedai::{ChatRequest, Client, provider::OpenAiChat, transport::testing::{Answer, Script}};
///
/// let script = Script::new([
///     Answer::json(503, r#"{"message": "busy"}"#),
///     Answer::json(200, r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}"#),
/// ]);
/// let client = Client::new(script.clone(), OpenAiChat::cerebras("key")?);
/// let response = client.chat(ChatRequest::new("m").user("Hello?"))?;
/// assert_eq!(response.text(), "Hi.");
/// assert_eq!(script.requests().len(), 2);
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    answers: VecDeque<Answer>,
    requests: Vec<Request<Bytes>>,
    now: Time,
}

/// What comes back for one request.
#[derive(Debug)]
pub struct Answer {
    head: Result<Response<()>, TransportError>,
    body: VecDeque<Bytes>,
    end: Option<TransportError>,
}

/// The body of an answer of a [`Script`].
#[derive(Debug)]
pub struct ScriptBody {
    chunks: VecDeque<Bytes>,
    end: Option<TransportError>,
}

impl Script {
    /// These answers, and then none.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Script(Arc::new(Mutex::new(State {
            answers: answers.into_iter().collect(),
            requests: Vec::new(),
            now: Time::ZERO,
        })))
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.state().requests.clone()
    }

    /// The time that all waits together took.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.state().now.saturating_since(Time::ZERO)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request<Bytes>) -> Result<Response<ScriptBody>, TransportError> {
        let mut state = self.state();
        state.requests.push(request);
        let answer = state.answers.pop_front();
        answer.unwrap_or_else(no_more).response()
    }

    fn wait(&self, until: Time) {
        let mut state = self.state();
        state.now = state.now.max(until);
    }
}

impl Answer {
    /// A status without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let mut response = Response::new(());
        let head = match StatusCode::from_u16(status) {
            Ok(status) => {
                *response.status_mut() = status;
                Ok(response)
            }
            Err(_) => Err(TransportError::new(
                FailureKind::Protocol,
                Delivery::MaybeProcessed,
                format!("{status} is no HTTP status"),
            )),
        };
        Answer {
            head,
            body: VecDeque::new(),
            end: None,
        }
    }

    /// JSON that comes whole.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let answer = Answer::new(status).header("content-type", "application/json");
        answer.chunk(body.into())
    }

    /// Server-sent events, each with this data.
    #[must_use]
    pub fn events<'a>(data: impl IntoIterator<Item = &'a str>) -> Self {
        let answer = Answer::new(200).header("content-type", "text/event-stream");
        data.into_iter().fold(answer, |answer, data| {
            answer.chunk(["data: ", data, "\n\n"].concat())
        })
    }

    /// No answer at all.
    #[must_use]
    pub fn failure(kind: FailureKind, delivery: Delivery) -> Self {
        Answer {
            head: Err(TransportError::new(kind, delivery, kind.to_string())),
            ..Answer::new(200)
        }
    }

    /// Adds a header; one that cannot be a header is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(head), Ok(name), Ok(value)) = (
            &mut self.head,
            name.parse::<HeaderName>(),
            HeaderValue::from_str(value),
        ) {
            head.headers_mut().append(name, value);
        }
        self
    }

    /// Adds a piece of the body, that is read as one.
    #[must_use]
    pub fn chunk(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body.push_back(bytes.into());
        self
    }

    /// Breaks the connection behind the body.
    #[must_use]
    pub fn cut(mut self) -> Self {
        let cut = "the connection broke";
        self.end = Some(TransportError::new(
            FailureKind::Reset,
            Delivery::Answered,
            cut,
        ));
        self
    }

    pub(super) fn response(self) -> Result<Response<ScriptBody>, TransportError> {
        let (chunks, end) = (self.body, self.end);
        let mut response = self.head?.map(|()| ScriptBody { chunks, end });
        response.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(response)
    }
}

impl ScriptBody {
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

impl Transport for Script {
    type Body = ScriptBody;

    fn now(&self) -> Time {
        self.state().now
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.state().now)
    }

    fn send(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<ScriptBody>, TransportError> {
        self.answer(request)
    }

    fn sleep_until(&self, at: Time) {
        self.wait(at);
    }
}

impl AsyncTransport for Script {
    type Body = ScriptBody;

    fn now(&self) -> Time {
        self.state().now
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.state().now)
    }

    fn send(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> impl Future<Output = Result<Response<ScriptBody>, TransportError>> + Send + 'static {
        ready(self.answer(request))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.wait(at);
        ready(())
    }
}

impl Body for ScriptBody {
    fn chunk(&mut self, _: Time) -> Result<Option<Bytes>, TransportError> {
        self.next()
    }
}

impl AsyncBody for ScriptBody {
    fn poll_chunk(
        &mut self,
        _: &mut Context<'_>,
        _: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        Poll::Ready(self.next())
    }
}

fn no_more() -> Answer {
    let what = "the script has no answer for this request";
    Answer {
        head: Err(TransportError::new(
            FailureKind::Request,
            Delivery::NotSent,
            what,
        )),
        ..Answer::new(200)
    }
}

/// The same at each run, so that signatures are.
pub(super) fn wall(now: Time) -> SystemTime {
    let day = Duration::from_secs(1_767_225_600);
    let since = now.saturating_since(Time::ZERO).saturating_add(day);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
