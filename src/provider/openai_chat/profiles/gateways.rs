//! One door to many providers.

use super::OPENAI;
use crate::{
    chat::Param,
    provider::{
        BatchProfile, IdFormat,
        openai_chat::{
            ChatProfile, EndMarker, MediaPlacement, ReasoningReplay, StreamUsage, ValueNaming,
        },
    },
    schema::Dialects,
};

/// OpenRouter. Text, calls and errors were seen after a finish reason, so only `[DONE]` ends a stream. Reasoning comes with
/// details that go back unchanged. The upstream's own error is JSON in a string, in `error.metadata.raw`.
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

/// Vercel AI Gateway; models are named `maker/model`.
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

/// Cloudflare AI Gateway; `account` and `gateway` are parts of the address, models are named `provider/model`. The key is
/// the upstream's; a protected gateway wants the header `cf-aig-authorization` besides.
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

/// A LiteLLM proxy, by its default address.
pub const LITELLM: ChatProfile = ChatProfile {
    batches: None,
    name: "litellm",
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
    ..OPENAI
};
