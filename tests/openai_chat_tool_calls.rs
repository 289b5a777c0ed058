//! Tool calls in the formats in which servers stream them (F80, F81, F82).

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
use support::drive::{self, Answer, Arrival};
use unifiedai::{
    ChatRequest, Error, ErrorKind, StreamEvent,
    provider::{OpenAiChat, Provider},
};

/// The calls of a stream whose chunks have these `tool_calls`: id, name, arguments.
fn calls(fragments: &[Value]) -> Result<Vec<(String, String, String)>, Error> {
    let chunk = |calls: &Value| {
        let calls = if calls.is_array() {
            calls.clone()
        } else {
            json!([calls])
        };
        let choice = json!({"index": 0, "delta": {"tool_calls": calls}});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "model": "m", "created": 1, "choices": [choice]})
        )
    };
    let mut body: String = fragments.iter().map(chunk).collect();
    body += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    let provider = OpenAiChat::custom("https://api.example.com/v1")
        .build()
        .unwrap();
    let provider: Arc<dyn Provider> = Arc::new(provider);
    let request = ChatRequest::new("m").user("hi").stream(true);
    let outcome = drive::chat(&provider, &request, &Answer::sse(body), Arrival::Whole);
    let response = outcome.result?;
    check_events(&outcome.events);
    let call =
        |call: &unifiedai::ToolCall| (call.id.clone(), call.name.clone(), call.arguments.clone());
    Ok(response.tool_calls().map(call).collect())
}

/// Each call starts once, ends once, and its deltas form its arguments.
fn check_events(events: &[StreamEvent]) {
    let mut open = std::collections::BTreeMap::new();
    for event in events {
        match event {
            StreamEvent::ToolCallStart { part, .. } => {
                assert!(open.insert(*part, String::new()).is_none());
            }
            StreamEvent::ToolCallDelta {
                part, arguments, ..
            } => {
                *open.get_mut(part).unwrap() += arguments;
            }
            StreamEvent::ToolCallEnd { part, call, .. } => {
                assert_eq!(open.remove(part).unwrap(), call.arguments);
            }
            _ => {}
        }
    }
    assert!(open.is_empty());
}

fn piece(
    index: Option<u64>,
    id: Option<&str>,
    name: Option<&str>,
    arguments: Option<&str>,
) -> Value {
    let mut call = json!({"type": "function", "function": {}});
    if let Some(index) = index {
        call["index"] = index.into();
    }
    if let Some(id) = id {
        call["id"] = id.into();
    }
    if let Some(name) = name {
        call["function"]["name"] = name.into();
    }
    if let Some(arguments) = arguments {
        call["function"]["arguments"] = arguments.into();
    }
    call
}

/// Two calls, `f({"a":1})` and `g({"b":2})`, in every recorded format.
#[test]
fn every_shape_gives_the_same_two_calls() {
    let (a1, a2, b1, b2) = (Some("{\"a\""), Some(":1}"), Some("{\"b\""), Some(":2}"));
    let (whole_a, whole_b) = (Some("{\"a\":1}"), Some("{\"b\":2}"));
    let (f, g, x, y, no) = (Some("f"), Some("g"), Some("x"), Some("y"), None);
    let shapes: Vec<(&str, Vec<Value>)> = vec![
        (
            "as OpenAI does",
            vec![
                piece(Some(0), x, f, Some("")),
                piece(Some(0), no, no, a1),
                piece(Some(0), no, no, a2),
                piece(Some(1), y, g, Some("")),
                piece(Some(1), no, no, b1),
                piece(Some(1), no, no, b2),
            ],
        ),
        (
            "no index at all",
            vec![
                piece(None, x, f, a1),
                piece(None, no, no, a2),
                piece(None, y, g, b1),
                piece(None, no, no, b2),
            ],
        ),
        (
            "index only in the first piece",
            vec![
                piece(Some(0), x, f, a1),
                piece(None, no, no, a2),
                piece(Some(1), y, g, b1),
                piece(None, no, no, b2),
            ],
        ),
        (
            "one index for all, new ids",
            vec![
                piece(Some(0), x, f, a1),
                piece(Some(0), no, no, a2),
                piece(Some(0), y, g, b1),
                piece(Some(0), no, no, b2),
            ],
        ),
        (
            "whole calls, one index for all",
            vec![piece(Some(0), x, f, whole_a), piece(Some(0), y, g, whole_b)],
        ),
        (
            "drifting index",
            vec![
                piece(Some(0), x, f, a1),
                piece(Some(1), no, no, a2),
                piece(Some(2), y, g, b1),
                piece(Some(3), no, no, b2),
            ],
        ),
        (
            "interleaved by index",
            vec![
                piece(Some(0), x, f, a1),
                piece(Some(1), y, g, b1),
                piece(Some(0), no, no, a2),
                piece(Some(1), no, no, b2),
            ],
        ),
        (
            "interleaved by id",
            vec![
                piece(None, x, f, a1),
                piece(None, y, g, b1),
                piece(None, x, no, a2),
                piece(None, y, no, b2),
            ],
        ),
        (
            "id and name in every piece",
            vec![
                piece(Some(0), x, f, a1),
                piece(Some(0), x, f, a2),
                piece(Some(1), y, g, b1),
                piece(Some(1), y, g, b2),
            ],
        ),
        (
            "empty id and name later",
            vec![
                piece(Some(0), x, f, a1),
                piece(Some(0), Some(""), Some(""), a2),
                piece(Some(1), y, g, b1),
                piece(Some(1), Some(""), Some(""), b2),
            ],
        ),
        (
            "two in one chunk, without index",
            vec![json!([
                piece(None, x, f, whole_a),
                piece(None, y, g, whole_b)
            ])],
        ),
        (
            "two in each chunk, by place",
            vec![
                json!([piece(None, x, f, a1), piece(None, y, g, b1)]),
                json!([piece(None, no, no, a2), piece(None, no, no, b2)]),
            ],
        ),
        (
            "gaps in the index",
            vec![
                piece(Some(7), x, f, whole_a),
                piece(Some(u64::MAX), y, g, whole_b),
            ],
        ),
        (
            "empty pieces in between",
            vec![
                piece(Some(0), x, f, whole_a),
                piece(Some(0), no, no, no),
                piece(Some(0), no, no, Some("")),
                piece(Some(1), y, g, whole_b),
                json!([]),
                json!([{"index": 1}]),
            ],
        ),
        (
            "one id for both",
            vec![piece(Some(0), x, f, whole_a), piece(Some(1), x, g, whole_b)],
        ),
    ];
    for (what, fragments) in shapes {
        let calls = calls(&fragments).unwrap_or_else(|error| panic!("{what}: {error}"));
        let brief: Vec<_> = calls
            .iter()
            .map(|(_, name, arguments)| (name.as_str(), arguments.as_str()))
            .collect();
        assert_eq!(brief, [("f", "{\"a\":1}"), ("g", "{\"b\":2}")], "{what}");
        assert_eq!(calls[0].0, "x", "{what}");
    }
}

#[test]
fn calls_without_ids_get_generated_ids() {
    let (f, none) = (Some("f"), None);
    let twice = [
        piece(Some(0), none, f, Some("{\"a\":1}")),
        piece(Some(0), none, f, Some("{\"a\":2}")),
    ];
    let read = calls(&twice).unwrap();
    assert_eq!(read.len(), 2, "complete arguments cannot go on");
    assert_ne!(read[0].0, read[1].0);
    let late = [
        piece(Some(0), none, f, Some("{")),
        piece(Some(0), Some("x"), none, Some("}")),
    ];
    assert_eq!(
        calls(&late).unwrap(),
        [("x".into(), "f".into(), "{}".into())]
    );
}

#[test]
fn ambiguous_fragments_are_errors() {
    let (f, g, x, y, no) = (Some("f"), Some("g"), Some("x"), Some("y"), None);
    let unclear: Vec<(&str, Vec<Value>)> = vec![
        (
            "a piece for one of two interleaved calls",
            vec![
                piece(Some(0), x, f, Some("{")),
                piece(Some(1), y, g, Some("{")),
                piece(Some(0), no, no, Some("}")),
                piece(None, no, no, Some("}")),
            ],
        ),
        (
            "an unknown index among interleaved calls",
            vec![
                piece(Some(0), x, f, Some("{")),
                piece(Some(1), y, g, Some("{")),
                piece(Some(0), no, no, Some("}")),
                piece(Some(5), no, no, Some("}")),
            ],
        ),
        (
            "one piece after two in one chunk",
            vec![
                json!([piece(None, x, f, Some("{")), piece(None, y, g, Some("{"))]),
                piece(None, no, no, Some("}")),
            ],
        ),
        (
            "arguments for a call that was never named",
            vec![piece(Some(0), x, no, Some("{}"))],
        ),
        (
            "a second call without its name",
            vec![
                piece(Some(0), x, f, Some("{}")),
                piece(Some(1), no, no, Some("{}")),
            ],
        ),
        (
            "the same name twice, nothing else",
            vec![piece(None, no, f, no), piece(None, no, f, Some("{}"))],
        ),
    ];
    for (what, fragments) in unclear {
        let error = calls(&fragments).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}");
    }
}

// F82
#[test]
fn arguments_are_kept_unchanged() {
    let cases = [
        (json!(""), "", true),
        (json!(null), "", true),
        (json!({"a": 1}), "{\"a\":1}", true),
        (json!("{\"a\": 1}\n"), "{\"a\": 1}\n", true),
        (json!("[1]"), "[1]", false),
        (json!("{\"a\": "), "{\"a\": ", false),
        (json!("not json"), "not json", false),
        (json!(7), "7", false),
    ];
    for (sent, kept, valid) in cases {
        let mut fragment = piece(Some(0), Some("x"), Some("f"), None);
        fragment["function"]["arguments"] = sent.clone();
        let read = calls(&[fragment]).unwrap();
        assert_eq!(read[0].2, kept, "{sent}");
        let call = unifiedai::ToolCall::new("x", "f", &read[0].2);
        assert_eq!(call.has_valid_arguments(), valid, "{sent}");
    }
}

/// How a server identifies the fragments of its calls.
#[derive(Clone, Copy, Debug)]
enum Style {
    Plain,
    OneIndex,
    NoIndex,
    Drifting,
    Repeating,
    Interleaved,
}

fn styled(style: Style, calls: &[Vec<String>]) -> Vec<Value> {
    let mut fragments = Vec::new();
    let mut drift = 0;
    for (n, pieces) in calls.iter().enumerate() {
        let (id, name) = (format!("id{n}"), format!("f{n}"));
        for (at, text) in pieces.iter().enumerate() {
            drift += 1;
            let index = match style {
                Style::Plain | Style::Repeating | Style::Interleaved => Some(n as u64),
                Style::OneIndex => Some(0),
                Style::NoIndex => None,
                Style::Drifting => Some(drift),
            };
            let first = at == 0 || matches!(style, Style::Repeating);
            let (id, name) = (first.then_some(id.as_str()), first.then_some(name.as_str()));
            fragments.push((at, piece(index, id, name, Some(text))));
        }
    }
    if matches!(style, Style::Interleaved) {
        fragments.sort_by_key(|(at, _)| *at);
    }
    fragments
        .into_iter()
        .map(|(_, fragment)| fragment)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn each_call_gets_exactly_its_arguments(
        style in prop::sample::select(vec![
            Style::Plain, Style::OneIndex, Style::NoIndex, Style::Drifting, Style::Repeating, Style::Interleaved,
        ]),
        values in prop::collection::vec(prop::collection::vec("[a-z\"\\\\{}é漢 ]{0,6}", 1..5), 1..5),
        cuts in prop::collection::vec(1_usize..9, 8),
    ) {
        let wanted: Vec<String> = values.iter().map(|texts| json!({"texts": texts}).to_string()).collect();
        let pieces = |text: &String| {
            let characters: Vec<char> = text.chars().collect();
            let mut rest = characters.as_slice();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece.iter().collect::<String>());
                rest = more;
            }
            pieces
        };
        let all: Vec<Vec<String>> = wanted.iter().map(pieces).collect();
        let read = calls(&styled(style, &all)).unwrap();
        let got: Vec<String> = read.into_iter().map(|(_, _, arguments)| arguments).collect();
        prop_assert_eq!(got, wanted);
    }
}
