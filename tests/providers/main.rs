//! Tables over all APIs: each parameter, each pair of APIs in a conversation, each feature.
#![cfg(all(feature = "bedrock", feature = "ureq"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

mod builders;
mod call_ids;
mod chat_history;
#[path = "../../examples/common/mod.rs"]
mod common;
mod facilities;
mod history;
mod hosted_tools;
mod insecure_http;
mod params;
mod prompt_caches;
mod small_call_recordings;
mod small_calls;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, Error, Tool,
    chat::Warning,
    provider::{
        Anthropic, Bedrock, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat,
        OpenAiResponses, Provider,
    },
};

/// One provider of each API, and Cerebras, in the order of the tables' columns.
fn wires() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(OpenAiChat::cerebras("k").unwrap()),
        Box::new(OpenAiChat::new("k").unwrap()),
        Box::new(Anthropic::new("k").unwrap()),
        Box::new(Gemini::new("k").unwrap()),
        Box::new(OpenAiResponses::new("k").unwrap()),
        Box::new(Cohere::new("k").unwrap()),
        Box::new(Ollama::local().unwrap()),
        Box::new(Bedrock::new("us-east-1", "k").unwrap()),
        Box::new(GeminiInteractions::new("k").unwrap()),
    ]
}

/// The encoded body of a request, and the warnings.
fn encode(wire: &dyn Provider, request: &ChatRequest) -> Result<(Value, Vec<Warning>), Error> {
    let encoded = wire.encode_chat(request)?;
    let body = serde_json::from_slice(encoded.request.body()).unwrap();
    Ok((body, encoded.warnings))
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false})
}

fn function(name: &str) -> Tool {
    Tool::function(name, "Does it.", &schema()).unwrap()
}
