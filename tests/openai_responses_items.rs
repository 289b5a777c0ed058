//! Items of the Responses API arrive in events, as finished items, and in the final response. A difference is an
//! error if it changes an emitted command, else a warning. Content that is in only one of them is kept.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use support::drive::{Answer, Arrival, chat};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, UnifiedChatResponse,
    transport::testing::provider_for_recording,
};

fn answer(events: &[Value]) -> Result<UnifiedChatResponse, unifiedai::Error> {
    let provider = provider_for_recording("compat", "openai-responses").unwrap();
    let request = ChatRequest::new("m").user("Go.").stream(true);
    let body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    chat(&provider, &request, &Answer::sse(body), Arrival::Whole).result
}

fn added(item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": 0, "item": item})
}

fn done(item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": 0, "item": item})
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": output}})
}

fn event(name: &str, member: &str, value: Value) -> Value {
    let mut event = json!({"type": format!("response.{name}"), "output_index": 0, "item_id": "i"});
    event[member] = value;
    event
}

fn items(response: &UnifiedChatResponse) -> Vec<Value> {
    let content = &response.message().unwrap().content;
    let raw = content.iter().filter_map(|part| part.raw());
    raw.map(|block| block.block.decode().unwrap()).collect()
}

fn codes(response: &UnifiedChatResponse) -> Vec<&str> {
    response
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect()
}

/// The item when it is announced, the name of its events, the field that they extend, and the finished item with a
/// value for it.
type Kind = (fn(&str) -> Value, &'static str, &'static str);

const KINDS: [Kind; 5] = [
    (
        |text| json!({"type": "custom_tool_call", "id": "i", "call_id": "c", "name": "f", "input": text}),
        "custom_tool_call_input",
        "input",
    ),
    (
        |text| json!({"type": "mcp_call", "id": "i", "server_label": "s", "name": "f", "arguments": text}),
        "mcp_call_arguments",
        "arguments",
    ),
    (
        |text| json!({"type": "code_interpreter_call", "id": "i", "container_id": "c", "code": text}),
        "code_interpreter_call_code",
        "code",
    ),
    (
        |text| json!({"type": "apply_patch_call", "id": "i", "call_id": "c", "operation": {"type": "update_file", "path": "p", "diff": text}}),
        "apply_patch_call_operation_diff",
        "diff",
    ),
    (
        |text| {
            let commands: Vec<&str> = Some(text)
                .filter(|text| !text.is_empty())
                .into_iter()
                .collect();
            json!({"type": "shell_call", "id": "i", "call_id": "c", "action": {"commands": commands}})
        },
        "shell_call_command",
        "command",
    ),
];

#[test]
fn a_finished_item_has_precedence_over_its_events_with_a_warning() {
    for (item, name, member) in KINDS {
        let delta = |text: &str| event(&format!("{name}.delta"), "delta", json!(text));
        let whole = |text: &str| event(&format!("{name}.done"), member, json!(text));
        for (events, expected, warned) in [
            (
                vec![delta("1 +"), delta(" 1"), done(item("1 + 1"))],
                "1 + 1",
                &[][..],
            ),
            (
                vec![delta("1 + 1"), whole("1 + 1"), done(item("1 + 1"))],
                "1 + 1",
                &[],
            ),
            (vec![done(item("1 + 1"))], "1 + 1", &[]),
            // A duplicated delta, a lost delta, another text.
            (
                vec![delta("1 +"), delta("1 +"), delta(" 1"), done(item("1 + 1"))],
                "1 + 1",
                &["item_differs"],
            ),
            (
                vec![delta("1 +"), done(item("1 + 1"))],
                "1 + 1",
                &["item_differs"],
            ),
            (
                vec![delta("2"), whole("1 + 1"), done(item("1 + 1"))],
                "1 + 1",
                &["item_differs"],
            ),
            (
                vec![whole("2"), done(item("1 + 1"))],
                "1 + 1",
                &["item_differs"],
            ),
            // Fields that the finished item lacks were received earlier.
            (
                vec![delta("1 +"), delta(" 1"), done(item(""))],
                "1 + 1",
                &[],
            ),
            (vec![whole("1 + 1"), done(item(""))], "1 + 1", &[]),
            (
                vec![delta("1"), whole("1"), delta("1"), done(item("1"))],
                "1",
                &["late_delta"],
            ),
            // The item is not finished, but its text is.
            (vec![delta("1 + 1"), whole("1 + 1")], "1 + 1", &[]),
        ] {
            let mut all = vec![added(item(""))];
            all.extend(events);
            for output in [json!([]), json!([item(expected)])] {
                all.push(completed(output));
                let response = answer(&all).unwrap();
                let mut items = items(&response);
                assert_eq!(items.len(), 1, "{all:?}");
                items[0].as_object_mut().unwrap().remove("status");
                assert_eq!(items[0], item(expected), "{all:?}");
                assert_eq!(codes(&response), warned, "{all:?}");
                all.pop();
            }
        }
        // Without the complete text it is unknown whether all deltas were received.
        let response = answer(&[added(item("")), delta("1"), completed(json!([]))]).unwrap();
        assert_eq!(
            (items(&response).len(), codes(&response)),
            (0, vec!["item_not_completed"])
        );
        // The text has no item.
        let response = answer(&[whole("1"), completed(json!([]))]).unwrap();
        assert_eq!(
            (items(&response).len(), codes(&response)),
            (0, vec!["item_not_completed"])
        );
    }
}

#[test]
fn an_item_that_differs_in_the_final_response_is_a_warning_and_a_command_an_error() {
    for (first, again, expected) in [
        (
            json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "1"}),
            json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "2"}),
            Err(ErrorKind::Protocol),
        ),
        (
            json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "1"}),
            json!({"type": "custom_tool_call", "call_id": "d", "name": "f", "input": "1"}),
            Ok("item_differs"),
        ),
        (
            json!({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}}),
            json!({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["rm"]}}),
            Err(ErrorKind::Protocol),
        ),
        (
            json!({"type": "computer_call", "id": "i", "call_id": "c", "action": {"type": "click", "x": 1}}),
            json!({"type": "computer_call", "id": "i", "call_id": "c", "action": {"type": "click", "x": 2}}),
            Err(ErrorKind::Protocol),
        ),
        (
            json!({"type": "mcp_approval_request", "id": "i", "name": "f", "arguments": "{\"a\":1}"}),
            json!({"type": "mcp_approval_request", "id": "i", "name": "f", "arguments": "{\"a\":2}"}),
            Err(ErrorKind::Protocol),
        ),
        (
            json!({"type": "mcp_call", "id": "i", "name": "f", "arguments": "{}", "output": "1"}),
            json!({"type": "mcp_call", "id": "i", "name": "f", "arguments": "{}", "output": "2"}),
            Ok("item_differs"),
        ),
        (
            json!({"type": "web_search_call", "id": "i", "action": {"type": "search", "query": "a"}}),
            json!({"type": "web_search_call", "id": "i", "action": {"type": "search", "query": "b"}}),
            Ok("item_differs"),
        ),
        (
            json!({"type": "image_generation_call", "id": "i", "result": "QUFB"}),
            json!({"type": "image_generation_call", "id": "i", "result": "QkJC"}),
            Ok("item_differs"),
        ),
        (
            json!({"type": "file_search_call", "id": "i", "queries": ["a"]}),
            json!({"type": "file_search_call", "id": "i", "queries": ["a"], "results": [{"text": "t"}]}),
            Ok("item_differs"),
        ),
        // No other difference is reported.
        (
            json!({"type": "image_generation_call", "id": "i", "status": "completed", "result": "QUFB"}),
            json!({"type": "image_generation_call", "id": "j", "status": "generating", "result": null}),
            Ok(""),
        ),
        (
            json!({"type": "compaction", "id": "i", "encrypted_content": "a"}),
            json!({"type": "compaction", "id": "i", "encrypted_content": "b"}),
            Ok(""),
        ),
    ] {
        let events = [done(first.clone()), completed(json!([again]))];
        match (answer(&events), expected) {
            (Ok(response), Ok(code)) => {
                assert_eq!(items(&response), [first], "{events:?}");
                assert_eq!(codes(&response).join(","), code, "{events:?}");
            }
            (Err(error), Err(kind)) => {
                assert_eq!(error.kind(), kind, "{events:?}");
                assert!(error.message().contains("output[0]"), "{error}");
            }
            (answer, _) => panic!("{events:?}: {answer:?}"),
        }
        assert_eq!(
            codes(
                &answer(&[
                    done(events[0]["item"].clone()),
                    completed(json!([events[0]["item"]]))
                ])
                .unwrap()
            ),
            [""; 0]
        );
    }
}

#[test]
fn an_item_that_differs_from_its_announcement_is_named() {
    let custom = |name: &str| json!({"type": "custom_tool_call", "id": "i", "call_id": "c", "name": name, "input": "1"});
    let response = answer(&[added(custom("f")), done(custom("g")), completed(json!([]))]).unwrap();
    assert_eq!(items(&response), [custom("g")]);
    assert_eq!(codes(&response), ["item_differs"]);
    assert_eq!(
        response.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    // The announced function was emitted already.
    let function =
        json!({"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""});
    let error = answer(&[added(function), done(custom("f")), completed(json!([]))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn repeated_sources_that_differ_are_named() {
    let source = |url: &str| json!({"type": "url_citation", "url": url, "title": "t"});
    let message = |url: &str| json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": [source(url)]}]});
    for (last, warned) in [("https://a", &[][..]), ("https://b", &["item_differs"])] {
        let mut cited = event(
            "output_text.annotation.added",
            "annotation",
            source("https://a"),
        );
        cited["content_index"] = json!(0);
        let mut text = event("output_text.delta", "delta", json!("Hi"));
        text["content_index"] = json!(0);
        let events = [
            text,
            cited,
            done(message(last)),
            completed(json!([message(last)])),
        ];
        let response = answer(&events).unwrap();
        assert_eq!(codes(&response), warned);
        let ContentPart::Text { citations, .. } = &response.message().unwrap().content[0] else {
            panic!("no text");
        };
        assert_eq!(citations.len(), 1);
    }
}

#[test]
fn encrypted_reasoning_that_only_the_final_response_has_is_kept_once() {
    let plain = json!({"type": "reasoning", "id": "i", "summary": []});
    let mut encrypted = plain.clone();
    encrypted["encrypted_content"] = json!("gAAA");
    for (finished, repeated, expected) in [
        (&plain, &encrypted, &encrypted),
        (&plain, &plain, &plain),
        (&encrypted, &encrypted, &encrypted),
        (&encrypted, &plain, &encrypted),
    ] {
        let events = [
            added(plain.clone()),
            done(finished.clone()),
            completed(json!([repeated])),
        ];
        let response = answer(&events).unwrap();
        assert_eq!(items(&response), std::slice::from_ref(expected));
        assert_eq!(codes(&response), [""; 0]);
        let unrepeated = [
            added(plain.clone()),
            done(finished.clone()),
            completed(json!([])),
        ];
        let kept = items(&answer(&unrepeated).unwrap());
        assert_eq!(kept, std::slice::from_ref(finished));
    }
}
