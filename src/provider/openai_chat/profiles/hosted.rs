//! Those who serve open models.

use crate::{
    chat::Param,
    provider::{
        BatchProfile,
        openai_chat::{ChatProfile, EndMarker, ReasoningReplay, StreamUsage, ValueNaming},
    },
    schema::Dialects,
};

/// What servers of open models with a full sampler take.
const OPEN: &[Param] = &[
    Param::LogitBias,
    Param::N,
    Param::Seed,
    Param::ReasoningEffort,
    Param::ResponseFormat,
];

/// Groq refuses unknown members, `name` in messages, log probabilities and more than one answer. An error inside a stream
/// is an event of its own name, after which no end marker comes.
pub const GROQ: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::GROQ),
    name: "groq",
    schemas: Dialects::OPENAI_LIKE,
    base_url: "https://api.groq.com/openai/v1",
    key_env: "GROQ_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ReasoningFormat,
            Param::ServiceTier,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    extra: Some(&[
        "citation_options",
        "compound_custom",
        "disable_tool_validation",
        "documents",
        "exclude_domains",
        "include_domains",
        "include_reasoning",
        "max_tokens",
        "n",
        "search_settings",
    ]),
    stream_usage: StreamUsage::Requested,
    message_name: false,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Together AI. `logprobs` is the number of alternatives; more than one are asked for with an `extra` of that name. Usage
/// comes by itself.
pub const TOGETHER: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::TOGETHER),
    name: "together",
    base_url: "https://api.together.xyz/v1",
    key_env: "TOGETHER_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::SAMPLERS,
        OPEN,
    ],
    renamed_values: &[ValueNaming::new(Param::Logprobs, "true", "logprobs", "1")],
    stream_usage: StreamUsage::Always,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Fireworks AI; models are named `accounts/fireworks/models/...`.
pub const FIREWORKS: ChatProfile = ChatProfile {
    name: "fireworks",
    base_url: "https://api.fireworks.ai/inference/v1",
    key_env: "FIREWORKS_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        OPEN,
        &[
            Param::ParallelToolCalls,
            Param::UserId,
            Param::Prediction,
            Param::ServiceTier,
        ],
    ],
    stream_usage: StreamUsage::Always,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// NVIDIA NIM in NVIDIA's cloud. One that runs elsewhere has another base URL and may need no key.
pub const NVIDIA: ChatProfile = ChatProfile {
    name: "nvidia",
    base_url: "https://integrate.api.nvidia.com/v1",
    key_env: "NVIDIA_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        &[Param::N, Param::Seed, Param::ResponseFormat],
    ],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..ChatProfile::BASE
};

/// SambaNova Cloud.
pub const SAMBANOVA: ChatProfile = ChatProfile {
    name: "sambanova",
    base_url: "https://api.sambanova.ai/v1",
    key_env: "SAMBANOVA_API_KEY",
    params: &[
        ChatProfile::COMMON,
        &[
            Param::TopK,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Venice.ai. Errors are `{"error": "text"}`.
pub const VENICE: ChatProfile = ChatProfile {
    name: "venice",
    base_url: "https://api.venice.ai/api/v1",
    key_env: "VENICE_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::PromptCacheKey,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Doubleword. Reasoning comes under both names at once, and in details.
pub const DOUBLEWORD: ChatProfile = ChatProfile {
    name: "doubleword",
    base_url: "https://api.doubleword.ai/v1",
    key_env: "DOUBLEWORD_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// Crusoe Managed Inference (vLLM).
pub const CRUSOE: ChatProfile = ChatProfile {
    name: "crusoe",
    base_url: "https://api.inference.crusoecloud.com/v1",
    key_env: "CRUSOE_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::SAMPLERS,
        OPEN,
    ],
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning"),
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..ChatProfile::BASE
};
