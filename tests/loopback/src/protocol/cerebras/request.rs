//! Parses a request in OpenAI's chat format.

use serde_json::{Value, json};

use crate::protocol::{Call, is_true, list, strings, text, text_of};
use crate::response::{self, Choice, ModelRequest, Tool};

pub(crate) fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let messages = list(body, "messages");
    let content = |message: &Value| text(message.get("content"));
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user");
    let last_tool = messages
        .last()
        .filter(|message| text_of(message, "role") == "tool");
    let function = |tool: &Value| {
        let function = tool.get("function")?;
        let schema = function.get("parameters").cloned().unwrap_or_default();
        Some(Tool {
            name: function.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let format = body.get("response_format");
    let schema = match format.map(|format| text_of(format, "type")) {
        Some("json_object") => Some(json!({"properties": {"answer": {"type": "string"}}})),
        Some("json_schema") => {
            format.and_then(|format| format.pointer("/json_schema/schema").cloned())
        }
        _ => None,
    };
    let off = text_of(body, "reasoning_effort") == "none" || is_true(body, "disable_reasoning");
    let load = call.load();
    let limit = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(name)?.as_u64());
    ModelRequest {
        prompt: last_user.map(content).unwrap_or_default(),
        prompt_tokens: messages
            .iter()
            .map(|message| 4 + response::count(&content(message)))
            .sum::<usize>()
            + 2,
        tool_result: last_tool.map(content),
        tools: list(body, "tools").iter().filter_map(function).collect(),
        choice: match body.get("tool_choice") {
            Some(Value::String(choice)) if choice == "none" => Choice::None,
            Some(Value::String(choice)) if choice == "required" => Choice::Required,
            choice => match choice.and_then(|choice| choice.pointer("/function/name")?.as_str()) {
                Some(name) => Choice::Named(name.to_owned()),
                None => Choice::Auto,
            },
        },
        one_call: body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false),
        schema,
        reason: call.thinks() && !off && load.is_none(),
        max_tokens: limit.map(|n| n as usize),
        stop: strings(body.get("stop")),
        load,
    }
}
