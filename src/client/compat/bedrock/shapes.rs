//! Requests and answers as Bedrock's own clients have them; as JSON they read as on Bedrock's wire.

use crate::{Error, Json};
use serde::{Deserialize, Serialize};

/// What `converse` is asked.
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
    /// The model, with a provider's name and a dot before it where it is not Bedrock's.
    pub model_id: String,
    /// The conversation so far.
    pub messages: Vec<ConverseMessage>,
    /// Instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<ConverseBlock>,
    /// How much to write, and how freely.
    pub inference_config: InferenceConfig,
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig>,
    /// Settings of one model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_model_request_fields: Option<Json>,
}

/// A turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConverseMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: Vec<ConverseBlock>,
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConverseBlock {
    /// Text.
    Text(String),
    /// A call that the model asks for.
    ToolUse(ToolUse),
    /// What a tool gave.
    ToolResult(ToolResultBlock),
    /// What the model thought.
    ReasoningContent(ReasoningContent),
}

/// A call that the model asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolUse {
    /// What its result must name.
    pub tool_use_id: String,
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    pub input: Json,
}

/// What a tool gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolResultBlock {
    /// The call that it answers.
    pub tool_use_id: String,
    /// The result.
    pub content: Vec<ToolResultContent>,
    /// `success` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A piece of what a tool gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ToolResultContent {
    /// As text.
    Text(String),
    /// As JSON.
    Json(Json),
}

/// What the model thought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReasoningContent {
    /// The thought, and what the model wants back with it.
    ReasoningText {
        /// The thought.
        text: String,
        /// A signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct InferenceConfig {
    /// The most tokens to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// 0 for the likeliest words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Only the likeliest words that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts at which the model stops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
}

/// Tools that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolConfig {
    /// The tools.
    pub tools: Vec<ConverseTool>,
    /// Whether and which must be called.
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
        /// Its name.
        name: String,
        /// What it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// What it takes.
        #[serde(rename = "inputSchema")]
        input_schema: InputSchema,
    },
}

/// What a tool takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputSchema {
    /// As JSON Schema.
    pub json: Json,
}

/// Whether and which tool must be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConverseToolChoice {
    /// The model decides.
    Auto {},
    /// At least one.
    Any {},
    /// This one.
    Tool {
        /// Its name.
        name: String,
    },
}

/// What `converse` gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConverseResponse {
    /// The answer.
    pub output: ConverseOutput,
    /// `end_turn`, `max_tokens`, `tool_use`, `content_filtered`, `stop_sequence`, ...
    pub stop_reason: String,
    /// The tokens counted.
    pub usage: TokenUsage,
    /// Times.
    pub metrics: ConverseMetrics,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConverseOutput {
    /// As a turn, to be sent back with the next request.
    pub message: ConverseMessage,
}

/// The tokens counted; absent where the provider did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenUsage {
    /// Tokens read, without those from or for a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// Written to a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_input_tokens: Option<u64>,
}

/// Times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConverseMetrics {
    /// As the server says; where it does not, as measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

impl ConverseRequest {
    /// A request without messages.
    #[must_use]
    pub fn new(model_id: impl Into<String>) -> Self {
        ConverseRequest {
            model_id: model_id.into(),
            ..ConverseRequest::default()
        }
    }

    /// A request as JSON, as other clients of Bedrock have it, with `modelId`.
    ///
    /// # Errors
    /// `protocol` if it has another shape, or pieces that have no place here.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Json::parse(json)?.decode()
    }
}

impl ConverseMessage {
    /// A question.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        ConverseMessage::new("user", text)
    }

    /// An answer.
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
