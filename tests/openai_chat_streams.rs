//! A single-body response, the same response as a stream, and the folded events are equal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{
    corpus,
    drive::{self, Answer, Arrival},
};
use unifiedai::{
    ChatRequest, UnifiedChatResponse,
    chat::CallMetrics,
    provider::{OpenAiChat, Provider},
    sans_io::Accumulator,
};

fn provider() -> Arc<dyn Provider> {
    Arc::new(
        OpenAiChat::custom("https://api.example.com/v1")
            .build()
            .unwrap(),
    )
}

/// Single-body responses that together have every feature.
fn fixtures() -> Vec<Value> {
    let answer = |message: Value, finish: &str| {
        json!({
            "id": "c1", "object": "chat.completion", "created": 17, "model": "m", "system_fingerprint": "fp",
            "service_tier": "default",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2}},
            "time_info": {"queue_time": 0.5, "prompt_time": 0.25, "completion_time": 6.615e-5, "total_time": 1.0, "created": 17.5},
        })
    };
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": [1, 2]}"},
            "extra_content": {"google": {"thought_signature": "c2ln"}}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]);
    let token = |text: &str| json!({"token": text, "logprob": -0.5, "bytes": [104], "top_logprobs": [{"token": text, "logprob": -0.5, "bytes": null}]});
    let mut with_logprobs = answer(json!({"role": "assistant", "content": "hi du"}), "stop");
    with_logprobs["choices"][0]["logprobs"] =
        json!({"content": [token("hi"), token(" du")], "refusal": null});
    let mut two = answer(json!({"role": "assistant", "content": "one"}), "stop");
    let second = json!({"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "length"});
    two["choices"].as_array_mut().unwrap().push(second);
    let mut cited = answer(
        json!({"role": "assistant", "content": "see there", "annotations": [
            {"type": "url_citation", "url_citation": {"url": "https://x/", "title": "X"}},
        ]}),
        "stop",
    );
    cited["citations"] = json!(["https://x/"]);
    vec![
        answer(
            json!({"role": "assistant", "content": "Grüße, 漢字 🦀\n\"quoted\""}),
            "stop",
        ),
        answer(
            json!({"role": "assistant", "content": "so", "reasoning": "let me think"}),
            "stop",
        ),
        answer(
            json!({"role": "assistant", "content": "so", "reasoning_content": "let me think"}),
            "length",
        ),
        answer(
            json!({"role": "assistant", "content": null, "tool_calls": calls}),
            "tool_calls",
        ),
        answer(
            json!({"role": "assistant", "content": "both", "tool_calls": calls}),
            "tool_calls",
        ),
        answer(
            json!({"role": "assistant", "content": null, "refusal": "I will not."}),
            "content_filter",
        ),
        answer(
            json!({"role": "assistant", "content": "so", "reasoning_details": [
                {"format": "f", "index": 0, "signature": "s1", "text": "deep thought", "type": "reasoning.text"},
                {"data": "b3BhcXVl", "index": 1, "type": "reasoning.encrypted"},
            ]}),
            "stop",
        ),
        answer(
            json!({"role": "assistant", "content": "", "extra_content": {"google": {"thought_signature": "c2ln"}}}),
            "stop",
        ),
        answer(
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]}),
            "stop",
        ),
        answer(
            json!({"role": "assistant", "content": "<think>hm </think> so"}),
            "stop",
        ),
        with_logprobs,
        two,
        cited,
    ]
}

/// Splits a text into parts of `size` characters.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// The chunks that a server would send for a single-body response.
fn as_stream(whole: &Value, size: usize) -> String {
    let head = |choices: Value| {
        let mut chunk = whole.clone();
        let members = chunk.as_object_mut().unwrap();
        for name in ["usage", "time_info", "citations"] {
            members.remove(name);
        }
        members.insert("object".into(), json!("chat.completion.chunk"));
        members.insert("choices".into(), choices);
        chunk
    };
    let mut chunks = Vec::new();
    for choice in whole["choices"].as_array().unwrap() {
        let mut delta =
            |delta: Value| chunks.push(head(json!([{"index": choice["index"], "delta": delta}])));
        let message = &choice["message"];
        delta(json!({"role": "assistant"}));
        for name in ["reasoning", "reasoning_content", "content", "refusal"] {
            match &message[name] {
                Value::String(text) => pieces(text, size)
                    .into_iter()
                    .for_each(|text| delta(json!({name: text}))),
                Value::Array(parts) => parts.iter().for_each(|part| delta(json!({name: [part]}))),
                _ => {}
            }
        }
        for detail in message["reasoning_details"]
            .as_array()
            .into_iter()
            .flatten()
        {
            delta(json!({"reasoning_details": [detail]}));
        }
        for (n, call) in message["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let mut first = call.clone();
            first["index"] = n.into();
            first["function"]["arguments"] = "".into();
            delta(json!({"tool_calls": [first]}));
            for text in pieces(call["function"]["arguments"].as_str().unwrap(), size) {
                delta(json!({"tool_calls": [{"index": n, "function": {"arguments": text}}]}));
            }
        }
        for name in ["annotations", "extra_content"] {
            if !message[name].is_null() {
                delta(json!({name: message[name]}));
            }
        }
        for token in choice["logprobs"]["content"]
            .as_array()
            .into_iter()
            .flatten()
        {
            chunks.push(head(
                json!([{"index": choice["index"], "delta": {}, "logprobs": {"content": [token]}}]),
            ));
        }
        chunks.push(head(json!([{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}])));
    }
    let mut last = head(json!([]));
    for name in ["usage", "time_info", "citations"] {
        if !whole[name].is_null() {
            last[name] = whole[name].clone();
        }
    }
    chunks.push(last);
    let mut body: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    body += "data: [DONE]\n\n";
    body
}

/// Everything that must be equal: all except times and the raw body.
fn comparable(mut response: UnifiedChatResponse) -> UnifiedChatResponse {
    let mut metrics = CallMetrics::default();
    metrics.server = response.metrics.server;
    metrics.provider_time_info = response.metrics.provider_time_info.take();
    response.metrics = metrics;
    let mut metadata = unifiedai::chat::ProviderMetadata::default();
    metadata.extra = std::mem::take(&mut response.provider_metadata.extra);
    response.provider_metadata = metadata;
    response
}

fn check(whole: &Value, size: usize, think: bool) {
    let request = |stream: bool| {
        let n = whole["choices"].as_array().unwrap().len();
        let mut request = ChatRequest::new("m")
            .user("hi")
            .stream(stream)
            .drop_unsupported();
        request.parse_think_tags = think;
        if n > 1 {
            request.extra("n", &n).unwrap()
        } else {
            request
        }
    };
    let answer = Answer::json(whole.to_string());
    let all = drive::chat(&provider(), &request(false), &answer, Arrival::Whole)
        .result
        .unwrap();
    let stream = Answer::sse(as_stream(whole, size));
    let outcome = drive::chat(&provider(), &request(true), &stream, Arrival::Pieces(5));
    let streamed = outcome.result.unwrap();
    assert_eq!(comparable(streamed.clone()), comparable(all), "{whole}");
    let mut fold = Accumulator::new();
    outcome.events.iter().for_each(|event| fold.apply(event));
    assert_eq!(
        comparable(fold.into_response()),
        comparable(streamed),
        "{whole}"
    );
}

#[test]
fn single_body_and_stream_are_equal() {
    for fixture in fixtures() {
        for size in [1, 2, 3, 1000] {
            check(&fixture, size, false);
            check(&fixture, size, true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_text_and_any_split_give_the_same(
        text in "(<think>|</think>|[ a-z\n\"\\\\{}é漢🦀]){0,40}", reasoning in "[ a-zé漢]{0,20}", size in 1_usize..6, think: bool,
    ) {
        let mut whole = fixtures().remove(1);
        whole["choices"][0]["message"]["content"] = text.into();
        whole["choices"][0]["message"]["reasoning"] = reasoning.into();
        check(&whole, size, think);
    }
}

#[test]
fn folding_the_events_of_every_recorded_stream_gives_its_response() {
    let mut folded = 0;
    for recording in corpus::load("openai-chat", None) {
        if !recording.streaming || recording.status != 200 {
            continue;
        }
        let outcome = drive::chat(
            &provider(),
            &recording.chat_request(),
            &recording.answer(),
            Arrival::Whole,
        );
        let Ok(response) = outcome.result else {
            continue;
        };
        let mut fold = Accumulator::new();
        outcome.events.iter().for_each(|event| fold.apply(event));
        let mut folded_response = comparable(fold.into_response());
        if folded_response.model.is_empty() {
            folded_response.model.clone_from(&response.model);
        }
        assert_eq!(folded_response, comparable(response), "{}", recording.id);
        folded += 1;
    }
    println!("{folded} recorded streams folded");
}
