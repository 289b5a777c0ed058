//! A manual driver of an exchange: the test controls every byte and every time.

use bytes::Bytes;
use http::{Request, Response, response};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, Error, RetryPolicy, StreamEvent, UnifiedChatResponse,
    policy::ResumePolicy,
    provider::Provider,
    sans_io::{CallStart, Exchange, Input, Operation, Step},
    transport::Time,
};

/// A response from the network.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Answer {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
        }
    }

    pub fn json(body: impl Into<Bytes>) -> Self {
        Answer::new(200, "application/json", body)
    }

    pub fn sse(body: impl Into<Bytes>) -> Self {
        Answer::new(200, "text/event-stream", body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn head(&self) -> response::Parts {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(()).unwrap().into_parts().0
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> Bytes {
        self.body.slice(range)
    }
}

/// How a body is divided into chunks.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    /// One chunk.
    Whole,
    /// Chunks of this many bytes.
    Pieces(usize),
    /// Two chunks, split after this many bytes.
    Split(usize),
    /// Only the first bytes, and then the end.
    Cut(usize),
}

/// The outcome of an exchange.
#[derive(Debug)]
pub struct Outcome<T = UnifiedChatResponse> {
    pub request: Request<Bytes>,
    pub events: Vec<StreamEvent>,
    pub result: Result<T, Error>,
}

/// Runs a chat with this response, without retries.
pub fn chat(
    provider: &Arc<dyn Provider>,
    request: &ChatRequest,
    answer: &Answer,
    arrival: Arrival,
) -> Outcome {
    let exchange = Exchange::new(
        provider.clone(),
        Arc::new(request.clone()),
        options(),
        start(),
    );
    run(
        exchange.expect("the request can be encoded"),
        answer,
        arrival,
    )
}

/// Runs any operation with this response.
pub fn run<O: Operation<Event = StreamEvent>>(
    exchange: Exchange<O>,
    answer: &Answer,
    arrival: Arrival,
) -> Outcome<O::Output> {
    let all = answer.body.len();
    let ends: Vec<usize> = match arrival {
        Arrival::Whole => vec![all],
        Arrival::Pieces(size) => (1..=all.div_ceil(size))
            .map(|n| (n * size).min(all))
            .collect(),
        Arrival::Split(at) => vec![at, all],
        Arrival::Cut(at) => vec![at],
    };
    run_at(exchange, answer, &ends)
}

/// [`run`] with chunks that end after these many bytes, counted from the beginning.
pub fn run_at<O: Operation<Event = StreamEvent>>(
    mut exchange: Exchange<O>,
    answer: &Answer,
    ends: &[usize],
) -> Outcome<O::Output> {
    let mut ends = ends.iter().copied();
    let (mut at, mut now, mut request) = (0, Time::ZERO, Request::default());
    let mut events = Vec::new();
    loop {
        now = now.saturating_add(Duration::from_micros(1));
        match exchange.poll(now) {
            Step::Send { request: sent, .. } => {
                request = sent.map(|body| body.as_bytes().cloned().unwrap_or_default());
                exchange.handle(Input::Headers(answer.head()), now);
            }
            Step::Receive { .. } => {
                let input = match ends.next() {
                    Some(end) => Input::Body(answer.bytes(std::mem::replace(&mut at, end)..end)),
                    None => Input::BodyEnd,
                };
                exchange.handle(input, now);
            }
            Step::Event(event) => events.push(event),
            Step::Done => break,
            step => panic!("not expected: {step:?}"),
        }
    }
    Outcome {
        request,
        events,
        result: exchange.into_result(),
    }
}

pub fn options() -> Arc<CallOptions> {
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options.resume = ResumePolicy::none();
    Arc::new(options)
}

pub fn start() -> CallStart {
    CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0)
}
