//! Stored files in chats, by their ids.

use crate::support::{
    Arrival, KEY, anthropic, call, gemini, json, like_openai, responses, with_api,
};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ContentPart, Media, Message, Role, ToolCall, ToolResult,
    provider::{Anthropic, Provider, openai_responses::ResponsesProfile},
    provider_batch::{BatchCall, BatchInput, NewBatch},
};

#[test]
fn a_stored_file_is_in_a_chat_by_its_id() {
    let ask = |name: &str| {
        let media = Media::File { id: "f-1".into() };
        let document = ContentPart::Document { media, name: None };
        let request = ChatRequest::new("m").max_tokens(5);
        request.user_parts(vec![document, ContentPart::text(name)])
    };
    let nested = r#"{"type":"file","file":{"file_id":"f-1"}}"#;
    for (provider, place, expected) in [
        (like_openai("openai"), "/messages/0/content/0", nested),
        (like_openai("azure-v1"), "/messages/0/content/0", nested),
        (
            like_openai("mistral"),
            "/messages/0/content/0",
            r#"{"type":"file","file_id":"f-1"}"#,
        ),
        (
            responses(ResponsesProfile::OPENAI),
            "/input/0/content/0",
            r#"{"type":"input_file","file_id":"f-1"}"#,
        ),
        (
            anthropic(),
            "/messages/0/content/0",
            r#"{"type":"document","source":{"type":"file","file_id":"f-1"}}"#,
        ),
        (
            gemini(),
            "/contents/0/parts/0",
            r#"{"fileData":{"fileUri":"f-1"}}"#,
        ),
    ] {
        let encoded = provider.encode_chat(&ask("What is it?")).unwrap();
        let body = json(encoded.request.body());
        let part = body.pointer(place);
        assert_eq!(
            part,
            Some(&json(expected.as_bytes())),
            "{} {body}",
            provider.name()
        );
        assert!(encoded.warnings.is_empty());
    }
}

#[test]
fn anthropic_is_sent_the_beta_of_files_with_a_file_in_a_chat_or_in_a_batch() {
    let beta = |request: &http::Request<bytes::Bytes>| {
        let value = request.headers().get("anthropic-beta");
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let plain = ChatRequest::new("m").user(r#"{"source":{"type":"file","file_id":"f"}}"#);
    let with_file = |media| {
        let document = ContentPart::Document { media, name: None };
        ChatRequest::new("m").user_parts(vec![document, ContentPart::text("What is it?")])
    };
    let file = with_file(Media::File { id: "f-1".into() });
    let inline = with_file(Media::inline("application/pdf", "x"));
    let mut in_result = ChatRequest::new("m").user("Look.");
    let looked = ToolCall::new("c-1", "look", "{}");
    in_result.messages.push(Message::new(
        Role::Assistant,
        vec![ContentPart::ToolCall(looked)],
    ));
    let media = Media::File { id: "f-1".into() };
    let image = ContentPart::Image {
        media,
        detail: None,
    };
    let mut result = ToolResult::new("c-1", "");
    result.content = vec![image];
    in_result.messages.push(Message::new(
        Role::Tool,
        vec![ContentPart::ToolResult(result)],
    ));
    let own = Anthropic::builder().api_key(KEY).unwrap().beta("other-1");
    let own: Arc<dyn Provider> = Arc::new(own.build().unwrap());
    const FILES: &str = "files-api-2025-04-14";
    for (provider, request, expected) in [
        (anthropic(), &plain, None),
        (anthropic(), &inline, None),
        (anthropic(), &file, Some(FILES.to_owned())),
        (anthropic(), &in_result, Some(FILES.to_owned())),
        (own, &file, Some(format!("other-1,{FILES}"))),
    ] {
        let encoded = provider.encode_chat(request).unwrap();
        assert_eq!(beta(&encoded.request), expected);
        let mut line = with_api(&provider, |api| api.encode_line("a", request).unwrap());
        line.push(b'\n');
        let batch = NewBatch::new(BatchInput::Lines(line.into()), "m", "t");
        let outcome = call(&provider, BatchCall::Create(batch), &[], Arrival::Whole);
        assert_eq!(beta(&outcome.requests[0]), expected);
    }
}
