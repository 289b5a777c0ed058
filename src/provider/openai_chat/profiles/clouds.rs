//! Models behind the clouds' own doors.

use super::OPENAI;
use crate::{
    Param,
    provider::{
        IdForm,
        model_ids::BEDROCK_MAKERS,
        openai_chat::{
            AuthStyle, EndMarker, ForeignCalls, MediaPlace, Profile, ReasoningReplay, Spelling,
            StreamUsage,
        },
    },
    schema::Dialects,
};

/// Azure OpenAI, where the deployment's name decides the model. The first chunk of a stream has no choices but the
/// filter's verdict on the prompt.
pub const AZURE: Profile = Profile {
    name: "azure",
    base_url: "https://{resource}.openai.azure.com/openai/deployments/{deployment}",
    query: &[("api-version", "2024-10-21")],
    key_env: "AZURE_OPENAI_API_KEY",
    auth: AuthStyle::Header("api-key"),
    call_id: IdForm::new(1, 40),
    // Deployments are listed by the control plane, with another kind of token.
    models: false,
    ..OPENAI
};

/// Azure OpenAI under its newer address, where `model` names the deployment.
pub const AZURE_V1: Profile = Profile {
    name: "azure-v1",
    base_url: "https://{resource}.openai.azure.com/openai/v1",
    query: &[],
    models: true,
    ..AZURE
};

/// Azure AI Foundry: models of many makers.
pub const AZURE_FOUNDRY: Profile = Profile {
    name: "azure-foundry",
    results_wanted: false,
    schemas: Dialects::ANY,
    base_url: "https://{resource}.services.ai.azure.com/models",
    query: &[("api-version", "2024-05-01-preview")],
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[Param::N, Param::Seed, Param::ResponseFormat],
    ],
    renamed: &[],
    stream_usage: StreamUsage::OnRequest,
    media: MediaPlace::AnyMessage,
    tool_name: IdForm::ANY,
    developer_role: false,
    message_refusal: false,
    ..AZURE
};

/// Gemini's compatibility layer. Thought signatures travel in `extra_content` of tool calls and messages.
pub const GEMINI: Profile = Profile {
    name: "gemini-openai",
    results_wanted: true,
    schemas: Dialects::GEMINI_OPENAI,
    base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
    key_env: "GEMINI_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::N,
            Param::Seed,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    foreign_calls: ForeignCalls::SignedForGemini,
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    reasoning_apart: true,
    ..Profile::BASE
};

/// Amazon Bedrock's OpenAI-compatible door, with a Bedrock API key.
pub const BEDROCK_MANTLE: Profile = Profile {
    name: "bedrock-mantle",
    schemas: Dialects::OPENAI_LIKE,
    base_url: "https://bedrock-mantle.{region}.api.aws/v1",
    key_env: "AWS_BEARER_TOKEN_BEDROCK",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ServiceTier,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    makers: BEDROCK_MAKERS,
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Field("reasoning"),
    ..Profile::BASE
};

/// Databricks model serving; `workspace` is the workspace's host name. Usage comes by itself, in several chunks.
pub const DATABRICKS: Profile = Profile {
    name: "databricks",
    base_url: "https://{workspace}/serving-endpoints",
    key_env: "DATABRICKS_TOKEN",
    params: &[
        Profile::COMMON,
        Profile::LOGPROBS,
        &[
            Param::TopK,
            Param::N,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Always,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Snowflake Cortex; `account` is the account's identifier. It fills unused members with empty texts, and its finish
/// reason may be one of them.
pub const SNOWFLAKE: Profile = Profile {
    name: "snowflake",
    base_url: "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
    key_env: "SNOWFLAKE_TOKEN",
    params: &[
        Profile::COMMON,
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
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Details,
    end_marker: EndMarker::Required,
    ..Profile::BASE
};

/// Cloudflare Workers AI; `account` is the account's id.
pub const CLOUDFLARE_WORKERS: Profile = Profile {
    name: "cloudflare-workers",
    base_url: "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
    key_env: "CLOUDFLARE_API_TOKEN",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::TopK,
            Param::RepetitionPenalty,
            Param::Seed,
            Param::ResponseFormat,
        ],
    ],
    spelled: &[
        Spelling::new(
            Param::DisableReasoning,
            "true",
            "chat_template_kwargs.enable_thinking",
            "false",
        ),
        Spelling::new(
            Param::DisableReasoning,
            "false",
            "chat_template_kwargs.enable_thinking",
            "true",
        ),
    ],
    text_only: &[""],
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};
