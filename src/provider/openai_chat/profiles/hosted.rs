//! Profiles of model vendors, and of hosts of open models.

use crate::{
    chat::{HostedToolKind, HostedToolSetting, Param},
    provider::{
        BatchProfile, HostedToolMapping, IdFormat, MediaKind, MediaLimit, TokenCounter,
        openai_chat::{
            ChatProfile, EndMarker, MediaPlacement, ReasoningReplay, StreamUsage, StructuredOutput,
            ValueNaming,
        },
    },
    schema::Dialects,
};

/// The parameters of servers of open models with a full sampler.
const OPEN: &[Param] = &[
    Param::LogitBias,
    Param::N,
    Param::Seed,
    Param::ReasoningEffort,
    Param::ResponseFormat,
];

/// Groq refuses unknown fields, `name` in messages, log probabilities and more than one choice. An error inside a
/// stream is an event with its own name, without an end marker after it.
pub const GROQ: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::GROQ),
    name: "groq",
    schemas: Dialects::OPENAI_LIKE,
    base_url: "https://api.groq.com/openai/v1",
    // Source: its documentation. A request with a base64 image has at most 4 MB; a larger one gets status 413.
    media_limits: &[MediaLimit::of_base64(&[MediaKind::Image], 4 << 20)],
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
    hosted_tools: &[
        HostedToolMapping::tool(
            HostedToolKind::WebSearch,
            r#"{"type":"browser_search"}"#,
            &[],
        ),
        HostedToolMapping::tool(
            HostedToolKind::CodeExecution,
            r#"{"type":"code_interpreter"}"#,
            &[],
        ),
    ],
    ..ChatProfile::BASE
};

/// Together AI. `logprobs` is the number of alternatives; an `extra` field of that name requests more than one. Usage
/// is always sent.
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
    batches: Some(&BatchProfile::FIREWORKS),
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

/// NVIDIA NIM in NVIDIA's cloud. A self-hosted one has another base URL and may need no key.
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

/// Doubleword. Reasoning is sent under both names, and in details.
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

/// Cerebras Inference. Sources: the official SDK's types and recorded traffic.
///
/// It refuses unknown fields with 400 `wrong_api_format`, so extra fields are checked against the known ones. Its
/// streams have no end marker. Its errors are flat. Reasoning of earlier turns is sent back as `reasoning`.
pub const CEREBRAS: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::CEREBRAS),
    name: "cerebras",
    schemas: Dialects::CEREBRAS,
    base_url: "https://api.cerebras.ai/v1",
    key_env: "CEREBRAS_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        &[
            Param::MinTokens,
            Param::LogitBias,
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::ReasoningFormat,
            Param::DisableReasoning,
            Param::ClearReasoning,
            Param::PromptCacheKey,
            Param::ServiceTier,
            Param::ModelParameters,
            Param::UserId,
            Param::ResponseFormat,
            Param::Prediction,
        ],
    ],
    renamed: &[
        (Param::MaxTokens, "max_completion_tokens"),
        (Param::MinTokens, "min_completion_tokens"),
        (Param::ClearReasoning, "clear_thinking"),
    ],
    extra: Some(&[
        "clear_thinking",
        "disable_reasoning",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "min_completion_tokens",
        "min_tokens",
        "model",
        "model_parameters",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "reasoning_format",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    ]),
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning"),
    developer_role: true,
    end_marker: EndMarker::Never,
    context_overflow: &["Please reduce the length of the messages or completion"],
    check_path: "/tcp_warming",
    ..ChatProfile::BASE
};

// Model vendors.

/// OpenAI. Reasoning is not part of this API; it stays with the provider.
pub const OPENAI: ChatProfile = ChatProfile {
    base64_vectors: true,
    batches: Some(&BatchProfile::OPENAI),
    name: "openai",
    results_wanted: true,
    schemas: Dialects::OPENAI,
    base_url: "https://api.openai.com/v1",
    key_env: "OPENAI_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        ChatProfile::OPENAI,
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    stream_usage: StreamUsage::Requested,
    call_id: IdFormat::new(1, 64),
    tool_name: ChatProfile::TOOL_NAME,
    media: MediaPlacement::UserMessages,
    developer_role: true,
    message_refusal: true,
    end_marker: EndMarker::Always,
    token_counter: TokenCounter::ResponsesInputTokens,
    hosted_tools: &[HostedToolMapping::field(
        HostedToolKind::WebSearch,
        "web_search_options",
        "{}",
        &[
            (HostedToolSetting::UserLocation, "user_location.approximate"),
            (HostedToolSetting::SearchContextSize, "search_context_size"),
        ],
    )],
    ..ChatProfile::BASE
};

/// Mistral refuses every unknown field with 422, including `stream_options` and `name`; usage is always sent.
/// Reasoning is a part of the content, in both directions.
pub const MISTRAL: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::MISTRAL),
    name: "mistral",
    results_wanted: true,
    flat_file_ids: true,
    schemas: Dialects::MISTRAL,
    base_url: "https://api.mistral.ai/v1",
    key_env: "MISTRAL_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
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
    call_id: IdFormat::new(9, 9).only(""),
    tool_name: ChatProfile::TOOL_NAME,
    reasoning: ReasoningReplay::Thinking,
    message_name: false,
    tool_choice_required: "any",
    end_marker: EndMarker::Always,
    ..ChatProfile::BASE
};

/// DeepSeek. With reasoning enabled, a message with tool calls must be sent back with its `reasoning_content`.
pub const DEEPSEEK: ChatProfile = ChatProfile {
    name: "deepseek",
    results_wanted: true,
    base_url: "https://api.deepseek.com",
    key_env: "DEEPSEEK_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        &[Param::ReasoningEffort, Param::ResponseFormat],
    ],
    renamed_values: THINKING_TYPE,
    stream_usage: StreamUsage::Requested,
    structured: StructuredOutput::Object,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    required_reasoning: Some(""),
    tool_name: ChatProfile::TOOL_NAME,
    end_marker: EndMarker::Always,
    context_overflow: &["This model's maximum context length is"],
    ..ChatProfile::BASE
};

/// `thinking: {type}`, which several vendors have.
const THINKING_TYPE: &[ValueNaming] = &[
    ValueNaming::new(
        Param::DisableReasoning,
        "true",
        "thinking.type",
        "\"disabled\"",
    ),
    ValueNaming::new(
        Param::DisableReasoning,
        "false",
        "thinking.type",
        "\"enabled\"",
    ),
];

/// xAI. A wrong key has status 400 here.
pub const XAI: ChatProfile = ChatProfile {
    batches: Some(&BatchProfile::XAI),
    name: "xai",
    schemas: Dialects::XAI,
    base_url: "https://api.x.ai/v1",
    key_env: "XAI_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        ChatProfile::LOGPROBS,
        &[
            Param::N,
            Param::Seed,
            Param::ParallelToolCalls,
            Param::ReasoningEffort,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[(Param::MaxTokens, "max_completion_tokens")],
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    message_refusal: true,
    end_marker: EndMarker::Always,
    reasoning_apart: true,
    token_counter: TokenCounter::XaiTokenizeText,
    ..ChatProfile::BASE
};

/// Perplexity has no tools. Every chunk repeats the complete message and the usage; streams may lack `[DONE]`.
pub const PERPLEXITY: ChatProfile = ChatProfile {
    name: "perplexity",
    base_url: "https://api.perplexity.ai",
    key_env: "PERPLEXITY_API_KEY",
    params: &[
        ChatProfile::PENALTIES,
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
    hosted_tools: &[HostedToolMapping::field(
        HostedToolKind::WebSearch,
        "web_search_options",
        "{}",
        &[
            (HostedToolSetting::AllowedDomains, "/search_domain_filter"),
            (HostedToolSetting::SearchContextSize, "search_context_size"),
        ],
    )],
    ..ChatProfile::BASE
};

/// Z.ai (GLM models).
pub const ZAI: ChatProfile = ChatProfile {
    name: "zai",
    base_url: "https://api.z.ai/api/paas/v4",
    key_env: "ZAI_API_KEY",
    params: &[
        ChatProfile::COMMON,
        &[
            Param::Seed,
            Param::ReasoningEffort,
            Param::ClearReasoning,
            Param::UserId,
            Param::ResponseFormat,
        ],
    ],
    renamed: &[
        (Param::ClearReasoning, "thinking.clear_thinking"),
        (Param::UserId, "user_id"),
    ],
    renamed_values: THINKING_TYPE,
    stream_usage: StreamUsage::Requested,
    structured: StructuredOutput::Object,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    end_marker: EndMarker::Always,
    token_counter: TokenCounter::ZaiTokenizer,
    hosted_tools: &[HostedToolMapping::tool(
        HostedToolKind::WebSearch,
        r#"{"type":"web_search","web_search":{"enable":true}}"#,
        &[],
    )],
    ..ChatProfile::BASE
};

/// Moonshot (Kimi models).
pub const MOONSHOT: ChatProfile = ChatProfile {
    name: "moonshot",
    base_url: "https://api.moonshot.ai/v1",
    key_env: "MOONSHOT_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::PENALTIES,
        &[Param::N, Param::PromptCacheKey, Param::ResponseFormat],
    ],
    renamed_values: THINKING_TYPE,
    stream_usage: StreamUsage::Requested,
    reasoning: ReasoningReplay::Field("reasoning_content"),
    // It treats an empty text as missing.
    required_reasoning: Some(" "),
    end_marker: EndMarker::Always,
    token_counter: TokenCounter::MoonshotEstimate,
    ..ChatProfile::BASE
};

/// Alibaba Cloud Model Studio (Qwen models), international.
pub const ALIBABA: ChatProfile = ChatProfile {
    name: "alibaba",
    results_wanted: true,
    base_url: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    key_env: "DASHSCOPE_API_KEY",
    params: &[
        ChatProfile::COMMON,
        ChatProfile::LOGPROBS,
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
    renamed_values: &[
        ValueNaming::new(Param::DisableReasoning, "true", "enable_thinking", "false"),
        ValueNaming::new(Param::DisableReasoning, "false", "enable_thinking", "true"),
    ],
    stream_usage: StreamUsage::Requested,
    end_marker: EndMarker::Always,
    hosted_tools: &[HostedToolMapping::field(
        HostedToolKind::WebSearch,
        "enable_search",
        "true",
        &[],
    )],
    ..ChatProfile::BASE
};

/// Anthropic's OpenAI-compatible API, meant for evaluation; its own API has more features.
pub const ANTHROPIC: ChatProfile = ChatProfile {
    name: "anthropic-openai",
    results_wanted: true,
    base_url: "https://api.anthropic.com/v1",
    key_env: "ANTHROPIC_API_KEY",
    params: &[ChatProfile::COMMON, &[Param::ParallelToolCalls]],
    stream_usage: StreamUsage::Requested,
    call_id: crate::provider::anthropic::CALL_ID,
    tool_name: crate::provider::anthropic::TOOL_NAME,
    end_marker: EndMarker::Sometimes,
    ..ChatProfile::BASE
};
