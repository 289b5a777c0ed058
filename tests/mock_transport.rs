//! The test transports: mock responses and recordings, without a network.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

use bytes::Bytes;
use http::{Request, Response};
use std::{
    future::{Future, pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, ErrorKind, RetryPolicy, Timeouts,
    provider::OpenAiChat,
    transport::{
        AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestBody, RequestDelivery,
        ResponseBody, Time, Transport, TransportError, TransportErrorKind,
        testing::{Cassette, MockResponse, MockTransport, Recorder},
    },
};

const HELLO: &str = r#"{"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}"#;
const KEY: &str = "canary-key-7f3a";

fn provider() -> OpenAiChat {
    OpenAiChat::cerebras(KEY).unwrap()
}

fn question() -> ChatRequest {
    ChatRequest::new("m").user("Hi?")
}

fn stream() -> MockResponse {
    MockResponse::events([
        r#"{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}"#,
        r#"{"choices": [{"index": 0, "delta": {"content": "lo."}, "finish_reason": "stop"}]}"#,
    ])
}

#[test]
fn mock_responses_play_in_order_without_waiting() {
    let script = MockTransport::new([
        MockResponse::failure(TransportErrorKind::Connect, RequestDelivery::NotSent),
        MockResponse::json(429, "{}").header("retry-after", "30"),
        MockResponse::json(200, HELLO),
        stream(),
        MockResponse::events([r#"{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}"#])
            .truncated(),
    ]);
    let client = Client::new(script.clone(), provider());
    let response = client.chat(question()).unwrap();
    assert_eq!(
        (&*response.text(), response.metrics.attempts.len()),
        ("Hello.", 3)
    );
    assert!(script.elapsed() >= Duration::from_secs(30));

    let whole = client.stream(question()).unwrap().into_response().unwrap();
    assert_eq!(whole.text(), "Hello.");
    let error = client
        .stream(question())
        .unwrap()
        .into_response()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "Hel");
    let error = client.chat(question()).unwrap_err();
    assert!(error.message().contains("no response left"), "{error}");
    assert_eq!(script.requests().len(), 6);
}

#[test]
fn mock_transport_serves_async_code() {
    let script = MockTransport::new([MockResponse::json(503, "{}"), stream()]);
    let client = AsyncClient::new(script, provider());
    let response = smol::block_on(client.stream(question()).unwrap().into_response());
    assert_eq!(response.unwrap().text(), "Hello.");
}

#[test]
fn recordings_replay_without_keys() {
    let echo = format!(r#"{{"message": "wrong key {KEY}"}}"#);
    let script = MockTransport::new([
        MockResponse::json(200, HELLO),
        stream(),
        MockResponse::json(401, echo).header("set-cookie", "secret-cookie"),
    ]);
    let recorder = Recorder::new(script, "cerebras", "openai-chat");
    let client = Client::new(recorder.clone(), provider());
    let whole = client.chat(question()).unwrap();
    let streamed = client.stream(question()).unwrap().into_response().unwrap();
    let refused = client.chat(question().temperature(0.5)).unwrap_err();
    let lines = recorder.to_lines();
    assert_eq!(lines.lines().count(), 3);
    assert!(
        !lines.contains(KEY) && !lines.contains("secret-cookie"),
        "{lines}"
    );

    let cassette = Cassette::parse(&lines).unwrap();
    let client = AsyncClient::new(cassette.clone(), provider());
    smol::block_on(async {
        // The order of the calls may differ from the recording's.
        let again = client.chat(question().temperature(0.5)).await.unwrap_err();
        assert_eq!(again.kind(), refused.kind());
        let again = client
            .stream(question())
            .unwrap()
            .into_response()
            .await
            .unwrap();
        assert_eq!(again.choices, streamed.choices);
        assert_eq!(
            client.chat(question()).await.unwrap().choices,
            whole.choices
        );
        let error = client.chat(question()).await.unwrap_err();
        assert!(
            error.message().contains("has no unused response for"),
            "{error}"
        );
    });
    assert_eq!(cassette.remaining(), 0);
}

#[test]
fn an_invalid_line_is_named() {
    let good =
        r#"{"request": {"method": "GET", "url": "/v1/models"}, "response": {"status": 200}}"#;
    for bad in [
        "nonsense",
        "{}",
        r#"{"request": {"method": "GET", "url": "/"}, "response": {"status": 200, "body_base64": "?"}}"#,
    ] {
        let error = Cassette::parse(&format!("{good}\n\n{bad}\n")).unwrap_err();
        assert!(error.message().starts_with("line 3: "), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}

#[test]
fn abandoned_response_replays_as_truncated() {
    let recorder = Recorder::new(MockTransport::new([stream()]), "cerebras", "openai-chat");
    let client = Client::new(recorder.clone(), provider());
    let mut given_up = client.stream(question()).unwrap();
    given_up.next().unwrap().unwrap();
    drop(given_up);
    let cassette = Cassette::parse(&recorder.to_lines()).unwrap();
    let error = Client::new(cassette, provider())
        .stream(question())
        .unwrap()
        .into_response()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "Hel");
}

#[test]
fn the_corpus_is_a_cassette() {
    let folder = std::env::var("UNIFIEDAI_CORPUS").unwrap_or("../shared/corpus".into());
    let Ok(providers) = std::fs::read_dir(&folder) else {
        println!("skipped: no corpus at {folder}");
        return;
    };
    let mut exchanges = 0;
    for provider in providers.map(|entry| entry.unwrap().path()) {
        for file in std::fs::read_dir(provider).into_iter().flatten() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let cassette = Cassette::parse(&text);
            let cassette = cassette.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            exchanges += cassette.remaining();
        }
    }
    println!("{exchanges} exchanges");
    assert!(exchanges > 0);
}

/// A server that sends comments endlessly, faster than they are read. Each reading of the clock advances it by a
/// millisecond.
#[derive(Clone, Default)]
struct Chatterbox(Arc<AtomicU64>);

struct Comments(u32);

impl AsyncTransport for Chatterbox {
    type Body = Comments;

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(Duration::from_millis(self.0.fetch_add(1, Relaxed)))
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn send(
        &self,
        _: Request<RequestBody>,
        _: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Comments>, TransportError>> + Send + 'static {
        let answer = Response::builder().header("content-type", "text/event-stream");
        ready(Ok(answer.body(Comments(0)).unwrap()))
    }

    fn sleep_until(&self, _: Time) -> impl Future<Output = ()> + Send + 'static {
        pending()
    }
}

impl AsyncResponseBody for Comments {
    fn poll_chunk(
        &mut self,
        _: &mut Context<'_>,
        _: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.0 = self.0.saturating_add(1);
        assert!(self.0 < 1_000_000, "the deadline is not looked at");
        Poll::Ready(Ok(Some(Bytes::from_static(b": still here\n\n"))))
    }
}

#[test]
fn a_body_that_is_always_ready_still_meets_its_deadlines() {
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options.timeouts.total = Some(Duration::from_secs(1));
    let client = AsyncClient::new(Chatterbox::default(), provider()).with_options(options);
    let answer = client.stream(question()).unwrap().into_response();
    assert_eq!(
        smol::block_on(answer).unwrap_err().kind(),
        ErrorKind::Timeout
    );
}

#[test]
fn options_of_one_call_do_not_affect_others() {
    let unavailable = || MockResponse::json(503, "{}");
    let script = MockTransport::new([
        unavailable(),
        unavailable(),
        MockResponse::json(200, HELLO),
        unavailable(),
        MockResponse::json(200, HELLO),
    ]);
    let client = Client::new(script, provider());
    let request = question();
    let once = client.options().clone().max_retries(0);
    let error = client.chat_with(&request, &once).unwrap_err();
    assert_eq!(error.attempts().len(), 1);
    let response = client.chat(&request).unwrap();
    assert_eq!(response.metrics.attempts.len(), 2);
    let stream = client.stream_with(&request, &once).unwrap();
    assert_eq!(stream.into_response().unwrap_err().attempts().len(), 1);
    assert_eq!(client.chat(&request).unwrap().text(), "Hello.");
}

/// What a call over a script has after so much virtual time.
fn chat_within(response: MockResponse, timeouts: Timeouts) -> (Result<String, ErrorKind>, u64) {
    let options = || {
        let options = CallOptions::default().retry(RetryPolicy::none());
        options.timeouts(timeouts)
    };
    let script = MockTransport::new([response]);
    let client = Client::new(script.clone(), provider()).with_options(options());
    let result = client.stream(question()).unwrap().into_response();
    let result = result.map(|response| response.text().into_owned());
    (
        result.map_err(|error| error.kind()),
        script.elapsed().as_secs(),
    )
}

fn no_limits() -> Timeouts {
    let limits = Timeouts::default()
        .connect(None)
        .first_byte(None)
        .first_byte_stream(None);
    limits
        .first_token(None)
        .idle(None)
        .progress(None)
        .total(None)
}

#[test]
fn mock_responses_are_late_and_stall_in_virtual_time() {
    const HEL: &str = r#"{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}"#;
    let secs = Duration::from_secs;
    let event = || MockResponse::events([HEL]);
    let rest = |response: MockResponse| {
        response.chunk("data: {\"choices\": [{\"delta\": {\"content\": \"lo.\"}, \"finish_reason\": \"stop\"}]}\n\n")
    };
    let idle = || no_limits().idle(secs(10));
    let first = || no_limits().first_byte(secs(10)).first_byte_stream(secs(10));
    let total = || no_limits().total(secs(10));
    let hello = || Ok("Hello.".to_owned());
    let timeout = || Err(ErrorKind::Timeout);
    let stalls = [
        // Late, but in time.
        (stream().delay_headers(secs(7)), first(), hello(), 7),
        (rest(event().delay(secs(7))), idle(), hello(), 7),
        (
            rest(event().delay(secs(7)).delay(secs(1))),
            total(),
            hello(),
            8,
        ),
        // Too late, at the limit.
        (stream().delay_headers(secs(60)), first(), timeout(), 10),
        (stream().stall_headers(), first(), timeout(), 10),
        (stream().stall_headers(), total(), timeout(), 10),
        (rest(event().delay(secs(60))), idle(), timeout(), 10),
        (event().stall(), idle(), timeout(), 10),
        (event().stall(), total(), timeout(), 10),
    ];
    for (number, (response, timeouts, expected, elapsed)) in stalls.into_iter().enumerate() {
        assert_eq!(
            chat_within(response, timeouts),
            (expected, elapsed),
            "{number}"
        );
    }
    // Without a limit it would wait for ever: the error says so.
    let (result, elapsed) = chat_within(event().stall(), no_limits());
    assert!(result.is_err() && elapsed == 0, "{result:?}");
}

#[test]
fn events_have_names_and_data_of_several_lines() {
    let response = MockResponse::named_events([("delta", "{\n}"), ("", "[DONE]")]);
    let script = MockTransport::new([response]);
    let request = Request::new(RequestBody::default());
    let response = Transport::send(&script, request, AttemptDeadlines::NONE).unwrap();
    let mut body = response.into_body();
    for event in ["event: delta\ndata: {\ndata: }\n\n", "data: [DONE]\n\n"] {
        let chunk = ResponseBody::chunk(&mut body, Time::MAX).unwrap();
        assert_eq!(chunk.as_deref(), Some(event.as_bytes()));
    }
}

#[test]
fn the_error_that_a_stream_yielded_is_its_result_too() {
    let cut = || {
        MockResponse::events([r#"{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}"#])
            .truncated()
    };
    let client = Client::new(MockTransport::new([cut()]), provider());
    let mut stream = client.stream(question()).unwrap();
    let yielded = stream.find_map(Result::err).unwrap();
    let error = stream.into_response().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "Hel");
    assert_eq!(format!("{error:#?}"), format!("{yielded:#?}"));

    let client = AsyncClient::new(MockTransport::new([cut()]), provider());
    let error = smol::block_on(async {
        let mut stream = client.stream(question()).unwrap();
        while let Some(Ok(_)) = stream.next().await {}
        stream.into_response().await.unwrap_err()
    });
    assert_eq!(format!("{error:#?}"), format!("{yielded:#?}"));
}
