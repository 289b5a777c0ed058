//! Requests and responses in the shape of the AWS SDK; their JSON has Bedrock's wire format.

use crate::{Error, Json};
use serde::{Deserialize, Serialize};

/// A request of `converse`.
///
/// ```
/// use unifiedai::compat::{ConverseMessage, ConverseRequest};
/// let mut request = ConverseRequest::new("amazon.nova-lite-v1:0");
/// request.messages.push(ConverseMessage::user("Why is fast inference important?"));
/// request.inference_config.max_tokens = Some(200);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConverseRequest {
    /// The model, with the prefix `<provider>.` if it is not Bedrock's.
    pub model_id: String,
    /// The conversation so far.
    pub messages: Vec<ConverseMessage>,
    /// System instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<ConverseBlock>,
    /// Length limit and sampling parameters.
    pub inference_config: InferenceConfig,
    /// The tools that the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig>,
    /// Parameters of the model that Converse lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_model_request_fields: Option<Json>,
}

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConverseMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// The message's content.
    pub content: Vec<ConverseBlock>,
}

/// A block of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConverseBlock {
    /// Text.
    Text(String),
    /// A tool call by the model.
    ToolUse(ToolUse),
    /// The result of a tool call.
    ToolResult(ToolResultBlock),
    /// The model's reasoning.
    ReasoningContent(ReasoningContent),
}

/// A tool call by the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolUse {
    /// The call's id, which its result must repeat.
    pub tool_use_id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, an object.
    pub input: Json,
}

/// The result of a tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolResultBlock {
    /// The id of the call.
    pub tool_use_id: String,
    /// The content of the result.
    pub content: Vec<ToolResultContent>,
    /// `success` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A part of a tool result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ToolResultContent {
    /// Text.
    Text(String),
    /// JSON.
    Json(Json),
}

/// The model's reasoning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReasoningContent {
    /// Text and its signature.
    ReasoningText {
        /// The text.
        text: String,
        /// The signature, which the next request must repeat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

/// Length limit and sampling parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct InferenceConfig {
    /// Maximum number of output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Sampling temperature; 0 selects the likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling: only the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts at which generation stops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
}

/// The tools that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolConfig {
    /// The tools.
    pub tools: Vec<ConverseTool>,
    /// Whether the model must call a tool, and which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ConverseToolChoice>,
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConverseTool {
    /// A function of the program.
    ToolSpec {
        /// The function's name.
        name: String,
        /// A description for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The schema of its arguments.
        #[serde(rename = "inputSchema")]
        input_schema: InputSchema,
    },
}

/// The schema of a tool's arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputSchema {
    /// JSON Schema.
    pub json: Json,
}

/// Whether the model must call a tool, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConverseToolChoice {
    /// The model decides.
    Auto {},
    /// At least one call.
    Any {},
    /// This tool.
    Tool {
        /// The tool's name.
        name: String,
    },
}

/// The response of `converse`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConverseResponse {
    /// The content.
    pub output: ConverseOutput,
    /// `end_turn`, `max_tokens`, `tool_use`, `content_filtered`, `stop_sequence`, ...
    pub stop_reason: String,
    /// Token counts.
    pub usage: TokenUsage,
    /// Latency.
    pub metrics: ConverseMetrics,
}

/// The content of a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConverseOutput {
    /// The message, to be sent back with the next request.
    pub message: ConverseMessage,
}

/// Token counts; absent where the provider reported none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenUsage {
    /// Input tokens, except those read from or written to a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input and output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Input tokens read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// Input tokens written to a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_input_tokens: Option<u64>,
}

/// Latency of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConverseMetrics {
    /// As reported by the server, else as measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

impl ConverseRequest {
    /// Creates a request without messages.
    #[must_use]
    pub fn new(model_id: impl Into<String>) -> Self {
        ConverseRequest {
            model_id: model_id.into(),
            ..ConverseRequest::default()
        }
    }

    /// Parses a request in Bedrock's JSON format, with `modelId`.
    ///
    /// # Errors
    /// `protocol` if the JSON has another shape or contains blocks that this type lacks.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Json::parse(json)?.decode()
    }
}

impl ConverseMessage {
    /// A user message.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        ConverseMessage::new("user", text)
    }

    /// An assistant message.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        ConverseMessage::new("assistant", text)
    }

    fn new(role: &str, text: impl Into<String>) -> Self {
        ConverseMessage {
            role: role.into(),
            content: vec![ConverseBlock::Text(text.into())],
        }
    }
}
