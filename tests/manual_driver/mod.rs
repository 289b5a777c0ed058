//! A manual driver of an exchange: the test is the network and the clock.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

use bytes::Bytes;
use http::{Request, Response};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, Error, RetryPolicy, StreamEvent, UnifiedChatResponse,
    provider::{OpenAiChat, Provider},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{AttemptDeadlines, RequestDelivery, Time, TransportError, TransportErrorKind},
};

pub const SSE: (&str, &str) = ("content-type", "text/event-stream");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
pub const DONE: &str = "data: [DONE]\n\n";
/// The wall clock at the start of a call.
pub const WALL: Duration = Duration::from_secs(1_700_000_000);

pub struct Call {
    pub exchange: Exchange,
    pub now: Time,
    pub events: Vec<StreamEvent>,
}

impl Call {
    pub fn stream(options: CallOptions) -> Call {
        Call::new(cerebras(), request(true), options)
    }

    pub fn whole(options: CallOptions) -> Call {
        Call::new(cerebras(), request(false), options)
    }

    pub fn new(provider: Arc<dyn Provider>, request: ChatRequest, options: CallOptions) -> Call {
        let exchange = Exchange::new(provider, Arc::new(request), Arc::new(options), start(1));
        Call {
            exchange: exchange.unwrap(),
            now: Time::ZERO,
            events: Vec::new(),
        }
    }

    /// Advances the time.
    pub fn after(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.saturating_add(time);
        self
    }

    pub fn at(&mut self, now: Time) -> &mut Self {
        self.now = now;
        self
    }

    /// The next step that is not an event.
    pub fn step(&mut self) -> Step {
        loop {
            match self.exchange.poll(self.now) {
                Step::Event(event) => self.events.push(event),
                step => return step,
            }
        }
    }

    pub fn send(&mut self) -> (Request<Bytes>, AttemptDeadlines) {
        match self.step() {
            Step::Send {
                request,
                deadlines: limits,
            } => {
                let request = request.map(|body| body.as_bytes().cloned().unwrap_or_default());
                (request, limits)
            }
            step => panic!("not a request: {step:?}"),
        }
    }

    /// The deadline of the machine while it waits for a response.
    pub fn deadline(&mut self) -> Time {
        match self.step() {
            Step::Receive { deadline } => deadline,
            step => panic!("does not wait: {step:?}"),
        }
    }

    /// Sleeps as long as the machine asks; returns the duration.
    pub fn sleep(&mut self) -> Duration {
        match self.step() {
            Step::Sleep { until } => {
                let wait = until.saturating_since(self.now);
                self.now = until;
                wait
            }
            step => panic!("does not sleep: {step:?}"),
        }
    }

    pub fn is_done(&mut self) -> bool {
        matches!(self.step(), Step::Done)
    }

    pub fn handle(&mut self, input: Input) -> &mut Self {
        self.exchange.handle(input, self.now);
        self
    }

    pub fn head(&mut self, status: u16, headers: &[(&str, &str)]) -> &mut Self {
        self.handle(Input::Headers(head(status, headers)))
    }

    pub fn body(&mut self, text: impl Into<String>) -> &mut Self {
        self.handle(Input::Body(Bytes::from(text.into())))
    }

    pub fn end(&mut self) -> &mut Self {
        self.handle(Input::BodyEnd)
    }

    pub fn failed(&mut self, kind: TransportErrorKind, delivery: RequestDelivery) -> &mut Self {
        self.handle(Input::TransportError(TransportError::new(
            kind, delivery, "broken",
        )))
    }

    /// Sends a single-body response to the next request.
    pub fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> &mut Self {
        self.send();
        self.head(status, headers).body(body).end()
    }

    pub fn text(&self) -> String {
        self.events.iter().filter_map(StreamEvent::text).collect()
    }

    pub fn result(mut self) -> Result<UnifiedChatResponse, Error> {
        assert!(self.is_done(), "the call goes on");
        self.exchange.into_result()
    }

    pub fn error(self) -> Error {
        self.result().unwrap_err()
    }
}

pub fn head(status: u16, headers: &[(&str, &str)]) -> http::response::Parts {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

pub fn delta(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

/// An event with the response's metadata only.
pub fn preamble() -> String {
    "data: {\"id\":\"c1\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n".into()
}

pub fn finish() -> String {
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
        .into()
}

pub fn cerebras() -> Arc<dyn Provider> {
    Arc::new(OpenAiChat::cerebras("sk-test").unwrap())
}

pub fn named(name: &str) -> Arc<dyn Provider> {
    let provider = OpenAiChat::custom(format!("https://{name}.test/v1")).name(name);
    Arc::new(provider.build().unwrap())
}

pub fn request(stream: bool) -> ChatRequest {
    let mut request = ChatRequest::new("m").user("hi");
    request.stream = stream;
    request
}

pub fn start(seed: u64) -> CallStart {
    CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH + WALL, seed)
}

pub fn options() -> CallOptions {
    CallOptions::default()
}

/// One attempt only.
pub fn once() -> CallOptions {
    with(|options| options.retry = RetryPolicy::none())
}

pub fn with(change: impl FnOnce(&mut CallOptions)) -> CallOptions {
    let mut options = CallOptions::default();
    change(&mut options);
    options
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
