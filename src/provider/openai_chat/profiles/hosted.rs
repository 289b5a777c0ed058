//! Those who serve open models.

use crate::{
    Param,
    provider::openai_chat::{EndMarker, Profile, ReasoningReplay, Spelling, StreamUsage},
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
pub const GROQ: Profile = Profile {
    name: "groq",
    schemas: Dialects::OPENAI_LIKE,
    base_url: "https://api.groq.com/openai/v1",
    key_env: "GROQ_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ReasoningFormat,
            Param::ServiceTier,
            Param::EndUser,
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
    stream_usage: StreamUsage::Asked,
    message_name: false,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Together AI. `logprobs` is the number of alternatives; more than one are asked for with an `extra` of that name. Usage
/// comes by itself.
pub const TOGETHER: Profile = Profile {
    name: "together",
    base_url: "https://api.together.xyz/v1",
    key_env: "TOGETHER_API_KEY",
    params: &[Profile::COMMON, Profile::PENALTIES, Profile::SAMPLERS, OPEN],
    spelled: &[Spelling::new(Param::Logprobs, "true", "logprobs", "1")],
    stream_usage: StreamUsage::Always,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Fireworks AI; models are named `accounts/fireworks/models/...`.
pub const FIREWORKS: Profile = Profile {
    name: "fireworks",
    base_url: "https://api.fireworks.ai/inference/v1",
    key_env: "FIREWORKS_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        Profile::SAMPLERS,
        OPEN,
        &[
            Param::ParallelToolCalls,
            Param::EndUser,
            Param::Prediction,
            Param::ServiceTier,
        ],
    ],
    stream_usage: StreamUsage::Always,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// NVIDIA NIM in NVIDIA's cloud. One that runs elsewhere has another base URL and may need no key.
pub const NVIDIA: Profile = Profile {
    name: "nvidia",
    base_url: "https://integrate.api.nvidia.com/v1",
    key_env: "NVIDIA_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        &[Param::N, Param::Seed, Param::ResponseFormat],
    ],
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..Profile::BASE
};

/// SambaNova Cloud.
pub const SAMBANOVA: Profile = Profile {
    name: "sambanova",
    base_url: "https://api.sambanova.ai/v1",
    key_env: "SAMBANOVA_API_KEY",
    params: &[
        Profile::COMMON,
        &[
            Param::TopK,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Venice.ai. Errors are `{"error": "text"}`.
pub const VENICE: Profile = Profile {
    name: "venice",
    base_url: "https://api.venice.ai/api/v1",
    key_env: "VENICE_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        Profile::SAMPLERS,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::PromptCacheKey,
            Param::EndUser,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Doubleword. Reasoning comes under both names at once, and in details.
pub const DOUBLEWORD: Profile = Profile {
    name: "doubleword",
    base_url: "https://api.doubleword.ai/v1",
    key_env: "DOUBLEWORD_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Crusoe Managed Inference (vLLM).
pub const CRUSOE: Profile = Profile {
    name: "crusoe",
    base_url: "https://api.inference.crusoecloud.com/v1",
    key_env: "CRUSOE_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        Profile::SAMPLERS,
        OPEN,
    ],
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Field("reasoning"),
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..Profile::BASE
};
