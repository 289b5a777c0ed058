//! Gemini Interactions.

use super::{post, server};
use serde_json::{Value, json};

#[test]
fn interactions_stream_equals_single_body() {
    let server = server();
    let path = "/v1beta/interactions";
    let mut request = json!({"model": "gemini-think", "input": "echo: hi there",
        "generation_config": {"thinking_summaries": "auto"}});
    let body = post(&server, path, &request).json();
    assert_eq!(
        (&body["status"], &body["object"]),
        (&json!("completed"), &json!("interaction"))
    );
    let steps = body["steps"].as_array().unwrap();
    assert_eq!(
        (&steps[0]["type"], &steps[1]["content"][0]["text"]),
        (&json!("thought"), &json!("hi there"))
    );
    request["stream"] = true.into();
    let stream = post(&server, path, &request);
    assert!(stream.text().ends_with("event: done\ndata: [DONE]\n\n"));
    let events = stream.events();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[..3],
        [
            "interaction.created",
            "interaction.status_update",
            "step.start"
        ]
    );
    assert_eq!(*kinds.last().unwrap(), "interaction.completed");
    let deltas = |kind: &str, pointer: &str| -> String {
        let deltas = events.iter().map(|event| &event["delta"]);
        let own = deltas.filter(|delta| delta["type"] == kind);
        own.map(|delta| delta.pointer(pointer).unwrap().as_str().unwrap())
            .collect()
    };
    assert_eq!(deltas("text", "/text"), "hi there");
    let summary: String = steps[0]["summary"]
        .as_array()
        .unwrap()
        .iter()
        .map(|element| element["text"].as_str().unwrap())
        .collect();
    assert_eq!(deltas("thought_summary", "/content/text"), summary);
    let last = &events.last().unwrap()["interaction"];
    assert!(last["steps"].is_null());
    assert_eq!(
        (&last["status"], &last["usage"]),
        (&body["status"], &body["usage"])
    );
}

#[test]
fn interactions_call_functions_and_fail() {
    let server = server();
    let path = "/v1beta/interactions";
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}});
    let mut request = json!({"model": "gemini-3", "store": false, "input": [{"type": "user_input", "content": [{"type": "text", "text": "use the tool with 7"}]}], "tools": [tool]});
    let body = post(&server, path, &request).json();
    assert_eq!(
        (&body["status"], &body["id"]),
        (&json!("requires_action"), &Value::Null)
    );
    let call = body["steps"][0].clone();
    assert_eq!(
        (&call["name"], &call["arguments"]),
        (&json!("f"), &json!({"a": 7}))
    );
    let result = json!({"type": "function_result", "call_id": call["id"], "result": "49"});
    request["input"]
        .as_array_mut()
        .unwrap()
        .extend([call, result]);
    let body = post(&server, path, &request).json();
    assert!(
        body["steps"][0]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("49")
    );
    let error = |body: &Value| post(&server, path, body).json()["error"]["code"].clone();
    assert_eq!(
        error(&json!({"model": "missing", "input": "x"})),
        "model_not_found"
    );
    assert_eq!(error(&json!({"input": "x"})), "invalid_request");
    assert_eq!(
        error(&json!({"model": "m", "input": "x", "background": true, "store": false})),
        "invalid_request"
    );
    let cut = json!({"model": "gemini-think", "input": "x", "generation_config": {"max_output_tokens": 2}});
    assert_eq!(post(&server, path, &cut).json()["status"], "incomplete");
}
