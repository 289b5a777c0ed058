//! Models behind the clouds' own doors.

use super::OPENAI;
use crate::{
    chat::Param,
    provider::{
        AuthStyle, BatchProfile, IdFormat,
        kit::model::BEDROCK_VENDORS,
        openai_chat::{
            ChatProfile, EndMarker, ForeignCalls, MediaPlacement, ReasoningReplay, StreamUsage,
            ValueNaming,
        },
    },
    schema::Dialects,
};

/// Azure OpenAI, where the deployment's name decides the model. The first chunk of a stream has no choices but the
/// filter's verdict on the prompt.
pub const AZURE: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::AZURE),
    name: "azure",
    base_url: "https://{resource}.openai.azure.com/openai/deployments/{deployment}",
    query: &[("api-version", "2024-10-21")],
    key_env: "AZURE_OPENAI_API_KEY",
    auth: AuthStyle::Header("api-key"),
    call_id: IdFormat::new(1, 40),
    // Deployments are listed by the control plane, with another kind of token.
    models: false,
    ..OPENAI
};

/// Azure OpenAI under its newer address, where `model` names the deployment.
pub const AZURE_V1: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::OPENAI),
    name: "azure-v1",
    base_url: "https://{resource}.openai.azure.com/openai/v1",
    query: &[],
    models: true,
    ..AZURE
};

/// Azure AI Foundry: models of many makers.
pub const AZURE_FOUNDRY: ChatProfile = ChatProfile {
    batches: None,
    name: "azure-foundry",
    results_wanted: false,
    schemas: Dialects::ANY,
    base_url: "https://{resource}.services.ai.azure.com/models",
    query: &[("api-version", "2024-05-01-preview")],
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[Param::N, Param::Seed, Param::ResponseFormat],
    ],
    renamed: &[],
    stream_usage: StreamUsage::OnRequest,
    media: MediaPlacement::AnyMessage,
    tool_name: IdFormat::ANY,
    developer_role: false,
    message_refusal: false,
    ..AZURE
};

/// Gemini's compatibility layer. Thought signatures travel in `extra_content` of tool calls and messages.
pub const GEMINI: ChatProfile = ChatProfile {
    name: "gemini-openai",
    results_wanted: true,
    schemas: Dialects::GEMINI_OPENAI,
    base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
    key_env: "GEMINI_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::N,
            Param::Seed,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    foreign_calls: ForeignCalls::SignedForGemini,
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    reasoning_apart: true,
    ..ChatProfile::BASE
};

/// Amazon Bedrock's OpenAI-compatible door, with a Bedrock API key.
pub const BEDROCK_MANTLE: ChatProfile = ChatProfile {
    name: "bedrock-mantle",
    schemas: Dialects::OPENAI_LIKE,
    base_url: "https://bedrock-mantle.{region}.api.aws/v1",
    key_env: "AWS_BEARER_TOKEN_BEDROCK",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ServiceTier,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    vendors: BEDROCK_VENDORS,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning"),
    ..ChatProfile::BASE
};

/// Databricks model serving; `workspace` is the workspace's host name. Usage comes by itself, in several chunks.
pub const DATABRICKS: ChatProfile = ChatProfile {
    name: "databricks",
    base_url: "https://{workspace}/serving-endpoints",
    key_env: "DATABRICKS_TOKEN",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::LOGPROBS,
        &[
            Param::TopK,
            Param::N,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Always,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Snowflake Cortex; `account` is the account's identifier. It fills unused members with empty texts, and its finish
/// reason may be one of them.
pub const SNOWFLAKE: ChatProfile = ChatProfile {
    name: "snowflake",
    base_url: "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
    key_env: "SNOWFLAKE_TOKEN",
    params: &[
        ChatProfile::COMMON,
        &[
            Param::ReasoningEffort,
            Param::ReasoningMaxTokens,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[
        (Param::MaxTokens, "max_completion_tokens"),
        (Param::ReasoningEffort, "reasoning.effort"),
        (Param::ReasoningMaxTokens, "reasoning.max_tokens"),
    ],
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Details,
    end_marker: EndMarker::Required,
    ..ChatProfile::BASE
};

/// Cloudflare Workers AI; `account` is the account's id.
pub const CLOUDFLARE_WORKERS: ChatProfile = ChatProfile {
    name: "cloudflare-workers",
    base_url: "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
    key_env: "CLOUDFLARE_API_TOKEN",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::TopK,
            Param::RepetitionPenalty,
            Param::Seed,
            Param::ResponseFormat,
        ],
    ],
    renamed_values: &[
        ValueNaming::new(
            Param::DisableReasoning,
            "true",
            "chat_template_kwargs.enable_thinking",
            "false",
        ),
        ValueNaming::new(
            Param::DisableReasoning,
            "false",
            "chat_template_kwargs.enable_thinking",
            "true",
        ),
    ],
    text_only: &[""],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};
