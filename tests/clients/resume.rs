//! Background responses and paused turns over each transport.

use crate::support::{server, tokio};
use std::{sync::Arc, time::Duration};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, ErrorKind, FinishReason, RetryPolicy,
    StreamEvent, UnifiedChatResponse,
    chat::Continuation,
    policy::ResumePolicy,
    provider::{Anthropic, OpenAiResponses},
    transport::{
        self, AsyncTransport, CancelHandle, SmolTransport as Smol, Transport, UreqTransport,
    },
};
use unifiedai_loopback::Loopback;

fn responses(server: &Loopback) -> OpenAiResponses {
    let url = server.provider_url("openai-responses");
    let builder = OpenAiResponses::builder().base_url(url).api_key("key");
    builder.unwrap().build().unwrap()
}

fn anthropic(server: &Loopback) -> Anthropic {
    let url = server.provider_url("anthropic");
    let builder = Anthropic::builder().base_url(url).api_key("key");
    builder.unwrap().build().unwrap()
}

/// Waits that do not slow the tests down.
fn options() -> CallOptions {
    let retry = RetryPolicy::default()
        .initial_backoff(Duration::from_millis(1))
        .throttled_initial_backoff(Duration::from_millis(1));
    let resume = ResumePolicy::default()
        .poll_interval(Duration::from_millis(1))
        .max_turns(5);
    CallOptions::default().retry(retry).resume(resume)
}

fn question(model: &str) -> ChatRequest {
    ChatRequest::new(model)
        .user("echo: one two three four five six")
        .background(true)
}

/// The answer to `question`.
const TEXT: &str = "one two three four five six";

/// A request whose first attempts have these faults.
fn broken(faults: &str, key: usize) -> ChatRequest {
    question("m-1").header("x-loopback-fault", format!("{faults}@{key}"))
}

/// A client over any transport: what the tests call.
trait Calls {
    fn stream(&self, request: ChatRequest, most: usize) -> Streamed;
    fn resume_stream(&self, position: &Continuation) -> Streamed;
    fn chat(&self, request: ChatRequest) -> Result<UnifiedChatResponse, unifiedai::Error>;
    fn start(&self, request: ChatRequest) -> Result<Continuation, unifiedai::Error>;
    fn resume(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error>;
    fn cancel(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error>;
    fn delete(&self, position: &Continuation) -> Result<(), unifiedai::Error>;
}

/// Some events of a stream, the position after them, and the response if the stream was read to its end.
struct Streamed {
    events: Vec<StreamEvent>,
    position: Option<Continuation>,
    result: Result<UnifiedChatResponse, unifiedai::Error>,
}

impl Streamed {
    fn text(&self) -> String {
        self.events.iter().filter_map(StreamEvent::text).collect()
    }
}

struct Blocking<T>(Client<T>);

impl<T: Transport + Clone> Blocking<T> {
    /// The client with a full retry budget.
    fn client(&self) -> Client<T> {
        let client = self.0.clone();
        let client = client.with_provider_limits("openai-responses", Arc::default());
        client
            .unwrap()
            .with_provider_limits("anthropic", Arc::default())
            .unwrap()
    }

    fn read(mut stream: unifiedai::ChatStream<T>, most: usize) -> Streamed {
        let mut events = Vec::new();
        while events.len() < most {
            match stream.next() {
                Some(Ok(event)) => events.push(event),
                _ => break,
            }
        }
        let position = stream.continuation();
        let result = match most {
            usize::MAX => stream.into_response(),
            _ => Ok(UnifiedChatResponse::default()),
        };
        Streamed {
            events,
            position,
            result,
        }
    }
}

impl<T: Transport + Clone> Calls for Blocking<T> {
    fn stream(&self, request: ChatRequest, most: usize) -> Streamed {
        Self::read(self.client().stream(request).unwrap(), most)
    }

    fn resume_stream(&self, position: &Continuation) -> Streamed {
        Self::read(self.client().resume_stream(position).unwrap(), usize::MAX)
    }

    fn chat(&self, request: ChatRequest) -> Result<UnifiedChatResponse, unifiedai::Error> {
        self.client().chat(request)
    }

    fn start(&self, request: ChatRequest) -> Result<Continuation, unifiedai::Error> {
        self.client().start_background(request)
    }

    fn resume(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error> {
        self.client().resume(position)
    }

    fn cancel(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error> {
        self.client().cancel_response(position)
    }

    fn delete(&self, position: &Continuation) -> Result<(), unifiedai::Error> {
        self.client().delete_response(position)
    }
}

struct Async<T, F>(AsyncClient<T>, F);

impl<T: AsyncTransport + Clone + Unpin, F: Runs> Async<T, F> {
    /// The client with a full retry budget.
    fn client(&self) -> AsyncClient<T> {
        let client = self.0.clone();
        let client = client.with_provider_limits("openai-responses", Arc::default());
        client
            .unwrap()
            .with_provider_limits("anthropic", Arc::default())
            .unwrap()
    }

    async fn read(mut stream: unifiedai::AsyncChatStream<T>, most: usize) -> Streamed {
        let mut events = Vec::new();
        while events.len() < most {
            match stream.next().await {
                Some(Ok(event)) => events.push(event),
                _ => break,
            }
        }
        let position = stream.continuation();
        let result = match most {
            usize::MAX => stream.into_response().await,
            _ => Ok(UnifiedChatResponse::default()),
        };
        Streamed {
            events,
            position,
            result,
        }
    }
}

/// Runs a future to its end.
trait Runs {
    fn run<O>(&self, future: impl Future<Output = O>) -> O;
}

struct OnTokio(::tokio::runtime::Runtime);

impl Runs for OnTokio {
    fn run<O>(&self, future: impl Future<Output = O>) -> O {
        self.0.block_on(future)
    }
}

struct OnSmol;

impl Runs for OnSmol {
    fn run<O>(&self, future: impl Future<Output = O>) -> O {
        smol::block_on(future)
    }
}

impl<T: AsyncTransport + Clone + Unpin, F: Runs> Calls for Async<T, F> {
    fn stream(&self, request: ChatRequest, most: usize) -> Streamed {
        let stream = self.client().stream(request).unwrap();
        self.1.run(Self::read(stream, most))
    }

    fn resume_stream(&self, position: &Continuation) -> Streamed {
        let stream = self.client().resume_stream(position).unwrap();
        self.1.run(Self::read(stream, usize::MAX))
    }

    fn chat(&self, request: ChatRequest) -> Result<UnifiedChatResponse, unifiedai::Error> {
        let client = self.client();
        self.1.run(client.chat(request))
    }

    fn start(&self, request: ChatRequest) -> Result<Continuation, unifiedai::Error> {
        let client = self.client();
        self.1.run(client.start_background(request))
    }

    fn resume(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error> {
        let client = self.client();
        self.1.run(client.resume(position))
    }

    fn cancel(&self, position: &Continuation) -> Result<UnifiedChatResponse, unifiedai::Error> {
        let client = self.client();
        self.1.run(client.cancel_response(position))
    }

    fn delete(&self, position: &Continuation) -> Result<(), unifiedai::Error> {
        let client = self.client();
        self.1.run(client.delete_response(position))
    }
}

/// Runs a test over each transport, with a server of its own.
fn over_each(test: impl Fn(&Loopback, &dyn Calls, &str)) {
    let server = self::server();
    let client = Client::new(UreqTransport::new(), responses(&server));
    let client = client.with_provider(anthropic(&server)).unwrap();
    test(&server, &Blocking(client.with_options(options())), "ureq");
    over(
        transport::HyperTransport::new(),
        OnTokio(tokio()),
        "hyper",
        &test,
    );
    over(Smol::new(), OnSmol, "smol", &test);
}

fn over<T: AsyncTransport + Clone + Unpin + 'static>(
    transport: T,
    runtime: impl Runs,
    name: &str,
    test: &impl Fn(&Loopback, &dyn Calls, &str),
) {
    let server = self::server();
    let client = AsyncClient::new(transport, responses(&server));
    let client = client.with_provider(anthropic(&server)).unwrap();
    test(
        &server,
        &Async(client.with_options(options()), runtime),
        name,
    );
}

/// The events without what differs between two responses to one request: ids and dates.
fn shapes(events: &[StreamEvent]) -> Vec<String> {
    let shape = |event: &StreamEvent| match event {
        StreamEvent::Start(_) => "start".to_owned(),
        StreamEvent::ProviderBlock { part, .. } => format!("block {part}"),
        event => format!("{event:?}"),
    };
    events.iter().map(shape).collect()
}

#[test]
fn a_stream_cut_at_every_event_and_resumed_is_the_whole_one() {
    over_each(|_, client, name| {
        let whole = client.stream(question("m-1"), usize::MAX);
        assert_eq!(whole.text(), TEXT);
        let expected = whole.result.unwrap();
        let mut events = 0;
        'cuts: for cut in 1..64 {
            for fault in ["cut-clean-at", "reset-at"] {
                let what = format!("{name} {fault}-{cut}");
                let request = broken(&format!("{fault}-{cut},ok"), cut);
                let resumed = client.stream(request, usize::MAX);
                assert_eq!(shapes(&resumed.events), shapes(&whole.events), "{what}");
                let response = resumed.result.unwrap();
                assert_eq!(response.text(), expected.text(), "{what}");
                assert_eq!(response.usage, expected.usage, "{what}");
                assert!(response.warnings.is_empty(), "{what}");
                // After its last event the stream is complete.
                if response.metrics.attempts.len() == 1 {
                    break 'cuts;
                }
                events = cut;
            }
        }
        assert!(events >= 14, "{name} {events}");
    });
}

#[test]
fn double_faults_end_in_the_whole_response() {
    over_each(|_, client, name| {
        let whole = client.stream(question("m-1"), usize::MAX);
        for (number, faults) in [
            "cut-clean-at-6,status-503,ok",
            "reset-at-6,cut-clean-at-2,cut-clean-at-2,ok",
            "cut-at-4000,no-head,half-head,ok",
            "cut-clean-at-8,status-429+retry-after-ms=3,cut-at-100,ok",
            "cut-clean-at-3,html-502,ok",
        ]
        .into_iter()
        .enumerate()
        {
            let cut = client.stream(broken(faults, 1000 + number), usize::MAX);
            assert_eq!(
                shapes(&cut.events),
                shapes(&whole.events),
                "{name} {faults}"
            );
            let response = cut.result.unwrap();
            assert_eq!(response.text(), TEXT);
            assert!(response.metrics.attempts.len() >= 3, "{name} {faults}");
        }
    });
}

#[test]
fn a_stream_that_is_no_longer_served_is_read_as_a_whole() {
    over_each(|_, client, name| {
        let request = question("stale-1").header("x-loopback-fault", "cut-clean-at-9,ok@stale");
        let stream = client.stream(request, usize::MAX);
        assert_eq!(stream.text(), TEXT, "{name}");
        // The creation, the refused stream, one reading in progress, and the complete one.
        assert_eq!(stream.result.unwrap().metrics.attempts.len(), 4, "{name}");
    });
}

#[test]
fn an_expired_response_is_not_found_with_its_beginning() {
    over_each(|_, client, name| {
        let request = question("expired-1").header("x-loopback-fault", "cut-clean-at-9,ok@old");
        let stream = client.stream(request, usize::MAX);
        let error = stream.result.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
        let partial = error.partial().unwrap().text().into_owned();
        assert!(
            !partial.is_empty() && TEXT.starts_with(&partial),
            "{name} {partial}"
        );
        assert_eq!(error.continuation(), None, "{name}");
        assert_eq!(partial, stream.text());
    });
}

#[test]
fn another_client_goes_on_after_any_event() {
    over_each(|_, client, name| {
        let whole = client.stream(question("m-1"), usize::MAX);
        for most in (1..whole.events.len()).step_by(3) {
            let first = client.stream(question("m-1"), most);
            let position = serde_json::to_string(&first.position.unwrap()).unwrap();
            let position = serde_json::from_str(&position).unwrap();
            let second = client.resume_stream(&position);
            let all = [shapes(&first.events), shapes(&second.events)].concat();
            let expected = shapes(&whole.events);
            // The last frame is repeated if not all of its events were read.
            let repeated = all.len() - expected.len();
            assert!(repeated <= 2, "{name} {most} {repeated}");
            assert_eq!(all[most..], expected[most - repeated..], "{name} {most}");
            assert_eq!(second.result.unwrap().text(), TEXT);
        }
    });
}

#[test]
fn a_response_is_started_read_cancelled_and_deleted() {
    over_each(|server, client, name| {
        assert_eq!(client.chat(question("m-1")).unwrap().text(), TEXT, "{name}");

        for stream in [false, true] {
            let before = server.served();
            let position = client.start(question("m-1").stream(stream)).unwrap();
            assert_eq!(server.served() - before, 1, "{name}");
            assert_eq!((position.streamed, &position.cursor), (stream, &None));
            let streamed = client.resume_stream(&position);
            assert_eq!(streamed.text(), TEXT, "{name}");
            assert_eq!(client.resume(&position).unwrap().text(), TEXT, "{name}");
            client.delete(&position).unwrap();
            for error in [
                client.resume(&position).unwrap_err(),
                client.delete(&position).unwrap_err(),
                client.cancel(&position).unwrap_err(),
                client.resume_stream(&position).result.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{name} {error}");
            }
        }

        let position = client.start(question("m-1")).unwrap();
        let response = client.cancel(&position).unwrap();
        let cancelled = FinishReason::Other("cancelled".to_owned());
        assert_eq!(response.finish_reason(), Some(&cancelled), "{name}");
        assert!(response.usage.unwrap().total_tokens.unwrap() > 0, "{name}");
        let error = client.resume(&position).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}");
    });
}

#[test]
fn a_cancelled_call_does_not_resume() {
    let server = server();
    let handle = CancelHandle::new();
    let client = Client::new(UreqTransport::new(), responses(&server))
        .with_options(options())
        .cancelled_by(&handle);
    let mut stream = client.stream(broken("stall-at-9,ok", 2000)).unwrap();
    let canceller = std::thread::spawn({
        let handle = handle.clone();
        move || {
            std::thread::sleep(Duration::from_millis(100));
            handle.cancel();
        }
    });
    let last = stream.by_ref().last().unwrap();
    canceller.join().unwrap();
    let error = last.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(server.served(), 1);
    // The response goes on at the provider.
    let position = error.continuation().unwrap();
    let client = Client::new(UreqTransport::new(), responses(&server)).with_options(options());
    let rest = client.resume_stream(position).unwrap().into_response();
    assert_eq!(rest.unwrap().text(), TEXT);
}

#[test]
fn a_stream_that_falls_silent_is_resumed_after_its_idle_timeout() {
    let server = server();
    let mut options = options();
    options.timeouts.idle = Some(Duration::from_millis(100));
    let client = Client::new(UreqTransport::new(), responses(&server)).with_options(options);
    let stream = client.stream(broken("stall-at-9,stall-head,ok", 2001));
    let mut short = client.options().clone();
    short.timeouts.first_byte_stream = Some(Duration::from_millis(100));
    drop(stream);
    let stream = client
        .stream_with(broken("stall-at-9,stall-head,ok", 2002), &short)
        .unwrap();
    let response = stream.into_response().unwrap();
    assert_eq!(response.text(), TEXT);
    assert_eq!(response.metrics.attempts.len(), 3);
    assert_eq!(response.metrics.attempts[0].error, Some(ErrorKind::Timeout));
}

#[test]
fn paused_turns_are_one_response_over_each_transport() {
    over_each(|_, client, name| {
        let request = |fault: &str| {
            ChatRequest::new("anthropic.claude")
                .user("pause: 3")
                .header("x-loopback-fault", fault)
        };
        let text = "Part 0. Part 1. Part 2. The end.";
        let whole = client.chat(request("ok")).unwrap();
        assert_eq!(whole.text(), text, "{name}");
        assert_eq!(whole.choices[0].message.content.len(), 10, "{name}");
        assert_eq!(whole.metrics.attempts.len(), 4, "{name}");
        let stream = client.stream(request("ok"), usize::MAX);
        assert_eq!(stream.text(), text, "{name}");
        let streamed = stream.result.unwrap();
        assert_eq!(streamed.choices, whole.choices, "{name}");
        assert_eq!(
            streamed.usage.unwrap().prompt_tokens,
            whole.usage.unwrap().prompt_tokens
        );

        let fault = format!("ok,status-529,ok,status-503,ok@{name}");
        let stream = client.stream(request(&fault), usize::MAX);
        assert_eq!(stream.text(), text, "{name}");
        assert_eq!(stream.result.unwrap().metrics.attempts.len(), 6, "{name}");

        let fault = format!("ok,ok,cut-clean-at-6@{name}-cut");
        let stream = client.stream(request(&fault), usize::MAX);
        let error = stream.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{name}");
        assert_eq!(
            error.partial().unwrap().text(),
            "Part 0. Part 1. Part ",
            "{name}"
        );
    });
}
