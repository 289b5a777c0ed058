//! A provider's error texts on a terminal or in a log.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use unifiedai::provider::{OpenAiChat, Provider, anthropic::Anthropic, gemini::Gemini};

/// `any::<String>()` generates no control characters.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![any::<char>(), prop::char::range('\0', '\u{9f}')],
        0..40,
    )
    .prop_map(String::from_iter)
}

proptest! {
    // F110
    #[test]
    fn no_text_from_outside_controls_a_terminal(
        message in text(),
        code in text(),
        kind in text(),
        status in 400_u16..600,
    ) {
        let body = json!({"error": {"message": message, "code": code, "type": kind, "status": kind}});
        let body = Bytes::from(body.to_string());
        let raw = Bytes::from(message);
        let head = http::Response::builder().status(status).header("x-request-id", "id\u{9b}");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let providers: [&dyn Provider; 3] = [
            &OpenAiChat::cerebras("key").unwrap(),
            &Anthropic::new("key").unwrap(),
            &Gemini::new("key").unwrap(),
        ];
        for provider in providers {
            for body in [&body, &raw] {
                let shown = provider.decode_error(&head, body).to_string();
                prop_assert!(!shown.contains(char::is_control), "{shown:?}");
            }
        }
    }
}
