use super::{
    format::RecordedExchange,
    mock::{MockBody, MockResponse, wall},
    redact::address,
};
use crate::{Error, ErrorKind};
use http::{Request, Response};
use std::{
    future::{Future, ready},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};
use unifiedai_transport::{
    AsyncTransport, AttemptDeadlines, RequestBody, RequestDelivery, Time, Transport,
    TransportError, TransportErrorKind,
};

/// Recorded exchanges, played as a transport. A request gets the first unused response to a request with the same
/// method, path, parameters and body, whatever the host. Clones share the unused responses.
///
/// ```
/// use unifiedai::{ChatRequest, Client, provider::OpenAiChat, transport::testing::Cassette};
///
/// // As `Recorder::to_lines` writes it; usually from a file.
/// let cassette = Cassette::parse(concat!(
///     r#"{"request": {"method": "POST", "url": "https://api.cerebras.ai/v1/chat/completions"}, "#,
///     r#""response": {"status": 200, "body": "{\"choices\": [{\"message\": {\"content\": \"Hi.\"}, \"finish_reason\": \"stop\"}]}"}}"#,
/// ))?;
/// let client = Client::new(cassette.clone(), OpenAiChat::cerebras("any-key")?);
/// assert_eq!(client.chat(ChatRequest::new("m").user("Hello?"))?.text(), "Hi.");
/// assert_eq!(cassette.remaining(), 0);
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cassette(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    remaining: Vec<RecordedExchange>,
    now: Time,
}

impl Cassette {
    /// Parses exchanges: one JSON object per line, or a single object over several lines.
    ///
    /// # Errors
    /// `invalid_request` that names the line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: String| Error::new(ErrorKind::InvalidRequest, what);
        if let Ok(one) = serde_json::from_str::<RecordedExchange>(text) {
            return Ok(Cassette::new(vec![one]));
        }
        let lines = text.lines().enumerate();
        let exchanges = lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| {
                serde_json::from_str(line)
                    .map_err(|e| refuse(format!("line {}: {e}", at.saturating_add(1))))
            });
        Ok(Cassette::new(exchanges.collect::<Result<_, _>>()?))
    }

    /// The number of unused exchanges.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.with(|state| state.remaining.len())
    }

    fn new(left: Vec<RecordedExchange>) -> Self {
        Cassette(Arc::new(Mutex::new(State {
            remaining: left,
            now: Time::ZERO,
        })))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn respond(
        &self,
        request: &Request<RequestBody>,
    ) -> Result<Response<MockBody>, TransportError> {
        let exchange = self.with(|state| {
            let at = state
                .remaining
                .iter()
                .position(|one| matches_request(one, request))?;
            Some(state.remaining.remove(at))
        });
        match exchange {
            Some(exchange) => mock_response(&exchange).response(),
            None => Err(TransportError::new(
                TransportErrorKind::Request,
                RequestDelivery::NotSent,
                format!(
                    "the cassette has no unused response for {} {}",
                    request.method(),
                    request.uri().path()
                ),
            )),
        }
    }
}

/// A recording without a request body matches any body.
fn matches_request(exchange: &RecordedExchange, request: &Request<RequestBody>) -> bool {
    let asked = &exchange.request;
    let url = asked.url.parse();
    asked.method.eq_ignore_ascii_case(request.method().as_str())
        && url.is_ok_and(|url| address(&url) == address(request.uri()))
        && asked.body.bytes().is_none_or(|body| {
            request
                .body()
                .as_bytes()
                .is_some_and(|sent| same(&body, sent))
        })
}

/// Compares as JSON, if both are JSON.
fn same(recorded: &[u8], asked: &[u8]) -> bool {
    let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    match (json(recorded), json(asked)) {
        (Some(recorded), Some(asked)) => recorded == asked,
        _ => recorded == asked,
    }
}

fn mock_response(exchange: &RecordedExchange) -> MockResponse {
    let recorded = &exchange.response;
    let mut answer = MockResponse::new(recorded.status);
    for (name, value) in &recorded.headers {
        answer = answer.header(name, value);
    }
    let mut body = recorded.body.bytes().unwrap_or_default();
    for length in &recorded.chunk_lengths {
        answer = answer.chunk(body.split_to((*length).min(body.len())));
    }
    answer.chunk(body)
}

impl Transport for Cassette {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.with(|state| state.now)
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.with(|state| state.now))
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        _: AttemptDeadlines,
    ) -> Result<Response<MockBody>, TransportError> {
        self.respond(&request)
    }

    fn sleep_until(&self, at: Time) {
        self.with(|state| state.now = state.now.max(at));
    }
}

impl AsyncTransport for Cassette {
    type Body = MockBody;

    fn now(&self) -> Time {
        self.with(|state| state.now)
    }

    fn wall_clock(&self) -> SystemTime {
        wall(self.with(|state| state.now))
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        _: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<MockBody>, TransportError>> + Send + 'static {
        ready(self.respond(&request))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.with(|state| state.now = state.now.max(at));
        ready(())
    }
}
