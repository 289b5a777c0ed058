//! On APIs that close their content blocks, an announced call that was never closed is incomplete. A call after the
//! finish reason is a call to execute.

#![cfg(all(feature = "bedrock", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use support::drive::{Answer, Arrival, chat};
use unifiedai::{
    ChatRequest, Error, ErrorKind, FinishReason, UnifiedChatResponse,
    codec::event_stream::{HeaderValue, encode_message},
    transport::testing::provider_for_recording,
};

const ANTHROPIC: &str = "anthropic-messages";
const BEDROCK: &str = "bedrock-converse";
const COHERE: &str = "cohere-v2";
const GEMINI: &str = "gemini";
const INTERACTIONS: &str = "gemini-interactions";

/// An event, in the form of each API.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event<'a> {
    Start,
    Text(&'a str),
    EndText,
    /// A call starts.
    Call(u32),
    /// A fragment of its arguments.
    Piece(u32, &'a str),
    Close(u32),
    /// A stop reason, by Anthropic's names: `end_turn`, `tool_use`, `max_tokens`.
    Reason(&'a str),
    End,
}

use Event::{Call, Close, End, EndText, Piece, Reason, Start, Text};

fn anthropic(event: Event<'_>) -> Vec<Value> {
    vec![match event {
        Start => {
            json!({"type": "message_start", "message": {"id": "m", "model": "m", "content": []}})
        }
        Text(text) => {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
        }
        EndText => json!({"type": "content_block_stop", "index": 0}),
        Call(n) => {
            json!({"type": "content_block_start", "index": n, "content_block": {"type": "tool_use", "id": format!("c{n}"), "name": format!("f{n}"), "input": {}}})
        }
        Piece(n, piece) => {
            json!({"type": "content_block_delta", "index": n, "delta": {"type": "input_json_delta", "partial_json": piece}})
        }
        Close(n) => json!({"type": "content_block_stop", "index": n}),
        Reason(reason) => json!({"type": "message_delta", "delta": {"stop_reason": reason}}),
        End => json!({"type": "message_stop"}),
    }]
}

fn cohere(event: Event<'_>) -> Vec<Value> {
    vec![match event {
        Start => json!({"type": "message-start", "id": "m"}),
        Text(text) => {
            json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}})
        }
        EndText => json!({"type": "content-end", "index": 0}),
        Call(n) => {
            json!({"type": "tool-call-start", "index": n, "delta": {"message": {"tool_calls": {"id": format!("c{n}"), "type": "function", "function": {"name": format!("f{n}"), "arguments": ""}}}}})
        }
        Piece(n, piece) => {
            json!({"type": "tool-call-delta", "index": n, "delta": {"message": {"tool_calls": {"function": {"arguments": piece}}}}})
        }
        Close(n) => json!({"type": "tool-call-end", "index": n}),
        Reason(reason) => {
            let reason = match reason {
                "end_turn" => "COMPLETE",
                "tool_use" => "TOOL_CALL",
                _ => "MAX_TOKENS",
            };
            json!({"type": "message-end", "delta": {"finish_reason": reason}})
        }
        End => return Vec::new(),
    }]
}

fn gemini(event: Event<'_>) -> Vec<Value> {
    let part = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
    vec![match event {
        Start | EndText | End => return Vec::new(),
        Text(text) => part(json!({"text": text})),
        Call(n) => part(json!({"functionCall": {"name": format!("f{n}"), "willContinue": true}})),
        Piece(_, _) => part(
            json!({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "numberValue": 1}], "willContinue": true}}),
        ),
        Close(_) => part(json!({"functionCall": {}})),
        Reason(reason) => {
            let reason = match reason {
                "end_turn" | "tool_use" => "STOP",
                _ => "MAX_TOKENS",
            };
            json!({"candidates": [{"finishReason": reason}]})
        }
    }]
}

fn interactions(event: Event<'_>) -> Vec<Value> {
    let start = |n: u32, step: Value| json!({"event_type": "step.start", "index": n, "step": step});
    let delta =
        |n: u32, delta: Value| json!({"event_type": "step.delta", "index": n, "delta": delta});
    vec![match event {
        Start => {
            json!({"event_type": "interaction.created", "interaction": {"id": "m", "status": "in_progress"}})
        }
        Text(text) => delta(0, json!({"type": "text", "text": text})),
        EndText => json!({"event_type": "step.stop", "index": 0}),
        Call(n) => start(
            n,
            json!({"type": "function_call", "id": format!("c{n}"), "name": format!("f{n}"), "arguments": {}}),
        ),
        Piece(n, piece) => delta(n, json!({"type": "arguments_delta", "arguments": piece})),
        Close(n) => json!({"event_type": "step.stop", "index": n}),
        Reason(reason) => {
            let status = match reason {
                "end_turn" => "completed",
                "tool_use" => "requires_action",
                _ => "incomplete",
            };
            json!({"event_type": "interaction.completed", "interaction": {"id": "m", "status": status}})
        }
        End => return Vec::new(),
    }]
}

fn bedrock(event: Event<'_>) -> Vec<(&'static str, Value)> {
    vec![match event {
        Start => ("messageStart", json!({"role": "assistant"})),
        Text(text) => (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"text": text}}),
        ),
        EndText => ("contentBlockStop", json!({"contentBlockIndex": 0})),
        Call(n) => (
            "contentBlockStart",
            json!({"contentBlockIndex": n, "start": {"toolUse": {"toolUseId": format!("c{n}"), "name": format!("f{n}")}}}),
        ),
        Piece(n, piece) => (
            "contentBlockDelta",
            json!({"contentBlockIndex": n, "delta": {"toolUse": {"input": piece}}}),
        ),
        Close(n) => ("contentBlockStop", json!({"contentBlockIndex": n})),
        Reason(reason) => ("messageStop", json!({"stopReason": reason})),
        End => (
            "metadata",
            json!({"usage": {"inputTokens": 1, "outputTokens": 1}}),
        ),
    }]
}

fn sse(events: &[Value]) -> Answer {
    let events = events.iter().map(|event| format!("data: {event}\n\n"));
    Answer::sse(events.collect::<String>())
}

fn answer(wire: &str, events: &[Event<'_>]) -> Result<UnifiedChatResponse, Error> {
    let all = events.iter().copied();
    let answer = match wire {
        ANTHROPIC => sse(&all.flat_map(anthropic).collect::<Vec<_>>()),
        COHERE => sse(&all.flat_map(cohere).collect::<Vec<_>>()),
        GEMINI => sse(&all.flat_map(gemini).collect::<Vec<_>>()),
        INTERACTIONS => sse(&all.flat_map(interactions).collect::<Vec<_>>()),
        _ => {
            let frames = all.flat_map(bedrock).flat_map(|(name, data)| {
                let headers = [
                    (":message-type", HeaderValue::String("event")),
                    (":event-type", HeaderValue::String(name)),
                ];
                encode_message(&headers, data.to_string().as_bytes()).unwrap()
            });
            let body: Vec<u8> = frames.collect();
            Answer::new(200, "application/vnd.amazon.eventstream", body)
        }
    };
    run(wire, &answer)
}

fn run(wire: &str, answer: &Answer) -> Result<UnifiedChatResponse, Error> {
    let provider = match wire {
        ANTHROPIC => "anthropic",
        COHERE => "cohere",
        GEMINI | INTERACTIONS => "gemini",
        _ => "bedrock",
    };
    let provider = provider_for_recording(provider, wire).unwrap();
    let request = ChatRequest::new("m").user("Go.").max_tokens(9).stream(true);
    chat(&provider, &request, answer, Arrival::Whole).result
}

fn names(response: &UnifiedChatResponse) -> Vec<&str> {
    response.tool_calls().map(|call| &*call.name).collect()
}

fn codes(response: &UnifiedChatResponse) -> Vec<&str> {
    response
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect()
}

const WIRES: [&str; 5] = [ANTHROPIC, BEDROCK, COHERE, GEMINI, INTERACTIONS];

#[test]
fn a_call_that_was_only_announced_is_an_error() {
    for wire in WIRES {
        for events in [
            &[Start, Call(1), Reason("tool_use"), End][..],
            &[Start, Text("Hi"), EndText, Call(1), Reason("end_turn"), End],
            &[
                Start,
                Call(1),
                Piece(1, "{\"a\":1}"),
                Close(1),
                Call(2),
                Reason("tool_use"),
                End,
            ],
            &[Start, Call(1), Piece(1, "{\"a\":"), Reason("tool_use"), End],
        ] {
            let error = answer(wire, events).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{wire} {events:?}");
            assert!(error.message().contains("are missing"), "{error}");
        }
    }
}

#[test]
fn a_call_that_a_limit_cut_off_is_dropped() {
    for wire in WIRES {
        for events in [
            &[
                Start,
                Text("Hi"),
                EndText,
                Call(1),
                Reason("max_tokens"),
                End,
            ][..],
            &[
                Start,
                Text("Hi"),
                EndText,
                Call(1),
                Piece(1, "{\"a\":"),
                Reason("max_tokens"),
                End,
            ],
        ] {
            let response = answer(wire, events).unwrap();
            assert_eq!(response.text(), "Hi", "{wire} {events:?}");
            assert_eq!(names(&response), [""; 0], "{wire} {events:?}");
            assert_eq!(
                codes(&response),
                ["call_not_completed"],
                "{wire} {events:?}"
            );
            let reason = response
                .choices
                .first()
                .and_then(|choice| choice.finish_reason.clone());
            assert_eq!(reason, Some(FinishReason::Length), "{wire} {events:?}");
        }
    }
}

#[test]
fn a_call_with_complete_arguments_counts_and_text_needs_no_end() {
    for wire in WIRES {
        let closed = [
            Start,
            Call(1),
            Piece(1, "{\"a\":1}"),
            Close(1),
            Reason("tool_use"),
            End,
        ];
        let empty = [Start, Call(1), Close(1), Reason("tool_use"), End];
        for events in [&closed[..], &empty[..]] {
            let response = answer(wire, events).unwrap();
            assert_eq!(names(&response), ["f1"], "{wire} {events:?}");
            assert_eq!(codes(&response), [""; 0], "{wire} {events:?}");
        }
        let text = answer(wire, &[Start, Text("Hi"), Reason("end_turn"), End]).unwrap();
        assert_eq!((&*text.text(), codes(&text).len()), ("Hi", 0), "{wire}");
        // Gemini's partial arguments always form an object, so it is unknown whether more was to come.
        if wire != GEMINI {
            let open = [
                Start,
                Call(1),
                Piece(1, "{\"a\":1}"),
                Reason("tool_use"),
                End,
            ];
            let response = answer(wire, &open).unwrap();
            assert_eq!(names(&response), ["f1"], "{wire}");
            assert_eq!(codes(&response), ["call_not_completed"], "{wire}");
        }
    }
}

#[test]
fn a_call_after_the_finish_reason_is_a_call_to_execute() {
    let call = [Call(1), Piece(1, "{\"a\":1}"), Close(1)];
    for wire in [ANTHROPIC, BEDROCK, GEMINI] {
        let mut events = vec![Start, Text("Hi"), EndText, Reason("end_turn")];
        events.extend(call);
        events.push(End);
        let response = answer(wire, &events).unwrap();
        assert_eq!(names(&response), ["f1"], "{wire}");
        let reason = response
            .choices
            .first()
            .and_then(|choice| choice.finish_reason.clone());
        assert_eq!(reason, Some(FinishReason::ToolCalls), "{wire}");
    }
    // A complete call in a chunk of its own.
    let call = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]});
    let stop = json!({"candidates": [{"finishReason": "STOP"}]});
    let response = run(GEMINI, &sse(&[stop, call])).unwrap();
    assert_eq!(names(&response), ["f"]);
    let reason = response
        .choices
        .first()
        .and_then(|choice| choice.finish_reason.clone());
    assert_eq!(reason, Some(FinishReason::ToolCalls));
    // The finish reason ends a stream of these APIs: content after it is named in a warning.
    let mut events = vec![Start, Text("Hi"), Reason("end_turn")];
    events.extend([Call(1), Close(1)]);
    for wire in [COHERE, INTERACTIONS] {
        let response = answer(wire, &events).unwrap();
        assert_eq!(
            (names(&response), codes(&response).first()),
            (vec![], Some(&"behind_end"))
        );
    }
}

#[test]
fn an_unfinished_server_side_call_is_dropped_and_named() {
    let search = |input: Value| json!({"type": "content_block_start", "index": 1, "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": input}});
    let result = json!({"type": "content_block_start", "index": 1, "content_block": {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}});
    for (block, piece, kept) in [
        (search(json!({})), "", 0),
        (search(json!({})), "{\"query\":", 0),
        (search(json!({})), "{\"query\":\"x\"}", 1),
        (search(json!({"query": "x"})), "", 1),
        (result, "", 1),
    ] {
        let mut events: Vec<Value> = [Start, Text("Hi"), EndText]
            .into_iter()
            .flat_map(anthropic)
            .collect();
        events.push(block);
        events.extend(anthropic(Piece(1, piece)));
        events.extend([Reason("end_turn"), End].into_iter().flat_map(anthropic));
        let response = run(ANTHROPIC, &sse(&events)).unwrap();
        let content = &response.message().unwrap().content;
        let opaque = content.iter().filter(|part| part.raw().is_some());
        assert_eq!(opaque.count(), kept, "{events:?}");
        assert_eq!(codes(&response), ["item_not_completed"], "{events:?}");
    }
    let search = |step: Value| json!({"event_type": "step.start", "index": 1, "step": step});
    let call = |arguments: Value| {
        search(json!({"type": "google_search_call", "id": "s", "arguments": arguments}))
    };
    let result = search(json!({"type": "google_search_result", "call_id": "s"}));
    let bare = search(json!({"type": "file_search_call", "id": "s"}));
    for (step, piece, kept) in [
        (call(json!({})), "", 0),
        (call(json!({})), "{\"queries\":", 0),
        (call(json!({})), "{\"queries\":[]}", 1),
        (call(json!({"queries": ["x"]})), "", 1),
        (bare, "", 0),
        (result, "", 1),
    ] {
        let mut events: Vec<Value> = [Start, Text("Hi"), EndText]
            .into_iter()
            .flat_map(interactions)
            .collect();
        events.push(step);
        if !piece.is_empty() {
            events.extend(interactions(Piece(1, piece)));
        }
        events.extend(interactions(Reason("end_turn")));
        let response = run(INTERACTIONS, &sse(&events)).unwrap();
        let content = &response.message().unwrap().content;
        let opaque = content.iter().filter(|part| part.raw().is_some());
        assert_eq!(opaque.count(), kept, "{events:?}");
        assert_eq!(codes(&response), ["item_not_completed"], "{events:?}");
    }
}
