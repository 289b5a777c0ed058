use crate::support::{ANSWER, QUESTION, Span, Spans, provider, question, refusal, stream, whole};
use tracing::subscriber::with_default;
use unifiedai::{
    AsyncClient, Client, EmbedRequest,
    observe::TracingObserver,
    provider::OpenAiChat,
    transport::{
        RequestDelivery, TransportErrorKind,
        testing::{MockResponse, MockTransport},
    },
};

/// The span of the call that `call` makes with these responses.
fn span(
    answers: impl IntoIterator<Item = MockResponse>,
    observer: TracingObserver,
    call: impl FnOnce(&Client),
) -> Span {
    let spans = Spans::default();
    let client = Client::new(MockTransport::new(answers), provider()).with_observer(observer);
    with_default(spans.clone(), || call(&client));
    spans.one()
}

#[track_caller]
fn check(span: &Span, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(span.field(name), *value, "{name}");
    }
    assert!(span.closed);
}

#[test]
fn single_body_response() {
    let span = span([whole()], TracingObserver::new(), |client| {
        client.chat(question()).unwrap();
    });
    check(
        &span,
        &[
            ("otel.name", Some("chat m")),
            ("otel.kind", Some("client")),
            ("otel.status_code", None),
            ("gen_ai.operation.name", Some("chat")),
            ("gen_ai.provider.name", Some("cerebras")),
            ("gen_ai.request.model", Some("m")),
            ("gen_ai.request.stream", Some("false")),
            ("gen_ai.response.id", Some("r1")),
            ("gen_ai.response.model", Some("m-1")),
            ("gen_ai.response.finish_reasons", Some("stop")),
            ("gen_ai.response.time_to_first_chunk", None),
            ("gen_ai.usage.input_tokens", Some("7")),
            ("gen_ai.usage.output_tokens", Some("3")),
            ("gen_ai.usage.cache_read.input_tokens", None),
            ("server.address", Some("api.cerebras.ai")),
            ("http.response.status_code", Some("200")),
            ("http.request.resend_count", None),
            ("error.type", None),
        ],
    );
    assert_eq!(span.name, "gen_ai.client");
}

#[test]
fn a_retried_stream() {
    let answers = [
        MockResponse::failure(TransportErrorKind::Connect, RequestDelivery::NotSent),
        MockResponse::json(503, "{}"),
        stream(),
    ];
    let span = span(answers, TracingObserver::new(), |client| {
        client.stream(question()).unwrap().into_response().unwrap();
    });
    check(
        &span,
        &[
            ("gen_ai.request.stream", Some("true")),
            ("gen_ai.response.id", Some("r2")),
            ("gen_ai.usage.output_tokens", Some("3")),
            ("http.response.status_code", Some("200")),
            ("http.request.resend_count", Some("2")),
            ("error.type", None),
        ],
    );
    let first: f64 = span
        .field("gen_ai.response.time_to_first_chunk")
        .unwrap()
        .parse()
        .unwrap();
    assert!(first > 0.0, "the waits between the tries count");
}

#[test]
fn each_attempt_has_a_span_inside_the_calls_span() {
    let spans = Spans::default();
    let answers = [
        MockResponse::failure(TransportErrorKind::Connect, RequestDelivery::NotSent),
        MockResponse::json(503, "{}"),
        whole(),
    ];
    let client = Client::new(MockTransport::new(answers), provider());
    let client = client.with_observer(TracingObserver::new());
    with_default(spans.clone(), || client.chat(question()).unwrap());
    let (call, attempts) = (spans.one(), spans.attempts());
    let seen = attempts.iter().map(|span| {
        assert_eq!(span.parent, Some(call.id));
        assert!(span.closed);
        assert_eq!(span.field("http.request.method"), Some("POST"));
        assert_eq!(span.field("server.address"), Some("api.cerebras.ai"));
        (
            span.field("http.request.resend_count"),
            span.field("http.response.status_code"),
            span.field("error.type"),
        )
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            (None, None, Some("connection")),
            (Some("1"), Some("503"), Some("service_unavailable")),
            (Some("2"), Some("200"), None),
        ]
    );
}

#[test]
fn a_closed_connection_is_not_a_separate_attempt() {
    let spans = Spans::default();
    let answers = [
        MockResponse::failure(TransportErrorKind::Reset, RequestDelivery::NotSent),
        whole(),
    ];
    let client = Client::new(MockTransport::new(answers), provider());
    let client = client.with_observer(TracingObserver::new());
    with_default(spans.clone(), || client.chat(question()).unwrap());
    let attempts = spans.attempts();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0].field("error.type"), None);
    assert_eq!(spans.one().field("http.request.resend_count"), None);
}

#[test]
fn after_a_fallback_the_call_names_the_final_target() {
    let spans = Spans::default();
    let two = OpenAiChat::custom("https://two.test/v1").name("two");
    let client = Client::new(MockTransport::new([refusal(404), whole()]), provider())
        .with_provider(two.build().unwrap())
        .unwrap()
        .with_observer(TracingObserver::new());
    let fallback = client.providers().fallback("m", ["two.m2"]).unwrap();
    with_default(spans.clone(), || {
        client.chat_with_fallback(question(), fallback).unwrap()
    });
    check(
        &spans.one(),
        &[
            ("otel.name", Some("chat m2")),
            ("gen_ai.provider.name", Some("two")),
            ("gen_ai.request.model", Some("m2")),
            ("server.address", Some("two.test")),
            ("error.type", None),
        ],
    );
    let attempts = spans.attempts();
    let seen: Vec<_> = attempts
        .iter()
        .map(|span| {
            (
                span.field("gen_ai.provider.name").unwrap(),
                span.field("gen_ai.request.model").unwrap(),
                span.field("error.type"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("cerebras", "m", Some("not_found")), ("two", "m2", None)]
    );
}

#[test]
fn a_refusal_and_a_cut_stream() {
    let refused = span([refusal(401)], TracingObserver::new(), |client| {
        client.chat(question()).unwrap_err();
    });
    check(
        &refused,
        &[
            ("otel.status_code", Some("ERROR")),
            ("error.type", Some("authentication")),
            ("http.response.status_code", Some("401")),
            ("gen_ai.response.id", None),
            ("gen_ai.usage.input_tokens", None),
        ],
    );
    let cut =
        MockResponse::events([r#"{"id": "r3", "choices": [{"delta": {"content": "canary-"}}]}"#]);
    let cut = span([cut.truncated()], TracingObserver::new(), |client| {
        let stream = client.stream(question()).unwrap();
        stream.into_response().unwrap_err();
    });
    check(
        &cut,
        &[
            ("error.type", Some("truncated")),
            ("gen_ai.response.id", Some("r3")),
            ("gen_ai.response.finish_reasons", None),
        ],
    );
}

#[test]
fn a_dropped_stream_is_not_an_error() {
    let span = span([stream()], TracingObserver::new(), |client| {
        let mut stream = client.stream(question()).unwrap();
        stream.next().unwrap().unwrap();
        drop(stream);
    });
    check(
        &span,
        &[
            ("error.type", Some("cancelled")),
            ("otel.status_code", None),
            ("http.response.status_code", Some("200")),
        ],
    );
}

#[test]
fn other_operations_have_the_names_of_the_conventions() {
    let vectors = r#"{"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 2}}"#;
    let embedding = span(
        [MockResponse::json(200, vectors)],
        TracingObserver::new(),
        |client| {
            let _ = client.embed(EmbedRequest::new("e").text("text"));
        },
    );
    check(
        &embedding,
        &[
            ("otel.name", Some("embeddings e")),
            ("gen_ai.operation.name", Some("embeddings")),
        ],
    );
    let models = span(
        [MockResponse::json(200, r#"{"data": []}"#)],
        TracingObserver::new(),
        |client| {
            client.list_models(None).unwrap();
        },
    );
    check(&models, &[("otel.name", Some("list_models"))]);
}

#[test]
fn async_calls_have_spans_too() {
    let spans = Spans::default();
    let script = MockTransport::new([whole(), stream()]);
    let client = AsyncClient::new(script, provider()).with_observer(TracingObserver::new());
    with_default(spans.clone(), || {
        smol::block_on(async {
            client.chat(question()).await.unwrap();
            drop(client.chat(question()));
            let stream = client.stream(question()).unwrap();
            stream.into_response().await.unwrap();
        });
    });
    let ids: Vec<_> = spans
        .calls()
        .iter()
        .map(|span| span.field("gen_ai.response.id").map(str::to_owned))
        .collect();
    assert_eq!(ids, [Some("r1".to_owned()), Some("r2".to_owned())]);
    assert!(spans.all().iter().all(|span| span.closed));
}

#[test]
fn content_is_captured_only_on_request() {
    let asked =
        format!(r#"[{{"role":"user","parts":[{{"type":"text","content":"{QUESTION}"}}]}}]"#);
    let answered = format!(
        r#"[{{"role":"assistant","parts":[{{"type":"text","content":"{ANSWER}"}}],"finish_reason":"stop"}}]"#
    );
    let observer = || TracingObserver::new().with_content();
    for span in [
        span([whole()], observer(), |client| {
            client.chat(question()).unwrap();
        }),
        span([stream()], observer(), |client| {
            let stream = client.stream(question()).unwrap();
            assert!(stream.map(Result::unwrap).count() > 1);
        }),
    ] {
        assert_eq!(span.field("gen_ai.input.messages"), Some(asked.as_str()));
        assert_eq!(
            span.field("gen_ai.output.messages"),
            Some(answered.as_str())
        );
    }
}
