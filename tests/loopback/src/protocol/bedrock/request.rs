//! Parses a request.

use serde_json::Value;

use crate::protocol::{Call, list, strings, text_of};
use crate::response::{self, Choice, ModelRequest, Tool};

pub(super) fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let messages = list(body, "messages");
    let texts = |message: &Value| {
        let texts = list(message, "content")
            .iter()
            .filter_map(|block| block.get("text")?.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    let result = |message: &Value| {
        let block = list(message, "content")
            .iter()
            .find_map(|block| block.get("toolResult"))?;
        let parts = list(block, "content").iter().map(|part| {
            part.get("text")
                .and_then(Value::as_str)
                .map_or_else(|| part.to_string(), str::to_owned)
        });
        Some(parts.collect::<Vec<_>>().join(" "))
    };
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user" && !texts(message).is_empty());
    let tool = |tool: &Value| {
        let tool = tool.get("toolSpec")?;
        let schema = tool
            .pointer("/inputSchema/json")
            .cloned()
            .unwrap_or_default();
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let config = body.get("toolConfig").unwrap_or(&Value::Null);
    let inference = body.get("inferenceConfig").unwrap_or(&Value::Null);
    let schema = body
        .pointer("/outputConfig/textFormat/structure/jsonSchema/schema")
        .and_then(Value::as_str);
    let asked = ["thinking", "reasoning_config", "reasoningConfig"];
    let asked = asked.iter().find_map(|name| {
        body.pointer(&format!("/additionalModelRequestFields/{name}/type"))?
            .as_str()
    });
    let load = call.load();
    ModelRequest {
        prompt: last_user.map(texts).unwrap_or_default(),
        prompt_tokens: messages
            .iter()
            .map(|message| 4 + response::count(&texts(message)))
            .sum::<usize>()
            + 2,
        tool_result: messages.last().and_then(result),
        tools: list(config, "tools").iter().filter_map(tool).collect(),
        choice: match (
            config.pointer("/toolChoice/any"),
            config
                .pointer("/toolChoice/tool/name")
                .and_then(Value::as_str),
        ) {
            (Some(_), _) => Choice::Required,
            (_, Some(name)) => Choice::Named(name.to_owned()),
            _ => Choice::Auto,
        },
        one_call: false,
        schema: schema.and_then(|schema| serde_json::from_str(schema).ok()),
        reason: load.is_none() && asked.map_or(call.thinks(), |kind| kind != "disabled"),
        max_tokens: inference
            .get("maxTokens")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        stop: strings(inference.get("stopSequences")),
        load,
    }
}
