//! Interactions in the background: polled, resumed after the last event, started and cancelled.

use serde_json::{Value, json};
use unifiedai::{
    CallOptions, ChatRequest, Client, ErrorKind,
    provider::GeminiInteractions,
    transport::testing::{MockResponse, MockTransport},
};

fn interaction(status: &str) -> Value {
    let mut body = json!({"id": "v1_1", "object": "interaction", "model": "m", "status": status});
    if status == "cancelled" {
        body["usage"] =
            json!({"total_tokens": 1, "total_input_tokens": 1, "total_output_tokens": 0});
    }
    if status == "completed" {
        body["steps"] = json!([{"type": "model_output", "content": [{"type": "text", "text": "Hello there."}]}]);
        body["usage"] =
            json!({"total_tokens": 3, "total_input_tokens": 1, "total_output_tokens": 2});
    }
    body
}

fn whole(status: &str) -> MockResponse {
    MockResponse::json(200, interaction(status).to_string())
}

fn events(range: std::ops::Range<usize>) -> MockResponse {
    let text = |text: &str| json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": text}});
    let mut last = interaction("completed");
    last.as_object_mut().unwrap().remove("steps");
    let all = [
        json!({"event_type": "interaction.created", "interaction": interaction("in_progress")}),
        json!({"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}),
        text("Hello "),
        text("there."),
        json!({"event_type": "step.stop", "index": 0}),
        json!({"event_type": "interaction.completed", "interaction": last}),
    ];
    let lines = all
        .into_iter()
        .enumerate()
        .skip(range.start)
        .take(range.len());
    let mut response = MockResponse::new(200).header("content-type", "text/event-stream");
    for (number, mut event) in lines {
        event["event_id"] = format!("e{number}").into();
        response = response.chunk(format!("data: {event}\n\n"));
    }
    response
}

fn client(mock: &MockTransport) -> Client<unifiedai::transport::BoxedTransport> {
    let options = CallOptions::default().max_retries(2);
    Client::new(mock.clone(), GeminiInteractions::new("k").unwrap()).with_options(options)
}

fn request() -> ChatRequest {
    ChatRequest::new("m").user("hi").background(true)
}

#[test]
fn an_unfinished_interaction_is_read_again_until_it_is_complete() {
    let mock = MockTransport::new([whole("queued"), whole("in_progress"), whole("completed")]);
    let response = client(&mock).chat(request()).unwrap();
    assert_eq!(response.text(), "Hello there.");
    let sent = mock.requests();
    let body: Value = serde_json::from_slice(sent[0].body()).unwrap();
    assert_eq!(body["background"], true);
    for later in &sent[1..] {
        assert_eq!(
            (later.method().as_str(), later.uri().path()),
            ("GET", "/v1beta/interactions/v1_1")
        );
    }
}

#[test]
fn a_stream_that_is_cut_goes_on_after_its_last_event() {
    for cut in 1..=5 {
        let done = MockResponse::new(200).header("content-type", "text/event-stream");
        let mock = MockTransport::new([events(0..cut).truncated(), events(cut..6), done]);
        let mut stream = client(&mock).stream(request()).unwrap();
        let mut text = String::new();
        for event in &mut stream {
            text += event
                .unwrap_or_else(|error| panic!("cut after {cut}: {error}"))
                .text()
                .unwrap_or_default();
        }
        assert_eq!(text, "Hello there.", "cut after {cut}");
        let sent = mock.requests();
        assert_eq!(sent.len(), 2);
        let query = format!("stream=true&last_event_id=e{}", cut - 1);
        assert_eq!(sent[1].uri().query(), Some(&*query));
    }
}

#[test]
fn content_that_cannot_be_joined_is_an_error_with_what_was_received() {
    let refused = MockResponse::json(
        400,
        r#"{"error":{"code":"invalid_request","message":"The stream has expired."}}"#,
    );
    let mock = MockTransport::new([events(0..3).truncated(), refused, whole("completed")]);
    let error = client(&mock)
        .stream(request())
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    assert_eq!(error.partial().unwrap().text(), "Hello ");
    // The complete interaction is still there.
    let position = error.continuation().unwrap().clone();
    let mock = MockTransport::new([whole("completed")]);
    let response = client(&mock).resume(&position).unwrap();
    assert_eq!(response.text(), "Hello there.");
}

#[test]
fn an_interaction_is_started_cancelled_and_deleted() {
    let mock = MockTransport::new([
        whole("in_progress"),
        whole("cancelled"),
        MockResponse::json(200, "{}"),
    ]);
    let client = client(&mock);
    let position = client.start_background(request()).unwrap();
    assert_eq!(position.response_id, "v1_1");
    let cancelled = client.cancel_response(&position).unwrap();
    assert_eq!(
        cancelled.choices[0].native_finish_reason.as_deref(),
        Some("cancelled")
    );
    assert_eq!(cancelled.usage.unwrap().prompt_tokens, Some(1));
    client.delete_response(&position).unwrap();
    let sent = mock.requests();
    let last = &sent[sent.len() - 1];
    assert_eq!(
        (last.method().as_str(), last.uri().path()),
        ("DELETE", "/v1beta/interactions/v1_1")
    );
    assert_eq!(sent[1].uri().path(), "/v1beta/interactions/v1_1/cancel");
}
