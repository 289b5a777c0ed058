//! Turns that Anthropic paused.

use crate::manual_driver::*;
use serde_json::{Value, json};
use std::sync::Arc;
use unifiedai::{
    CallOptions, ErrorKind, FinishReason, StreamEvent, UnifiedChatResponse,
    policy::ResumePolicy,
    provider::{Anthropic, Provider},
    sans_io::{Accumulator, Step},
};

fn anthropic() -> Arc<dyn Provider> {
    Arc::new(Anthropic::new("sk-secret").unwrap())
}

fn turns(most: u32) -> CallOptions {
    options().resume(ResumePolicy::default().max_turns(most))
}

/// The content of three turns. The first two end with a call whose result begins the next one.
fn contents() -> [Value; 3] {
    let call = |id: &str| json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": id}});
    let result =
        |id: &str| json!({"type": "web_search_tool_result", "tool_use_id": id, "content": []});
    let text = |text: &str| json!({"type": "text", "text": text});
    [
        json!([{"type": "thinking", "thinking": "Search.", "signature": "sig"}, text("One "), call("s1")]),
        json!([result("s1"), text("two "), call("s2")]),
        json!([result("s2"), text("three.")]),
    ]
}

fn message(turn: usize) -> Value {
    let reason = if turn < 2 { "pause_turn" } else { "end_turn" };
    json!({"type": "message", "id": format!("msg_{turn}"), "role": "assistant", "model": "claude", "stop_reason": reason,
        "content": contents()[turn], "usage": {"input_tokens": 100 * (turn + 1), "output_tokens": 10, "cache_read_input_tokens": turn}})
}

fn stream(turn: usize) -> String {
    let mut text = String::new();
    let mut push = |event: Value| {
        text += &format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        );
    };
    let whole = message(turn);
    let mut start = whole.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = 1.into();
    push(json!({"type": "message_start", "message": start}));
    for (index, block) in whole["content"].as_array().unwrap().iter().enumerate() {
        let mut begun = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "text" => {
                begun["text"] = "".into();
                deltas.push(json!({"type": "text_delta", "text": block["text"]}));
            }
            "thinking" => {
                (begun["thinking"], begun["signature"]) = ("".into(), "".into());
                deltas.push(json!({"type": "thinking_delta", "thinking": block["thinking"]}));
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "server_tool_use" => {
                begun["input"] = json!({});
                deltas.push(
                    json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}),
                );
            }
            _ => {}
        }
        push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        for delta in deltas {
            push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        push(json!({"type": "content_block_stop", "index": index}));
    }
    push(
        json!({"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": whole["usage"]}),
    );
    push(json!({"type": "message_stop"}));
    text
}

/// Answers turn after turn; returns the bodies of the requests.
fn run(call: &mut Call, streams: bool, most: usize) -> Vec<Value> {
    let mut bodies = Vec::new();
    for turn in 0..most {
        let (request, _) = call.send();
        bodies.push(serde_json::from_slice(request.body()).unwrap());
        match streams {
            true => call.head(200, &[SSE]).body(stream(turn)),
            false => call
                .head(200, &[JSON])
                .body(message(turn).to_string())
                .end(),
        };
    }
    bodies
}

fn fold(events: &[StreamEvent]) -> UnifiedChatResponse {
    let mut folded = Accumulator::new();
    for event in events {
        folded.apply(event);
    }
    folded.into_response()
}

#[test]
fn paused_turns_become_one_response() {
    let mut results = Vec::new();
    for streams in [false, true] {
        let mut call = Call::new(anthropic(), request(streams), turns(5));
        let bodies = run(&mut call, streams, 3);
        // The content so far, unchanged and in one message; no other message is added.
        let contents = contents().map(|content| content.as_array().unwrap().clone());
        for (turn, body) in bodies.iter().enumerate() {
            let messages = body["messages"].as_array().unwrap();
            assert_eq!(messages[0]["role"], "user");
            if turn == 0 {
                assert_eq!(messages.len(), 1);
                continue;
            }
            assert_eq!(
                (messages.len(), &messages[1]["role"]),
                (2, &json!("assistant"))
            );
            assert_eq!(messages[1]["content"], json!(contents[..turn].concat()));
            assert_eq!(body["max_tokens"], bodies[0]["max_tokens"]);
        }
        assert!(call.is_done());
        let events = std::mem::take(&mut call.events);
        let response = call.result().unwrap();
        assert_eq!(response.id, "msg_0");
        assert_eq!(response.text(), "One two three.");
        assert_eq!(response.finish_reason(), Some(&FinishReason::Stop));
        assert_eq!(response.choices[0].message.content.len(), 8);
        let usage = response.usage.as_ref().unwrap();
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens),
            (Some(603), Some(30))
        );
        assert_eq!(usage.cached_tokens, Some(3));
        let raw: Value = usage.raw.as_ref().unwrap().decode().unwrap();
        assert_eq!(raw.as_array().unwrap().len(), 3);
        assert_eq!(response.metrics.attempts.len(), 3);
        let extra = &response.provider_metadata.extra;
        let ids = extra
            .iter()
            .find(|(name, _)| name == "later_turn_ids")
            .unwrap();
        assert_eq!(ids.1.as_str(), r#"["msg_1","msg_2"]"#);
        if streams {
            let folded = fold(&events);
            assert_eq!(folded.choices, response.choices);
            assert_eq!(folded.usage, response.usage);
            assert_eq!(folded.id, response.id);
            let finishes = events
                .iter()
                .filter(|event| matches!(event, StreamEvent::Finish { .. }));
            assert_eq!(finishes.count(), 1);
        }
        results.push(response);
    }
    assert_eq!(results[0].choices, results[1].choices);
    assert_eq!(results[0].usage, results[1].usage);
}

#[test]
fn by_default_and_at_the_limit_the_response_is_the_paused_one() {
    for (most, text, parts) in [(0, "One ", 3), (1, "One two ", 6)] {
        let mut call = Call::new(anthropic(), request(true), turns(most));
        run(&mut call, true, most as usize + 1);
        let response = call.result().unwrap();
        assert_eq!(response.text(), text);
        assert_eq!(response.choices[0].message.content.len(), parts);
        assert_eq!(
            response.finish_reason(),
            Some(&FinishReason::Other("pause_turn".into()))
        );
    }
    assert_eq!(CallOptions::default().resume.max_turns, 0);
}

#[test]
fn a_turn_that_fails_before_its_first_visible_event_is_repeated_alone() {
    let mut call = Call::new(anthropic(), request(true), turns(5));
    run(&mut call, true, 1);
    let (second, _) = call.send();
    // Nothing of this attempt is returned.
    let start = stream(1).split_inclusive("\n\n").next().unwrap().to_owned();
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    call.head(200, &[SSE]).body(start + overloaded);
    call.sleep();
    let (again, _) = call.send();
    assert_eq!(again.body(), second.body());
    call.head(200, &[SSE]).body(stream(1));
    call.send();
    call.head(200, &[SSE]).body(stream(2));
    assert!(call.is_done());
    let folded = fold(&call.events);
    let response = call.result().unwrap();
    assert_eq!(response.text(), "One two three.");
    assert_eq!(folded.choices, response.choices);
    assert_eq!(response.usage.unwrap().prompt_tokens, Some(603));
}

#[test]
fn a_turn_that_fails_for_good_is_the_error_with_the_parts_of_all_turns() {
    for (events, text) in [(0, "One "), (7, "One two ")] {
        let mut call = Call::new(anthropic(), request(true), turns(5));
        run(&mut call, true, 1);
        call.send();
        let begun: String = stream(1).split_inclusive("\n\n").take(events).collect();
        call.head(200, &[SSE]).body(begun).end();
        assert!(call.is_done());
        assert_eq!(call.text(), text);
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::Truncated);
        let partial = error.partial().unwrap();
        assert_eq!(partial.text(), text);
        let usage = partial.usage.as_ref().unwrap().prompt_tokens;
        assert_eq!(usage, Some(if events == 0 { 100 } else { 301 }));
    }
}

#[test]
fn the_limits_of_a_response_cover_all_turns() {
    let least = |further: u32| {
        let fits = |body: &usize| {
            let mut options = turns(further);
            options.sizes.body = *body;
            let mut call = Call::new(anthropic(), request(true), options);
            for turn in 0..=further as usize {
                if !matches!(call.step(), Step::Send { .. }) {
                    break;
                }
                call.head(200, &[SSE]).body(stream(turn));
            }
            match call.result() {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    false
                }
            }
        };
        (0..20_000).step_by(20).find(fits).unwrap()
    };
    let (one, three) = (least(0), least(2));
    assert!(three > 2 * one, "{one} {three}");
}
