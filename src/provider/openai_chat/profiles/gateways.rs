//! Profiles of clouds, gateways and local servers.

use super::OPENAI;
use crate::{
    chat::{HostedToolKind, HostedToolSetting, Param},
    provider::{
        AuthStyle, BatchProfile, HostedToolMapping, IdFormat, TokenCounter,
        kit::model::BEDROCK_VENDORS,
        openai_chat::{
            ChatProfile, EndMarker, ForeignCalls, MediaPlacement, ReasoningReplay, StreamUsage,
            ValueNaming,
        },
    },
    schema::Dialects,
};

/// OpenRouter. Text, calls and errors occur after a finish reason, so only `[DONE]` ends a stream. Reasoning has
/// details that are sent back unchanged. The upstream's own error is JSON in a string, in `error.metadata.raw`.
pub const OPENROUTER: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::OPENROUTER),
    name: "openrouter",
    base_url: "https://openrouter.ai/api/v1",
    key_env: "OPENROUTER_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        ChatProfile::OPENAI,
        &[Param::ReasoningMaxTokens],
    ],
    renamed: REASONING_OBJECT,
    renamed_values: REASONING_NAMES,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Details,
    developer_role: true,
    end_marker: EndMarker::Required,
    context_overflow: &["This endpoint's maximum context length is"],
    hosted_tools: &[HostedToolMapping::tool(
        HostedToolKind::WebSearch,
        r#"{"type":"openrouter:web_search","parameters":{}}"#,
        &[
            (HostedToolSetting::MaxUses, "parameters.max_uses"),
            (
                HostedToolSetting::SearchContextSize,
                "parameters.search_context_size",
            ),
        ],
    )],
    ..ChatProfile::BASE
};

const REASONING_OBJECT: &[(Param, &str)] = &[
    (Param::ReasoningEffort, "reasoning.effort"),
    (Param::ReasoningMaxTokens, "reasoning.max_tokens"),
];

const REASONING_NAMES: &[ValueNaming] = &[
    ValueNaming::new(
        Param::DisableReasoning,
        "true",
        "reasoning.enabled",
        "false",
    ),
    ValueNaming::new(
        Param::DisableReasoning,
        "false",
        "reasoning.enabled",
        "true",
    ),
    ValueNaming::new(
        Param::ReasoningFormat,
        "\"hidden\"",
        "reasoning.exclude",
        "true",
    ),
    ValueNaming::new(
        Param::ReasoningFormat,
        "\"parsed\"",
        "reasoning.exclude",
        "false",
    ),
];

/// Vercel AI Gateway; models are named `vendor/model`.
pub const VERCEL: ChatProfile = ChatProfile {
    name: "vercel",
    base_url: "https://ai-gateway.vercel.sh/v1",
    key_env: "AI_GATEWAY_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ReasoningMaxTokens,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    renamed: REASONING_OBJECT,
    renamed_values: REASONING_NAMES,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Details,
    ..ChatProfile::BASE
};

/// Cloudflare AI Gateway; `account` and `gateway` are parts of the URL, models are named `provider/model`. The key is
/// the upstream's; a protected gateway also requires the header `cf-aig-authorization`.
pub const CLOUDFLARE: ChatProfile = ChatProfile {
    name: "cloudflare",
    base_url: "https://gateway.ai.cloudflare.com/v1/{account}/{gateway}/compat",
    key_env: "CLOUDFLARE_API_TOKEN",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    // Workers AI behind the gateway.
    text_only: &["workers-ai/", "@cf/"],
    stream_usage: StreamUsage::Requested,
    ..ChatProfile::BASE
};

/// Hugging Face's router; models are named `org/name[:provider]`. How a stream ends depends on the upstream.
pub const HUGGINGFACE: ChatProfile = ChatProfile {
    name: "huggingface",
    base_url: "https://router.huggingface.co/v1",
    key_env: "HF_TOKEN",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        &[
            Param::LogitBias,
            Param::N,
            Param::Seed,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Requested,
    ..ChatProfile::BASE
};

/// A LiteLLM proxy, at its default URL.
pub const LITELLM: ChatProfile = ChatProfile {
    batches: None,
    name: "litellm",
    base64_vectors: false,
    results_wanted: false,
    free_names: true,
    schemas: Dialects::ANY,
    base_url: "http://localhost:4000/v1",
    key_env: "LITELLM_API_KEY",
    key_optional: true,
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        ChatProfile::OPENAI,
    ],
    renamed: &[],
    media: MediaPlacement::AnyMessage,
    call_id: IdFormat::ANY,
    tool_name: IdFormat::ANY,
    message_refusal: false,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    token_counter: TokenCounter::None,
    hosted_tools: &[],
    ..OPENAI
};

// Clouds.

/// Azure OpenAI, where the deployment's name selects the model. The first chunk of a stream has no choices but the
/// content filter's result for the prompt.
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
    token_counter: TokenCounter::None,
    hosted_tools: &[],
    ..OPENAI
};

/// Azure OpenAI at its newer URL, where `model` names the deployment.
pub const AZURE_V1: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::OPENAI),
    name: "azure-v1",
    base_url: "https://{resource}.openai.azure.com/openai/v1",
    query: &[],
    models: true,
    token_counter: TokenCounter::ResponsesInputTokens,
    ..AZURE
};

/// Azure AI Foundry: models of many vendors.
pub const AZURE_FOUNDRY: ChatProfile = ChatProfile {
    batches: None,
    name: "azure-foundry",
    base64_vectors: false,
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

/// Gemini's OpenAI-compatible API. Thought signatures are in `extra_content` of tool calls and messages.
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

/// Amazon Bedrock's OpenAI-compatible API, with a Bedrock API key.
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

/// Databricks model serving; `workspace` is the workspace's host name. Usage is always sent, in several chunks.
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

/// Snowflake Cortex; `account` is the account's identifier. It sends unused fields as empty texts, sometimes even the
/// finish reason.
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

// Local servers, at their default URLs.

const ENABLE_THINKING: &[ValueNaming] = &[
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
];

/// Ollama. It has no tool choice, and the context size cannot be set here.
pub const OLLAMA: ChatProfile = ChatProfile {
    name: "ollama-openai",
    schemas: Dialects::OLLAMA,
    base_url: "http://localhost:11434/v1",
    key_env: "OLLAMA_API_KEY",
    key_optional: true,
    params: &[
        ChatProfile::PENALTIES,
        &[
            Param::MaxTokens,
            Param::Temperature,
            Param::TopP,
            Param::Stop,
            Param::Tools,
            Param::Seed,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning"),
    end_marker: EndMarker::Always,
    context_overflow: &["prompt too long; exceeded max context length"],
    ..ChatProfile::BASE
};

/// llama.cpp's server. Tools require its flag `--jinja`. Its times are in milliseconds, in `timings`.
pub const LLAMA_CPP: ChatProfile = ChatProfile {
    name: "llama-cpp",
    schemas: Dialects::LLAMA_CPP,
    base_url: "http://localhost:8080/v1",
    key_env: "LLAMA_API_KEY",
    key_optional: true,
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        &[
            Param::LogitBias,
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::RepetitionPenalty, "repeat_penalty")],
    renamed_values: ENABLE_THINKING,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    closes_after_stream: true,
    token_counter: TokenCounter::LlamaCppTemplate,
    ..ChatProfile::BASE
};

/// vLLM's server.
pub const VLLM: ChatProfile = ChatProfile {
    name: "vllm",
    base_url: "http://localhost:8000/v1",
    key_env: "VLLM_API_KEY",
    key_optional: true,
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        &[
            Param::MinTokens,
            Param::LogitBias,
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    renamed_values: ENABLE_THINKING,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning"),
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    token_counter: TokenCounter::VllmTokenize,
    ..ChatProfile::BASE
};

/// SGLang's server.
pub const SGLANG: ChatProfile = ChatProfile {
    name: "sglang",
    base_url: "http://localhost:30000/v1",
    key_env: "SGLANG_API_KEY",
    reasoning: ReasoningReplay::Field("reasoning_content"),
    token_counter: TokenCounter::None,
    ..VLLM
};

/// LM Studio's server.
pub const LM_STUDIO: ChatProfile = ChatProfile {
    name: "lm-studio",
    schemas: Dialects::LLAMA_CPP,
    base_url: "http://localhost:1234/v1",
    key_env: "LM_API_TOKEN",
    key_optional: true,
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::TopK,
            Param::RepetitionPenalty,
            Param::LogitBias,
            Param::Seed,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::RepetitionPenalty, "repeat_penalty")],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};
