//! Responses and streams of Bedrock, with fixtures made by hand.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use support::{
    bedrock_fixtures::{frame, read_back},
    drive::{Answer, Arrival, Outcome, chat},
};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, StreamEvent, UnifiedChatResponse,
    provider::{Bedrock, Provider},
};

fn bedrock() -> Arc<dyn Provider> {
    let builder = Bedrock::builder()
        .region("us-east-1")
        .api_key("key")
        .unwrap();
    Arc::new(builder.build().unwrap())
}

fn whole(body: &Value) -> Result<UnifiedChatResponse, unifiedai::Error> {
    let request = ChatRequest::new("m").user("x");
    let answer = Answer::json(body.to_string());
    chat(&bedrock(), &request, &answer, Arrival::Whole).result
}

fn frames(frames: &[(&str, Value)]) -> Answer {
    let body: Vec<u8> = frames
        .iter()
        .flat_map(|(name, payload)| frame(name, &payload.to_string()))
        .collect();
    Answer::new(200, "application/vnd.amazon.eventstream", body)
}

fn stream(answer: &Answer) -> Outcome {
    let request = ChatRequest::new("m").user("x").stream(true);
    let outcome = chat(&bedrock(), &request, answer, Arrival::Whole);
    let slowly = chat(&bedrock(), &request, answer, Arrival::Pieces(1));
    assert_eq!(outcome.events, slowly.events);
    outcome
}

fn delta(index: u32, delta: Value) -> (&'static str, Value) {
    (
        "contentBlockDelta",
        json!({"contentBlockIndex": index, "delta": delta, "p": "abcdef"}),
    )
}

fn start(index: u32, start: Value) -> (&'static str, Value) {
    (
        "contentBlockStart",
        json!({"contentBlockIndex": index, "start": start}),
    )
}

fn end(index: u32) -> (&'static str, Value) {
    ("contentBlockStop", json!({"contentBlockIndex": index}))
}

fn message_stop() -> (&'static str, Value) {
    (
        "messageStop",
        json!({"stopReason": "tool_use", "additionalModelResponseFields": {"a": 1}}),
    )
}

/// Everything except the content.
fn beside() -> Value {
    json!({
        "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 20, "cacheReadInputTokens": 10,
            "cacheWriteInputTokens": 2, "cacheReadInputTokenCount": 10},
        "metrics": {"latencyMs": 1500},
        "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:model/x"}},
        "performanceConfig": {"latency": "optimized"},
        "serviceTier": {"type": "priority"},
    })
}

fn every_block() -> Vec<(&'static str, Value)> {
    vec![
        ("messageStart", json!({"role": "assistant", "p": "ab"})),
        delta(0, json!({"reasoningContent": {"text": ""}})),
        delta(0, json!({"reasoningContent": {"text": "Let me "}})),
        delta(0, json!({"reasoningContent": {"text": "see."}})),
        delta(0, json!({"reasoningContent": {"signature": "c2ln"}})),
        end(0),
        delta(1, json!({"reasoningContent": {"redactedContent": "YWI="}})),
        end(1),
        delta(2, json!({"text": "Hel"})),
        delta(2, json!({"text": "lo"})),
        end(2),
        delta(
            3,
            json!({"citation": {"title": "t", "sourceContent": [{"text": "quoted"}],
            "location": {"web": {"url": "https://x", "domain": "x"}}}}),
        ),
        delta(3, json!({"text": "cited"})),
        end(3),
        start(
            4,
            json!({"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}}),
        ),
        delta(4, json!({"toolUse": {"input": "{\"q\":1}"}})),
        end(4),
        start(
            5,
            json!({"toolResult": {"toolUseId": "s", "status": "success", "type": "nova_grounding_result"}}),
        ),
        delta(5, json!({"toolResult": [{"text": "found"}]})),
        delta(5, json!({"toolResult": [{"json": {"n": 1.0}}]})),
        end(5),
        start(
            6,
            json!({"toolUse": {"toolUseId": "a", "name": "add", "type": "tool_use"}}),
        ),
        delta(6, json!({"toolUse": {"input": ""}})),
        delta(6, json!({"toolUse": {"input": "{\"x\":"}})),
        delta(6, json!({"toolUse": {"input": "1}"}})),
        end(6),
        start(7, json!({"toolUse": {"toolUseId": "b", "name": "now"}})),
        end(7),
        start(8, json!({"image": {"format": "png"}})),
        delta(8, json!({"image": {"source": {"bytes": "YQ=="}}})),
        delta(8, json!({"image": {"source": {"bytes": "Yg=="}}})),
        end(8),
        ("somethingNew", json!({"p": "a"})),
        message_stop(),
        ("metadata", beside()),
    ]
}

fn every_block_whole() -> Value {
    let mut body = beside();
    body["stopReason"] = "tool_use".into();
    body["additionalModelResponseFields"] = json!({"a": 1});
    body["output"]["message"] = json!({"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "YWI="}},
        {"text": "Hello", "type": "text"},
        {"citationsContent": {"content": [{"text": "cited"}], "citations": [{"title": "t",
            "sourceContent": [{"text": "quoted"}], "location": {"web": {"url": "https://x", "domain": "x"}}}]}},
        {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": 1}}},
        {"toolResult": {"toolUseId": "s", "status": "success", "type": "nova_grounding_result",
            "content": [{"text": "found"}, {"json": {"n": 1.0}}]}},
        {"toolUse": {"toolUseId": "a", "name": "add", "type": "tool_use", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "b", "name": "now", "input": {}}},
        {"image": {"format": "png", "source": {"bytes": "YWI="}}},
    ]});
    body
}

fn kind(part: &ContentPart) -> &'static str {
    match part {
        ContentPart::Reasoning { .. } => "reasoning",
        ContentPart::ProviderBlock(_) => "opaque",
        ContentPart::HostedToolCall(_) => "hosted call",
        ContentPart::HostedToolResult(_) => "hosted result",
        ContentPart::Text { .. } => "text",
        ContentPart::ToolCall(_) => "call",
        other => panic!("{other:?}"),
    }
}

#[test]
fn single_body_and_stream_give_the_same_response() {
    let streamed = stream(&frames(&every_block())).result.unwrap();
    let came_whole = whole(&every_block_whole()).unwrap();
    for response in [&streamed, &came_whole] {
        let choice = &response.choices[0];
        let kinds: Vec<_> = choice.message.content.iter().map(kind).collect();
        assert_eq!(
            kinds,
            [
                "reasoning",
                "opaque",
                "text",
                "text",
                "hosted call",
                "hosted result",
                "call",
                "call",
                "opaque"
            ]
        );
        assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
        assert_eq!(choice.native_finish_reason.as_deref(), Some("tool_use"));
        assert_eq!(response.model, "arn:aws:bedrock:model/x");
        assert_eq!(response.service_tier.as_deref(), Some("priority"));
        assert_eq!(
            response.metrics.server.total,
            Some(Duration::from_millis(1500))
        );
        let usage = response.usage.as_ref().unwrap();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens
            ),
            (Some(15), Some(5), Some(20))
        );
        assert_eq!(
            (usage.cached_tokens, usage.cache_write_tokens),
            (Some(10), Some(2))
        );
        let names: Vec<_> = response
            .provider_metadata
            .extra
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "additionalModelResponseFields",
                "trace",
                "performanceConfig"
            ]
        );
        let arguments: Vec<_> = response
            .tool_calls()
            .map(|call| call.arguments.as_str())
            .collect();
        assert_eq!(arguments, ["{\"x\":1}", "{}"]);
        let ContentPart::Text { citations, .. } = &choice.message.content[3] else {
            panic!("no text");
        };
        assert_eq!(citations[0].url.as_deref(), Some("https://x"));
        assert_eq!(citations[0].cited_text.as_deref(), Some("quoted"));
    }
    assert_eq!(read_back(&streamed), read_back(&came_whole));
}

#[test]
fn responses_can_be_replayed() {
    let mut answer = whole(&every_block_whole()).unwrap();
    let tool =
        |name: &str| unifiedai::Tool::function(name, "", &json!({"type": "object"})).unwrap();
    let request = ChatRequest::new("m")
        .user("x")
        .message(std::mem::take(&mut answer.choices[0].message))
        .tool_result(unifiedai::ToolResult::new("a", "2"))
        .tool_result(unifiedai::ToolResult::new("b", "noon"))
        .tool(tool("add"))
        .tool(tool("now"));
    let encoded = bedrock().encode_chat(&request).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    let mut expected = every_block_whole()["output"]["message"].clone();
    // Citations and guardrail marks are not sent back.
    expected["content"][2] = json!({"text": "Hello"});
    expected["content"][3] = json!({"text": "cited"});
    expected["content"][6]["toolUse"]
        .as_object_mut()
        .unwrap()
        .remove("type");
    assert_eq!(body["messages"][1], expected);
}

#[test]
fn a_stream_ends_with_its_metadata_and_is_complete_without_it() {
    let all = every_block();
    let until = |n: usize| stream(&frames(&all[..n])).result;
    let complete = until(all.len() - 1).unwrap();
    assert!(complete.usage.is_none());
    assert_eq!(complete.choices, until(all.len()).unwrap().choices);
    for n in 0..all.len() - 1 {
        let error = until(n).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{n}");
    }
    // Metadata before the stop reason is not an end, and events after both are ignored.
    let mut swapped = all.clone();
    let last = swapped.len() - 1;
    swapped.swap(last - 1, last);
    assert_eq!(
        stream(&frames(&swapped[..last])).result.unwrap_err().kind(),
        ErrorKind::Truncated
    );
    swapped.push(("internalServerException", json!({"message": "m"})));
    assert!(stream(&frames(&swapped)).result.unwrap().usage.is_some());
}

#[test]
fn a_call_is_final_only_when_its_block_has_stopped() {
    let begun = [
        start(0, json!({"toolUse": {"toolUseId": "a", "name": "pay"}})),
        delta(0, json!({"toolUse": {"input": "{\"sum\": 1"}})),
    ];
    let outcome = stream(&frames(&begun));
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().tool_calls().count(), 0);
    let ends = |event: &StreamEvent| matches!(event, StreamEvent::ToolCallEnd { .. });
    assert!(!outcome.events.iter().any(ends));
}

#[test]
fn exceptions_end_a_stream_at_any_position() {
    let cases = [
        ("validationException", ErrorKind::BadRequest, false),
        ("throttlingException", ErrorKind::RateLimit, true),
        (
            "serviceUnavailableException",
            ErrorKind::ServiceUnavailable,
            true,
        ),
        ("internalServerException", ErrorKind::InternalServer, true),
        ("modelStreamErrorException", ErrorKind::InternalServer, true),
        ("neverSeenException", ErrorKind::InternalServer, false),
    ];
    for (name, kind, retryable) in cases {
        let exception = (name, json!({"message": "because"}));
        for before in [0, 1, 9] {
            let mut all = every_block();
            all.insert(before, exception.clone());
            let answer = frames(&all).header("x-amzn-requestid", "r-1");
            let error = stream(&answer).result.unwrap_err();
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, retryable),
                "{name}"
            );
            assert_eq!((error.status(), error.message()), (Some(200), "because"));
            assert_eq!(error.request_id(), Some("r-1"));
        }
    }
}

#[test]
fn invalid_frames_are_protocol_errors() {
    let huge = json!(u64::from(u32::MAX) * 2);
    let cases = [
        vec![(
            "contentBlockDelta",
            json!({"contentBlockIndex": huge, "delta": {"text": "x"}}),
        )],
        vec![
            start(0, json!({"toolUse": {"toolUseId": "a", "name": "f"}})),
            end(0),
            start(0, json!({"toolUse": {"toolUseId": "b", "name": "f"}})),
        ],
        vec![("messageStop", json!(7))],
    ];
    for case in cases {
        let error = stream(&frames(&case)).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{case:?}");
    }
    let mut broken = frames(&every_block());
    let mut body = broken.body.to_vec();
    body[40] ^= 1;
    broken.body = body.into();
    assert_eq!(
        stream(&broken).result.unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[test]
fn two_blocks_with_one_index_are_both_kept() {
    let outcome = stream(&frames(&[
        delta(0, json!({"reasoningContent": {"text": "hm"}})),
        delta(0, json!({"text": "yes"})),
        start(0, json!({})),
        message_stop(),
    ]));
    let response = outcome.result.unwrap();
    assert_eq!((&*response.reasoning(), &*response.text()), ("hm", "yes"));
}

#[test]
fn unknown_delta_type_is_a_warning() {
    let outcome = stream(&frames(&[
        delta(0, json!({"hologram": {}})),
        delta(0, json!({"hologram": {}})),
        delta(1, json!({"text": "x"})),
        message_stop(),
        ("metadata", beside()),
    ]));
    let response = outcome.result.unwrap();
    assert_eq!(response.text(), "x");
    assert_eq!(response.warnings.len(), 1);
    assert_eq!(response.warnings[0].code, "unknown_block");
    let mut body = every_block_whole();
    body["output"]["message"]["content"] = json!([{"hologram": {"a": 1.0}}, null, 7]);
    let blocks = whole(&body).unwrap().choices.remove(0).message.content;
    assert_eq!(blocks.len(), 2);
    assert!(
        matches!(&blocks[0], ContentPart::ProviderBlock(block) if block.block.as_str() == r#"{"hologram":{"a":1.0}}"#)
    );
}

#[test]
fn think_tags_become_reasoning_in_every_block() {
    let request = ChatRequest::new("m")
        .user("x")
        .stream(true)
        .parse_think_tags();
    let answer = frames(&[
        delta(0, json!({"text": "<think>a"})),
        delta(0, json!({"text": "b</think>c"})),
        end(0),
        delta(1, json!({"text": "d <"})),
        end(1),
        message_stop(),
    ]);
    let response = chat(&bedrock(), &request, &answer, Arrival::Whole)
        .result
        .unwrap();
    assert_eq!(response.reasoning(), "ab");
    assert_eq!(response.text(), "cd <");
}

#[test]
fn bodies_that_are_no_responses_are_errors() {
    let cases = [
        (json!({}), ErrorKind::Protocol),
        (json!({"output": {}}), ErrorKind::Protocol),
        (
            json!({"message": "m", "__type": "x#ThrottlingException"}),
            ErrorKind::RateLimit,
        ),
    ];
    for (body, kind) in cases {
        assert_eq!(whole(&body).unwrap_err().kind(), kind, "{body}");
    }
    let silent = json!({"output": {"message": {"content": []}}});
    let response = whole(&silent).unwrap();
    assert_eq!(
        (&*response.text(), &response.choices[0].finish_reason),
        ("", &None)
    );
    let reasons = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("content_filtered", FinishReason::ContentFilter),
        (
            "malformed_tool_use",
            FinishReason::Other("malformed_tool_use".into()),
        ),
    ];
    for (native, reason) in reasons {
        let body =
            json!({"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": native});
        assert_eq!(whole(&body).unwrap().choices[0].finish_reason, Some(reason));
    }
}

// F19
#[test]
fn stream_without_metadata_completes_with_a_warning() {
    let text = [delta(0, json!({"text": "Hello"})), end(0), message_stop()];
    let full = frames(&[&text[..], &[("metadata", beside())]].concat());
    let stopped = frames(&text).body.len();
    let request = ChatRequest::new("m").user("x").stream(true);
    let codes = |at: usize| {
        let response = chat(&bedrock(), &request, &full, Arrival::Cut(at))
            .result
            .unwrap();
        assert_eq!(response.text(), "Hello", "cut after {at} bytes");
        assert_eq!(response.usage.is_none(), at < full.body.len());
        response
            .warnings
            .iter()
            .map(|warning| warning.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(full.body.len()), [""; 0]);
    assert_eq!(codes(stopped), ["missing_end"]);
    for at in stopped + 1..full.body.len() {
        assert_eq!(
            codes(at),
            ["cut_event", "missing_end"],
            "cut after {at} bytes"
        );
    }
}
