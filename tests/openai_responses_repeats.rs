//! The Responses API sends content several times: in deltas, in the `done` events of parts, in finished items and in
//! the final response. Whatever is repeated, different or missing: the response is right, or an error or a warning
//! says why not.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::{
    corpus,
    drive::{Answer, Arrival, Outcome, chat},
};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, StreamEvent, UnifiedChatResponse,
    provider::Provider, transport::testing::provider_for_recording,
};

fn provider() -> Arc<dyn Provider> {
    provider_for_recording("compat", "openai-responses").unwrap()
}

fn sse(events: &[Value]) -> String {
    events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect()
}

fn answer(events: &[Value]) -> Outcome {
    let request = ChatRequest::new("m").user("Go.").stream(true);
    let whole = chat(
        &provider(),
        &request,
        &Answer::sse(sse(events)),
        Arrival::Whole,
    );
    let pieces = chat(
        &provider(),
        &request,
        &Answer::sse(sse(events)),
        Arrival::Pieces(7),
    );
    assert_eq!(whole.events, pieces.events, "pieces of {events:?}");
    whole
}

fn added(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn ended(status: &str, output: Value) -> Value {
    json!({"type": format!("response.{status}"), "response": {"id": "resp_1", "status": status, "output": output}})
}

fn completed(output: Value) -> Value {
    ended("completed", output)
}

/// An event of a part.
fn part(name: &str, index: u64, content: u64, member: &str, value: &str) -> Value {
    json!({"type": format!("response.{name}"), "output_index": index, "content_index": content, "summary_index": content, member: value})
}

fn text(index: u64, content: u64, delta: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": index, "content_index": content, "delta": delta})
}

fn arguments(index: u64, delta: &str) -> Value {
    json!({"type": "response.function_call_arguments.delta", "output_index": index, "delta": delta})
}

fn arguments_done(index: u64, arguments: &str) -> Value {
    json!({"type": "response.function_call_arguments.done", "output_index": index, "arguments": arguments})
}

fn message(texts: &[&str]) -> Value {
    let content: Vec<Value> = texts
        .iter()
        .map(|text| json!({"type": "output_text", "text": text, "annotations": []}))
        .collect();
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": content})
}

fn call(name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments})
}

/// The content of a response: text, reasoning, refusal, calls.
fn said(response: &UnifiedChatResponse) -> (String, String, String, Vec<(String, String)>) {
    let message = &response.choices[0].message;
    let calls = message.tool_calls();
    (
        message.text().into_owned(),
        message.reasoning().into_owned(),
        message.refusal().into_owned(),
        calls
            .map(|call| (call.name.clone(), call.arguments.clone()))
            .collect(),
    )
}

fn codes(response: &UnifiedChatResponse) -> Vec<&'static str> {
    response
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect()
}

/// The events must have the same content as the response.
fn told(outcome: &Outcome) -> (String, String) {
    let mut told = (String::new(), String::new());
    for event in &outcome.events {
        match event {
            StreamEvent::TextDelta { text, .. } => told.0 += text,
            StreamEvent::ReasoningDelta { text, .. } => told.1 += text,
            _ => {}
        }
    }
    told
}

#[test]
fn content_of_done_events_is_decoded() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": []});
    let cases: Vec<(Vec<Value>, [&str; 3])> = vec![
        (
            vec![part("output_text.done", 0, 0, "text", "Hi")],
            ["Hi", "", ""],
        ),
        (
            vec![part("refusal.done", 0, 0, "refusal", "No.")],
            ["", "", "No."],
        ),
        (
            vec![part("reasoning_text.done", 0, 0, "text", "Hm")],
            ["", "Hm", ""],
        ),
        (
            vec![part("reasoning_summary_text.done", 0, 0, "text", "Hm")],
            ["", "Hm", ""],
        ),
        (
            vec![
                json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "Hi"}}),
            ],
            ["Hi", "", ""],
        ),
        (
            vec![
                json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "refusal", "refusal": "No."}}),
            ],
            ["", "", "No."],
        ),
        (
            vec![
                json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "reasoning_text", "text": "Hm"}}),
            ],
            ["", "Hm", ""],
        ),
        (
            vec![
                json!({"type": "response.reasoning_summary_part.done", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": "Hm"}}),
            ],
            ["", "Hm", ""],
        ),
        // Only the part that the deltas did not contain.
        (
            vec![
                text(0, 0, "He"),
                part("output_text.done", 0, 0, "text", "Hello"),
                part("output_text.done", 0, 0, "text", "Hello"),
            ],
            ["Hello", "", ""],
        ),
        // In any order.
        (
            vec![
                part("output_text.done", 0, 1, "text", "two"),
                json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "one "}}),
                part("output_text.done", 0, 0, "text", "one "),
            ],
            ["one two", "", ""],
        ),
        (
            vec![
                part("output_text.done", 1, 0, "text", "Hi"),
                added(0, reasoning),
                part("reasoning_summary_text.done", 0, 0, "text", "Hm"),
            ],
            ["Hi", "Hm", ""],
        ),
        // Equal texts in two parts are two texts.
        (
            vec![
                part("output_text.done", 0, 0, "text", "ha"),
                part("output_text.done", 0, 1, "text", "ha"),
            ],
            ["haha", "", ""],
        ),
        // An empty finished item adds nothing.
        (
            vec![
                part("output_text.done", 0, 0, "text", "Hi"),
                done(0, message(&[])),
            ],
            ["Hi", "", ""],
        ),
        (
            vec![
                part("output_text.done", 0, 0, "text", "Hi"),
                done(0, message(&[""])),
            ],
            ["Hi", "", ""],
        ),
    ];
    for (mut events, expected) in cases {
        events.push(completed(json!([])));
        let outcome = answer(&events);
        let response = outcome.result.as_ref().unwrap();
        let (text, reasoning, refusal, calls) = said(response);
        assert_eq!([&*text, &*reasoning, &*refusal], expected, "{events:?}");
        assert!(
            calls.is_empty() && response.warnings.is_empty(),
            "{response:?}"
        );
        assert_eq!(response.choices[0].finish_reason, Some(FinishReason::Stop));
        let in_order = expected[0] != "one two";
        assert!(!in_order || told(&outcome) == (text, reasoning));
    }
}

#[test]
fn content_of_done_events_is_replayed() {
    let events = [
        added(
            0,
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "status": "in_progress"}),
        ),
        part("reasoning_summary_text.done", 0, 0, "text", "Hm"),
        added(
            1,
            json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [], "phase": "commentary"}),
        ),
        part("output_text.done", 1, 0, "text", "Hi"),
        added(2, call("f", "")),
        arguments_done(2, "{\"a\":1}"),
        added(
            3,
            json!({"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "g", "input": "", "status": "in_progress"}),
        ),
        json!({"type": "response.custom_tool_call_input.done", "output_index": 3, "input": "1 + 1"}),
        completed(json!([])),
    ];
    let response = answer(&events).result.unwrap();
    assert!(response.warnings.is_empty(), "{:?}", response.warnings);
    assert_eq!(
        response.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    let next = ChatRequest::new("m").message(response.message().unwrap().clone());
    let body = provider().encode_chat(&next).unwrap().request.into_body();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body["input"],
        json!([
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {"type": "message", "id": "msg_1", "status": "completed", "phase": "commentary", "role": "assistant",
             "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "g", "input": "1 + 1", "status": "completed"},
        ])
    );
}

#[test]
fn arguments_must_match_the_finished_call() {
    let oslo = "{\"city\":\"Oslo\"}";
    let begun = || added(0, call("weather", ""));
    let nameless = || {
        added(
            0,
            json!({"type": "function_call", "id": "fc_1", "call_id": "call_1"}),
        )
    };
    let right: Vec<Vec<Value>> = vec![
        vec![begun(), arguments_done(0, oslo)],
        vec![begun(), arguments(0, "{\"city\":"), arguments_done(0, oslo)],
        vec![
            begun(),
            arguments_done(0, oslo),
            done(0, call("weather", "")),
        ],
        vec![
            begun(),
            arguments_done(0, ""),
            done(0, call("weather", oslo)),
        ],
        vec![
            begun(),
            arguments(0, oslo),
            arguments_done(0, oslo),
            done(0, call("weather", oslo)),
        ],
        // Different notation of the same JSON.
        vec![
            begun(),
            arguments(0, oslo),
            done(0, call("weather", "{ \"city\": \"\\u004fslo\" }")),
        ],
        // The name arrives last.
        vec![
            nameless(),
            arguments(0, oslo),
            done(0, call("weather", oslo)),
        ],
        vec![arguments(0, oslo), done(0, call("weather", ""))],
        // Nothing was visible yet: the finished call counts.
        vec![
            nameless(),
            arguments(0, "{\"city\":\"Rome\"}"),
            done(0, call("weather", oslo)),
        ],
    ];
    for mut events in right {
        for output in [json!([]), json!([call("weather", oslo)])] {
            events.push(completed(output));
            let response = answer(&events).result.unwrap();
            let calls: Vec<_> = response.tool_calls().collect();
            assert_eq!(calls.len(), 1, "{events:?}");
            let input: Value = serde_json::from_str(&calls[0].arguments).unwrap();
            assert_eq!(
                (&*calls[0].name, input),
                ("weather", json!({"city": "Oslo"}))
            );
            assert_eq!(
                response.choices[0].finish_reason,
                Some(FinishReason::ToolCalls)
            );
            events.pop();
        }
    }
    let wrong: Vec<Vec<Value>> = vec![
        vec![
            begun(),
            arguments(0, "{\"city\":\"Rome\"}"),
            done(0, call("weather", oslo)),
        ],
        vec![
            begun(),
            arguments(0, "{\"city\":\"Rome\"}"),
            arguments_done(0, oslo),
        ],
        vec![
            begun(),
            arguments(0, oslo),
            arguments(0, oslo),
            arguments_done(0, oslo),
        ],
        vec![
            begun(),
            arguments_done(0, "{\"city\":\"Rome\"}"),
            done(0, call("weather", oslo)),
        ],
        vec![
            begun(),
            arguments(0, "{\"city\":\"Rome\"}"),
            completed(json!([call("weather", oslo)])),
        ],
        vec![
            begun(),
            done(0, call("weather", "{\"city\":\"Rome\"}")),
            completed(json!([call("weather", oslo)])),
        ],
        vec![
            begun(),
            done(0, call("weather", "")),
            completed(json!([call("weather", oslo)])),
        ],
        vec![begun(), arguments(0, oslo), done(0, call("delete", oslo))],
    ];
    for mut events in wrong {
        events.push(completed(json!([])));
        let error = answer(&events).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{events:?}");
        assert!(error.message().contains("output[0]"), "{error}");
    }
}

#[test]
fn an_announced_call_without_arguments_is_not_emitted() {
    let finished = |events: &[Value]| [&[done(0, call("f", "{}"))], events].concat();
    let open = json!({"type": "function_call", "call_id": "call_9", "name": "g", "arguments": "", "status": "in_progress"});
    for events in [
        vec![added(1, open.clone())],
        vec![added(1, open.clone()), arguments(1, "{\"a\":")],
        vec![
            added(1, open.clone()),
            completed(json!([call("f", "{}"), open])),
        ],
    ] {
        let mut events = finished(&events);
        events.push(completed(json!([])));
        let error = answer(&events).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{events:?}");
        assert!(error.message().contains("`g`"), "{error}");
        // Cut off by a limit.
        let last = events.len() - 1;
        events[last] = ended("incomplete", json!([]));
        events.retain(|event| event["type"] != "response.completed");
        let response = answer(&events).result.unwrap();
        assert_eq!(response.tool_calls().count(), 1);
        assert_eq!(codes(&response), ["call_not_completed"]);
    }
    // Its arguments are complete, although no event says so.
    let events = finished(&[
        added(1, open.clone()),
        arguments(1, "{\"a\":1}"),
        completed(json!([])),
    ]);
    let response = answer(&events).result.unwrap();
    assert_eq!(response.tool_calls().count(), 2);
    assert_eq!(codes(&response), ["call_not_completed"]);
    // A completed call without arguments has no arguments.
    for whole in [
        vec![added(1, open.clone()), arguments_done(1, "")],
        vec![
            added(1, open.clone()),
            done(
                1,
                json!({"type": "function_call", "call_id": "call_9", "name": "g", "arguments": ""}),
            ),
        ],
    ] {
        let mut events = finished(&whole);
        events.push(completed(json!([])));
        let response = answer(&events).result.unwrap();
        assert_eq!(
            (response.tool_calls().count(), codes(&response).len()),
            (2, 0)
        );
    }
}

#[test]
fn parts_are_distinguished_with_any_numbering() {
    let refusal = json!({"type": "refusal", "refusal": "No."});
    let both = json!({"type": "message", "role": "assistant", "content": [message(&["Hi"])["content"][0], refusal]});
    for first in [0, 1, 5] {
        for (mut events, item, expected) in [
            (
                vec![text(0, first, "H"), text(0, first, "i")],
                message(&["Hi"]),
                ["Hi", ""],
            ),
            (
                vec![
                    text(0, first, "Hi"),
                    part("output_text.done", 0, first, "text", "Hi"),
                ],
                message(&["Hi"]),
                ["Hi", ""],
            ),
            // The events that complete a part count like the finished item.
            (
                vec![
                    text(0, first, "Hi"),
                    part("output_text.done", 0, 0, "text", "Hi"),
                ],
                message(&["Hi"]),
                ["Hi", ""],
            ),
            (
                vec![text(0, first, "a"), text(0, first + 1, "b")],
                message(&["a", "b"]),
                ["ab", ""],
            ),
            (vec![text(0, first, "a")], message(&["a", "b"]), ["ab", ""]),
            (
                vec![
                    text(0, first, "Hi"),
                    part("refusal.delta", 0, first + 1, "delta", "N"),
                ],
                both.clone(),
                ["Hi", "No."],
            ),
        ] {
            events.push(done(0, item.clone()));
            events.push(completed(json!([item])));
            let response = answer(&events).result.unwrap();
            let (text, _, refusal, _) = said(&response);
            assert_eq!([&*text, &*refusal], expected, "{events:?}");
            assert!(response.warnings.is_empty(), "{:?}", response.warnings);
        }
    }
}

#[test]
fn untyped_members_are_kept_or_named() {
    let audio = json!({"type": "output_audio", "data": "AAAA", "transcript": "Hi"});
    let item = json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "score": 1}, audio], "images": ["x"]});
    let body = json!({"id": "resp_1", "status": "completed", "output": [item], "verdict": {"ok": true}, "instructions": "echo"});
    let request = ChatRequest::new("m").user("Go.");
    let whole = chat(
        &provider(),
        &request,
        &Answer::json(body.to_string()),
        Arrival::Whole,
    );
    let streamed = answer(&[
        json!({"type": "response.content_part.done", "output_index": 0, "content_index": 1, "part": audio}),
        done(0, item),
        json!({"type": "response.completed", "response": body}),
    ]);
    for outcome in [whole, streamed] {
        let response = outcome.result.unwrap();
        let message = response.message().unwrap();
        assert_eq!(message.text(), "Hi");
        let opaque: Vec<Value> = message
            .content
            .iter()
            .filter_map(|part| match part {
                ContentPart::ProviderBlock(block) => Some(block.block.decode().unwrap()),
                _ => None,
            })
            .collect();
        assert_eq!(
            opaque,
            [json!({"type": "message", "role": "assistant", "content": [audio]})]
        );
        let named = |name: &str| {
            response
                .warnings
                .iter()
                .any(|w| w.code == "unknown_member" && w.message.contains(name))
        };
        assert!(
            named("`score`") && named("`images`"),
            "{:?}",
            response.warnings
        );
        let extra = &response.provider_metadata.extra;
        assert_eq!(extra.len(), 1);
        assert_eq!(
            (extra[0].0.as_str(), extra[0].1.as_str()),
            ("verdict", "{\"ok\":true}")
        );
        let next = ChatRequest::new("m").message(message.clone());
        let body = provider().encode_chat(&next).unwrap().request.into_body();
        assert!(
            std::str::from_utf8(&body)
                .unwrap()
                .contains("\"transcript\":\"Hi\"")
        );
    }
    // A text instead of a list, and a text outside of all items.
    for body in [
        json!({"status": "completed", "output": [{"type": "message", "role": "assistant", "content": "Hi"}]}),
        json!({"status": "completed", "output": [{"type": "message", "role": "assistant", "content": ["Hi"]}]}),
        json!({"status": "completed", "output": [], "output_text": "Hi"}),
    ] {
        let outcome = chat(
            &provider(),
            &request,
            &Answer::json(body.to_string()),
            Arrival::Whole,
        );
        assert_eq!(outcome.result.unwrap().text(), "Hi");
        let response = answer(&[json!({"type": "response.completed", "response": body})])
            .result
            .unwrap();
        assert_eq!((&*response.text(), response.warnings.len()), ("Hi", 0));
    }
    // Events.
    for (event, named) in [
        (
            json!({"type": "response.audio.delta", "delta": "AAAA"}),
            Some("`response.audio.delta`"),
        ),
        (
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": {"text": "x"}}),
            Some("`response.output_text.delta`"),
        ),
        (
            json!({"type": "response.new_call.searching", "output_index": 1, "item_id": "x"}),
            None,
        ),
        (
            json!({"type": "response.in_progress", "response": {"id": "x"}}),
            None,
        ),
    ] {
        let response = answer(&[
            event.clone(),
            event,
            done(0, message(&["Hi"])),
            completed(json!([])),
        ])
        .result
        .unwrap();
        let found: Vec<_> = response.warnings.iter().map(|w| &*w.message).collect();
        assert_eq!(found.len(), usize::from(named.is_some()), "{found:?}");
        assert!(named.is_none_or(|named| found[0].contains(named)));
        assert_eq!(response.text(), "Hi");
    }
    // A provider item that was never completed.
    let events = [
        added(
            0,
            json!({"type": "image_generation_call", "id": "ig_1", "status": "in_progress"}),
        ),
        done(1, message(&["Hi"])),
        completed(json!([])),
    ];
    assert_eq!(
        codes(&answer(&events).result.unwrap()),
        ["item_not_completed"]
    );
}

#[test]
fn text_that_differs_from_its_item_is_an_error_white_space_a_warning() {
    for (deltas, item, expected) in [
        (&["He", "llo"][..], "Hello", Ok(&[][..])),
        (&["Hel"], "Hello", Ok(&[])),
        (&["Hello", "\n"], "Hello", Ok(&["text_differs"])),
        (&["Hello", "llo"], "Hello", Err(ErrorKind::Protocol)),
        (&["He", "He", "llo"], "Hello", Err(ErrorKind::Protocol)),
        (&["Hallo"], "Hello", Err(ErrorKind::Protocol)),
        (&["llo"], "Hello", Err(ErrorKind::Protocol)),
    ] {
        let deltas: Vec<Value> = deltas.iter().map(|delta| text(0, 0, delta)).collect();
        for end in [
            vec![part("output_text.done", 0, 0, "text", item)],
            vec![done(0, message(&[item]))],
            vec![completed(json!([message(&[item])]))],
        ] {
            let events = [deltas.clone(), end, vec![completed(json!([]))]].concat();
            let found = answer(&events).result;
            match (&found, expected) {
                (Ok(response), Ok(warnings)) => assert_eq!(codes(response), warnings),
                (Err(error), Err(kind)) => assert_eq!(error.kind(), kind),
                _ => panic!("{events:?}: {found:?}"),
            }
        }
    }
}

#[test]
fn deltas_after_the_complete_text_are_ignored() {
    let events = [
        part("output_text.done", 0, 0, "text", "Hello"),
        text(0, 0, "Hel"),
        text(0, 0, "lo"),
        added(1, call("f", "")),
        arguments_done(1, "{}"),
        arguments(1, "{}"),
        completed(json!([])),
    ];
    let response = answer(&events).result.unwrap();
    assert_eq!(said(&response).0, "Hello");
    assert_eq!(said(&response).3, [("f".into(), "{}".into())]);
    assert_eq!(codes(&response), ["late_delta", "late_delta"]);
}

const DELTAS: &[&str] = &[
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
];

#[derive(Clone, Copy, Debug)]
enum Damage {
    Double,
    Drop,
    Alter,
}

/// A stream with one delta duplicated, dropped or altered, at up to `most` positions.
fn damaged(body: &str, damage: Damage, most: usize) -> Vec<(String, String)> {
    let frames: Vec<&str> = body.split_inclusive("\n\n").collect();
    let event = |frame: &str| -> Option<Value> {
        let data = frame.lines().find_map(|line| line.strip_prefix("data:"))?;
        serde_json::from_str(data).ok()
    };
    let places: Vec<usize> = (0..frames.len())
        .filter(|&at| {
            event(frames[at]).is_some_and(|event| DELTAS.iter().any(|kind| event["type"] == *kind))
        })
        .collect();
    let step = places.len().div_ceil(most).max(1);
    let places = places.into_iter().step_by(step);
    places
        .map(|at| {
            let mut changed: Vec<String> = frames.iter().map(|frame| (*frame).to_owned()).collect();
            match damage {
                Damage::Double => changed[at] = changed[at].repeat(2),
                Damage::Drop => changed[at].clear(),
                Damage::Alter => {
                    let mut event = event(frames[at]).unwrap();
                    let delta = event["delta"].as_str().unwrap_or_default();
                    event["delta"] = json!(format!("{delta}~"));
                    changed[at] = format!("data: {event}\n\n");
                }
            }
            (
                format!("{damage:?} {}", frames[at].trim()),
                changed.concat(),
            )
        })
        .collect()
}

/// Runs with a wrong result but neither an error nor a warning, and the number of all runs.
fn silent(
    provider: &Arc<dyn Provider>,
    request: &ChatRequest,
    body: &str,
    most: usize,
) -> (Vec<String>, usize) {
    let run = |body: String| chat(provider, request, &Answer::sse(body), Arrival::Whole).result;
    let Ok(right) = run(body.to_owned()) else {
        return (Vec::new(), 0);
    };
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for damage in [Damage::Double, Damage::Drop, Damage::Alter] {
        for (what, body) in damaged(body, damage, most) {
            runs += 1;
            let is_wrong = run(body).is_ok_and(|response| {
                said(&response) != said(&right) && response.warnings.len() == right.warnings.len()
            });
            if is_wrong {
                wrong.push(what);
            }
        }
    }
    (wrong, runs)
}

#[test]
fn damaged_delta_never_silently_changes_the_response() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I think."}]});
    let mut events = vec![
        part("reasoning_summary_text.delta", 0, 0, "delta", "I "),
        part("reasoning_summary_text.delta", 0, 0, "delta", "think."),
        done(0, reasoning.clone()),
        text(1, 0, "Hel"),
        text(1, 0, "lo"),
        text(1, 0, " \n"),
        done(1, message(&["Hello \n"])),
        added(2, call("f", "")),
        arguments(2, "{\"a\":"),
        arguments(2, "11"),
        arguments(2, "}"),
        done(2, call("f", "{\"a\":11}")),
    ];
    events.push(completed(json!([
        reasoning,
        message(&["Hello \n"]),
        call("f", "{\"a\":11}")
    ])));
    let request = ChatRequest::new("m").user("as recorded").stream(true);
    let (mut wrong, mut runs) = silent(&provider(), &request, &sse(&events), usize::MAX);
    assert_eq!(runs, 24);
    for recording in corpus::load("openai-responses", None)
        .iter()
        .filter(|r| r.streaming)
    {
        let body = std::str::from_utf8(&recording.body)
            .unwrap()
            .replace("\r\n", "\n");
        let provider = provider_for_recording(&recording.provider, "openai-responses").unwrap();
        let (more, count) = silent(&provider, &request, &body, 12);
        wrong.extend(
            more.into_iter()
                .map(|what| format!("{}: {what}", recording.id)),
        );
        runs += count;
    }
    println!("{runs} runs");
    assert!(
        wrong.is_empty(),
        "{} of {runs} runs gave another answer with success and without a warning\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}
