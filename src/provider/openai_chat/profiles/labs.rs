//! Those who serve their own models.

use crate::{
    Param,
    provider::{
        IdForm,
        openai_chat::{
            EndMarker, MediaPlace, Profile, ReasoningReplay, Spelling, StreamUsage, Structured,
        },
    },
    schema::Dialects,
};

/// OpenAI. Reasoning is not in this wire; it stays with the provider.
pub const OPENAI: Profile = Profile {
    name: "openai",
    results_wanted: true,
    schemas: Dialects::OPENAI,
    base_url: "https://api.openai.com/v1",
    key_env: "OPENAI_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        Profile::OPENAI,
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    stream_usage: StreamUsage::Asked,
    call_id: IdForm::new(1, 64),
    tool_name: Profile::TOOL_NAME,
    media: MediaPlace::UserMessages,
    developer_role: true,
    message_refusal: true,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Mistral refuses every unknown member with 422, `stream_options` and `name` among them; usage comes by itself. Thinking
/// is a part of the content, in both directions.
pub const MISTRAL: Profile = Profile {
    name: "mistral",
    results_wanted: true,
    schemas: Dialects::MISTRAL,
    base_url: "https://api.mistral.ai/v1",
    key_env: "MISTRAL_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::PromptCacheKey,
            Param::ResponseFormat,
            Param::Prediction,
        ],
    ],
    renamed: &[(Param::Seed, "random_seed")],
    extra: Some(&["prompt_mode", "safe_prompt", "metadata"]),
    stream_usage: StreamUsage::Always,
    call_id: IdForm::new(9, 9).only(""),
    tool_name: Profile::TOOL_NAME,
    reasoning: ReasoningReplay::Thinking,
    message_name: false,
    tool_choice_required: "any",
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// DeepSeek. In thinking mode a turn with tool calls must come back with its `reasoning_content`.
pub const DEEPSEEK: Profile = Profile {
    name: "deepseek",
    results_wanted: true,
    base_url: "https://api.deepseek.com",
    key_env: "DEEPSEEK_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        &[Param::ReasoningEffort, Param::ResponseFormat],
    ],
    spelled: THINKING_TYPE,
    stream_usage: StreamUsage::Asked,
    structured: Structured::Object,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    required_reasoning: Some(""),
    tool_name: Profile::TOOL_NAME,
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..Profile::BASE
};

/// `thinking: {type}`, as several labs have it.
const THINKING_TYPE: &[Spelling] = &[
    Spelling::new(
        Param::DisableReasoning,
        "true",
        "thinking.type",
        "\"disabled\"",
    ),
    Spelling::new(
        Param::DisableReasoning,
        "false",
        "thinking.type",
        "\"enabled\"",
    ),
];

/// xAI. A wrong key is a 400 here.
pub const XAI: Profile = Profile {
    name: "xai",
    schemas: Dialects::XAI,
    base_url: "https://api.x.ai/v1",
    key_env: "XAI_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        Profile::LOGPROBS,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::EndUser,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    message_refusal: true,
    end_marker: EndMarker::Always,
    reasoning_apart: true,
    ..Profile::BASE
};

/// Perplexity has no tools. Every chunk repeats the whole message and the usage; streams may lack `[DONE]`.
pub const PERPLEXITY: Profile = Profile {
    name: "perplexity",
    base_url: "https://api.perplexity.ai",
    key_env: "PERPLEXITY_API_KEY",
    params: &[
        Profile::PENALTIES,
        &[
            Param::MaxTokens,
            Param::Temperature,
            Param::TopP,
            Param::TopK,
            Param::Stop,
            Param::ReasoningEffort,
            Param::ResponseFormat,
        ],
    ],
    stream_usage: StreamUsage::Always,
    alternating_roles: true,
    message_name: false,
    ..Profile::BASE
};

/// Z.ai (GLM models).
pub const ZAI: Profile = Profile {
    name: "zai",
    base_url: "https://api.z.ai/api/paas/v4",
    key_env: "ZAI_API_KEY",
    params: &[
        Profile::COMMON,
        &[
            Param::Seed,
            Param::ReasoningEffort,
            Param::ClearThinking,
            Param::EndUser,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[
        (Param::ClearThinking, "thinking.clear_thinking"),
        (Param::EndUser, "user_id"),
    ],
    spelled: THINKING_TYPE,
    stream_usage: StreamUsage::Asked,
    structured: Structured::Object,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Moonshot (Kimi models).
pub const MOONSHOT: Profile = Profile {
    name: "moonshot",
    base_url: "https://api.moonshot.ai/v1",
    key_env: "MOONSHOT_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::PENALTIES,
        &[Param::N, Param::PromptCacheKey, Param::ResponseFormat],
    ],
    spelled: THINKING_TYPE,
    stream_usage: StreamUsage::Asked,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    // It takes an empty text for none.
    required_reasoning: Some(" "),
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Alibaba Cloud Model Studio (Qwen models), international.
pub const ALIBABA: Profile = Profile {
    name: "alibaba",
    results_wanted: true,
    base_url: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    key_env: "DASHSCOPE_API_KEY",
    params: &[
        Profile::COMMON,
        Profile::LOGPROBS,
        &[
            Param::TopK,
            Param::PresencePenalty,
            Param::RepetitionPenalty,
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningMaxTokens,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::ReasoningMaxTokens, "thinking_budget")],
    spelled: &[
        Spelling::new(Param::DisableReasoning, "true", "enable_thinking", "false"),
        Spelling::new(Param::DisableReasoning, "false", "enable_thinking", "true"),
    ],
    stream_usage: StreamUsage::Asked,
    end_marker: EndMarker::Always,
    ..Profile::BASE
};

/// Anthropic's compatibility layer, meant for trying out; its own wire has more.
pub const ANTHROPIC: Profile = Profile {
    name: "anthropic-openai",
    results_wanted: true,
    base_url: "https://api.anthropic.com/v1",
    key_env: "ANTHROPIC_API_KEY",
    params: &[Profile::COMMON, &[Param::ParallelToolCalls]],
    stream_usage: StreamUsage::Asked,
    call_id: crate::provider::anthropic::CALL_ID,
    tool_name: crate::provider::anthropic::TOOL_NAME,
    end_marker: EndMarker::Sometimes,
    ..Profile::BASE
};
