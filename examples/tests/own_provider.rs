//! The provider of the example `own_provider`: a stream and a single body give the same message.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

#[path = "../own_provider/parrot/mod.rs"]
mod parrot;

use parrot::Parrot;
use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, Client, ContentPart, Error, ErrorKind, FinishReason, Message, Role, Tool,
    ToolCall, ToolResult, UnifiedChatResponse,
    transport::testing::{MockResponse, MockTransport},
};

fn client(response: MockResponse) -> (MockTransport, Client) {
    let transport = MockTransport::new([response]);
    let parrot = Parrot::builder().api_key("my-key").unwrap().build();
    (transport.clone(), Client::new(transport, parrot.unwrap()))
}

fn request() -> ChatRequest {
    ChatRequest::new("ara").user("Hello!")
}

fn stream(response: MockResponse) -> Result<UnifiedChatResponse, Error> {
    client(response).1.stream(request())?.into_response()
}

fn chat(response: MockResponse) -> Result<UnifiedChatResponse, Error> {
    client(response).1.chat(request())
}

/// The body of the request that the transport got.
fn sent(request: ChatRequest) -> Value {
    let response = r#"{"says": [], "why": "done"}"#;
    let (transport, client) = client(MockResponse::json(200, response));
    client.chat(request).unwrap();
    serde_json::from_slice(transport.requests()[0].body()).unwrap()
}

#[test]
fn a_stream_and_a_single_body_give_the_same_message() {
    let streamed = stream(MockResponse::named_events([
        ("says", r#"{"block": 0, "text": "I look"}"#),
        ("says", r#"{"block": 1, "id": "t1", "trick": "weather"}"#),
        ("flap", "{}"),
        ("says", r#"{"block": 1, "with": "{\"city\":"}"#),
        ("says", r#"{"block": 0, "text": " outside."}"#),
        ("says", r#"{"block": 1, "with": " \"Lisbon\"}"}"#),
        (
            "end",
            r#"{"why": "trick", "heard": 3, "said": 4, "mood": 7}"#,
        ),
    ]))
    .unwrap();
    let whole = chat(MockResponse::json(
        200,
        r#"{"says": [{"text": "I look outside."},
                     {"id": "t1", "trick": "weather", "with": "{\"city\": \"Lisbon\"}"}],
            "why": "trick", "heard": 3, "said": 4, "mood": 7}"#,
    ))
    .unwrap();
    for response in [&streamed, &whole] {
        let choice = &response.choices[0];
        assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
        let call = ToolCall::new("t1", "weather", r#"{"city": "Lisbon"}"#);
        assert_eq!(
            choice.message.content,
            [
                ContentPart::text("I look outside."),
                ContentPart::ToolCall(call)
            ]
        );
        let usage = response.usage.as_ref().unwrap();
        assert_eq!(usage.completion_tokens, Some(4));
        let (name, value) = &response.provider_metadata.extra[0];
        assert_eq!((name.as_str(), value.as_str()), ("mood", "7"));
        assert!(response.warnings.is_empty());
    }
    assert_eq!(streamed.choices, whole.choices);
}

#[test]
fn a_response_without_its_reason_is_an_error() {
    let kind = |result: Result<UnifiedChatResponse, Error>| result.unwrap_err().kind();
    let renamed = r#"{"says": [{"text": "x"}], "reason": "done"}"#;
    let whole = kind(chat(MockResponse::json(200, renamed)));
    assert_eq!(whole, ErrorKind::Protocol);
    let end = MockResponse::named_events([("end", r#"{"reason": "done"}"#)]);
    assert_eq!(kind(stream(end)), ErrorKind::Protocol);
    let says = r#"{"text": "x"}"#;
    let cut = MockResponse::named_events([("says", says)]);
    assert_eq!(kind(stream(cut)), ErrorKind::Truncated);
}

#[test]
fn an_unknown_event_is_a_warning_and_an_error_event_an_error() {
    let says = ("says", r#"{"text": "x"}"#);
    let end = ("end", r#"{"why": "done"}"#);
    let response = stream(MockResponse::named_events([says, ("song", "{}"), end])).unwrap();
    assert_eq!(response.warnings[0].code, "unknown_event");
    let squawk = ("squawk", r#"{"code": "hungry", "text": "No seeds."}"#);
    let error = stream(MockResponse::named_events([says, squawk])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert_eq!(error.partial().unwrap().text(), "x");
}

#[test]
fn errors_have_a_kind_by_their_code_or_status() {
    for (status, body, kind) in [
        (
            400,
            r#"{"squawk": {"code": "stranger", "text": "Who?"}}"#,
            ErrorKind::Authentication,
        ),
        (
            404,
            r#"{"squawk": {"code": "lost", "text": "Where?"}}"#,
            ErrorKind::NotFound,
        ),
        (403, "<html>", ErrorKind::PermissionDenied),
    ] {
        assert_eq!(
            chat(MockResponse::json(status, body)).unwrap_err().kind(),
            kind
        );
    }
}

#[test]
fn every_part_of_a_conversation_is_sent_or_refused() {
    let call = ToolCall::new("t1", "weather", "");
    let reasoning = ContentPart::Reasoning {
        text: "Hm.".to_owned(),
        signature: None,
    };
    let content = vec!["I look.".into(), reasoning, ContentPart::ToolCall(call)];
    let result = ToolResult::new("t1", "rain").is_error(true);
    let tool = Tool::function("weather", "The weather.", &json!({"type": "object"})).unwrap();
    let body = sent(
        request()
            .tool(tool)
            .message(Message::new(Role::Assistant, content))
            .message(Message::new(
                Role::Tool,
                vec![ContentPart::ToolResult(result)],
            ))
            .extra("perch", &json!({"height": 2}))
            .unwrap(),
    );
    assert_eq!(
        body["lines"],
        json!([
            {"who": "user", "says": [{"text": "Hello!"}]},
            {"who": "assistant", "says": [
                {"text": "I look."},
                {"id": "t1", "trick": "weather", "with": ""},
            ]},
            {"who": "tool", "says": [{"of": "t1", "text": "rain", "failed": true}]},
        ])
    );
    assert_eq!(body["tricks"][0]["trick"], "weather");
    assert_eq!(body["perch"], json!({"height": 2}));

    let image = ContentPart::image_url("https://example.com/cat.png");
    let image = request().message(Message::new(Role::User, vec![image]));
    for refused in [image.clone().drop_unsupported(), request().temperature(0.5)] {
        let (transport, client) = client(MockResponse::new(200));
        let error = client.chat(refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(transport.requests().is_empty());
    }
}

#[test]
fn models_are_listed_and_requests_have_the_shared_headers() {
    let (transport, client) = client(MockResponse::json(200, r#"{"birds": ["ara", "kea"]}"#));
    let models = client.list_models(None).unwrap();
    let names: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(names, ["ara", "kea"]);
    let request = &transport.requests()[0];
    assert_eq!(request.uri(), "https://parrot.test/v1/birds");
    assert_eq!(request.headers()["authorization"], "Bearer my-key");
    assert_eq!(request.headers()["accept-encoding"], "identity");
    assert!(request.headers().contains_key("user-agent"));
}
