use super::{
    protocols::{CANARY, keyed},
    source::Source,
};
use std::{sync::Arc, time::SystemTime};
use unifiedai::{
    CallOptions, ChatRequest, ContentPart, Json, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    codec::http1,
    sans_io::{CallStart, Exchange, Step},
    transport::Time,
};

/// A request made of the bytes, for each provider: it is refused with a message, or it is valid HTTP without a secret
/// in its Debug.
pub fn request(data: &[u8]) {
    let mut source = Source(data);
    let provider = keyed(source.byte());
    let request = Arc::new(chat_request(&mut source));
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let exchange = || {
        Exchange::new(
            provider.clone(),
            request.clone(),
            Arc::new(CallOptions::default()),
            start,
        )
    };
    let mut exchange = match (exchange(), exchange()) {
        (Ok(exchange), Ok(_)) => exchange,
        (Err(error), Err(_)) => {
            assert!(!error.to_string().is_empty());
            return;
        }
        _ => panic!("one request, two answers"),
    };
    let step = exchange.poll(Time::ZERO);
    assert!(
        !format!("{step:?}{exchange:?}").contains(CANARY),
        "the key is in the Debug"
    );
    let Step::Send { request: sent, .. } = step else {
        panic!("a request is sent first")
    };
    assert!(sent.uri().authority().is_some() && sent.uri().scheme_str() == Some("https"));
    assert!(
        !sent.uri().to_string().contains(CANARY),
        "the key is in the URL"
    );
    let sent_body = sent.body().as_bytes().expect("the body is in memory");
    let body: serde_json::Value = serde_json::from_slice(sent_body).expect("the body is JSON");
    assert!(body.is_object());
    let encoded = provider
        .encode_chat(&request)
        .expect("it was encoded before");
    assert_eq!(
        encoded.request.body(),
        sent_body,
        "the same request gives other bytes"
    );
    parses_as_http(
        &http1::encode_request(&sent).expect("it can be sent"),
        sent_body,
    );
}

/// Another implementation parses the same request from the bytes.
fn parses_as_http(bytes: &[u8], body: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 600];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = parsed.parse(bytes).expect("it is HTTP").unwrap();
    assert_eq!((parsed.method, &bytes[head..]), (Some("POST"), body));
    let header = |name: &str| parsed.headers.iter().find(|header| header.name == name);
    let length = header("content-length").expect("it has a length");
    assert_eq!(length.value, body.len().to_string().as_bytes());
    assert!(header("host").is_some());
}

fn chat_request(source: &mut Source<'_>) -> ChatRequest {
    let mut request = ChatRequest::new(source.text());
    let shape = source.byte();
    request.stream = shape & 1 != 0;
    request.drop_unsupported = shape & 2 != 0;
    if shape & 4 != 0 {
        request.temperature = Some(f64::from_bits(source.number()));
        request.max_tokens = Some(source.number());
        request.n = Some(source.byte().into());
    }
    if shape & 8 != 0 {
        request.stop = vec![source.text()];
        request.reasoning_effort = Some(ReasoningEffort::Other(source.text()));
        request.user_id = Some(source.text());
        request.seed = Some(i64::from_ne_bytes(source.number().to_ne_bytes()));
    }
    if shape & 16 != 0 {
        if let Ok(schema) = Json::parse(source.text()) {
            request.tools = vec![Tool::function(source.text(), source.text(), &schema).unwrap()];
            request.response_format = JsonSchema::new(source.text(), &schema)
                .ok()
                .map(ResponseFormat::JsonSchema);
        }
        request.tool_choice = Some(ToolChoice::Function(source.text()));
    }
    if shape & 32 != 0 {
        if let Ok(value) = Json::parse(source.text()) {
            request.extra.push((source.text(), value));
        }
    }
    if shape & 64 != 0 {
        request.headers.push((source.text(), source.text()));
        request.client_request_id = Some(source.text());
    }
    while !source.is_spent() && request.messages.len() < 64 {
        request.messages.push(message(source));
    }
    request
}

fn message(source: &mut Source<'_>) -> Message {
    let role = source.choose(&[
        Role::System,
        Role::User,
        Role::Assistant,
        Role::Tool,
        Role::Developer,
    ]);
    let parts = source.byte() % 4;
    let content = (0..parts).map(|_| part(source)).collect();
    let mut message = Message::new(role, content);
    if source.flag() {
        message.name = Some(source.text());
    }
    message
}

fn part(source: &mut Source<'_>) -> ContentPart {
    match source.byte() % 8 {
        0 | 1 => ContentPart::text(source.text()),
        2 => ContentPart::image_url(source.text()),
        3 => ContentPart::image(source.text(), source.short_bytes().to_vec()),
        4 => ContentPart::document(source.text(), source.text(), source.short_bytes().to_vec()),
        5 => ContentPart::Reasoning {
            text: source.text(),
            signature: source.flag().then(|| source.text()),
        },
        6 => ContentPart::ToolCall(ToolCall::new(source.text(), source.text(), source.text())),
        _ => ContentPart::ToolResult(ToolResult::new(source.text(), source.text())),
    }
}
