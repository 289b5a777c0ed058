//! The strict part: requests that the service would refuse.

use serde_json::Value;

use crate::protocol::{schema, text_of};

const PARAMETERS: [&str; 31] = [
    "clear_thinking",
    "disable_reasoning",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "min_completion_tokens",
    "min_tokens",
    "model",
    "model_parameters",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "reasoning_format",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

pub(super) fn check(body: &Value) -> Result<(), String> {
    let Some(object) = body.as_object() else {
        return Err("body: must be an object".to_owned());
    };
    let mut wrong: Vec<String> = Vec::new();
    let unsupported = |path: String| format!("{path}: property '{path}' is unsupported");
    wrong.extend(
        object
            .keys()
            .filter(|key| !PARAMETERS.contains(&key.as_str()))
            .map(|key| unsupported(key.clone())),
    );
    if text_of(body, "model").is_empty() {
        wrong.push("model: must be a string".to_owned());
    }
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty());
    if messages.is_none() {
        wrong.push("messages: must be a list with at least one message".to_owned());
    }
    for (at, message) in messages.into_iter().flatten().enumerate() {
        let role = text_of(message, "role");
        let known: &[&str] = match role {
            "system" | "developer" | "user" => &["role", "content", "name"],
            "assistant" => &["role", "content", "reasoning", "tool_calls", "name"],
            "tool" => &["role", "content", "tool_call_id", "name"],
            _ => {
                wrong.push(format!(
                    "messages.{at}.role: must be one of system, developer, user, assistant, tool"
                ));
                continue;
            }
        };
        let keys = message
            .as_object()
            .into_iter()
            .flat_map(|message| message.keys());
        wrong.extend(
            keys.filter(|key| !known.contains(&key.as_str()))
                .map(|key| unsupported(format!("messages.{at}.{role}.{key}"))),
        );
        if role == "tool" && text_of(message, "tool_call_id").is_empty() {
            wrong.push(format!("messages.{at}.tool.tool_call_id: must be a string"));
        }
        if role != "assistant"
            && !matches!(
                message.get("content"),
                Some(Value::String(_) | Value::Array(_))
            )
        {
            wrong.push(format!(
                "messages.{at}.{role}.content: must be a string or a list of parts"
            ));
        }
    }
    let ranges = [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
        ("n", 1.0, 16.0),
        ("top_logprobs", 0.0, 20.0),
        ("max_tokens", 1.0, 1e9),
        ("max_completion_tokens", 1.0, 1e9),
    ];
    for (name, least, most) in ranges {
        let value = body.get(name).filter(|value| !value.is_null());
        if value.is_some_and(|value| {
            !value
                .as_f64()
                .is_some_and(|value| (least..=most).contains(&value))
        }) {
            wrong.push(format!("{name}: must be a number from {least} to {most}"));
        }
    }
    for name in [
        "stream",
        "logprobs",
        "parallel_tool_calls",
        "disable_reasoning",
        "clear_thinking",
    ] {
        if body
            .get(name)
            .is_some_and(|value| !value.is_null() && !value.is_boolean())
        {
            wrong.push(format!("{name}: must be true or false"));
        }
    }
    let logprobs = body
        .get("logprobs")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if body
        .get("top_logprobs")
        .is_some_and(|value| !value.is_null())
        && !logprobs
    {
        wrong.push("top_logprobs: needs logprobs".to_owned());
    }
    wrong.extend(schema::refused_in("cerebras", body));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
