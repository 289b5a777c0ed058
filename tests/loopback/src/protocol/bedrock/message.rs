//! A single-body response, and the parts that a stream shares.

use serde_json::{Value, json};

use crate::protocol::letters;
use crate::response::{Finish, ModelResponse};

pub(super) fn tool_use_id(id: &str) -> String {
    let mut seed = u64::from_str_radix(id, 16).unwrap_or_default();
    format!("tooluse_{}", letters(&mut seed, 22))
}

pub(super) fn signature(answer: &ModelResponse) -> String {
    letters(&mut (answer.reasoning.len() as u64), 64)
}

pub(super) fn message(answer: &ModelResponse, latency: usize) -> Value {
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        let text = answer.reasoning.concat();
        content.push(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature(answer)}}}));
    }
    if !answer.content.is_empty() {
        content.push(json!({"text": answer.content.concat()}));
    }
    for call in &answer.calls {
        let input: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
        content.push(json!({"toolUse": {"toolUseId": tool_use_id(&call.id), "name": call.name, "input": input}}));
    }
    json!({
        "metrics": {"latencyMs": latency},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer.finish),
        "usage": usage(answer),
    })
}

pub(super) fn usage(answer: &ModelResponse) -> Value {
    let (input, output) = (answer.prompt_tokens, answer.tokens());
    json!({
        "inputTokens": input, "outputTokens": output, "totalTokens": input + output, "serverToolUsage": {},
        "cacheReadInputTokens": 0, "cacheReadInputTokenCount": 0, "cacheWriteInputTokens": 0, "cacheWriteInputTokenCount": 0,
    })
}

pub(super) fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}
