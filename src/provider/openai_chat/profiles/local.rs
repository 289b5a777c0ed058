//! Servers that people run themselves, by their default addresses.

use crate::{
    chat::Param,
    provider::openai_chat::{ChatProfile, EndMarker, ReasoningReplay, StreamUsage, ValueNaming},
    schema::Dialects,
};

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

/// Ollama. It takes no tool choice, and the context's size cannot be set here.
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

/// llama.cpp's server. Tools need its flag `--jinja`. Its times are in milliseconds, in `timings`.
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
    ..ChatProfile::BASE
};

/// SGLang's server.
pub const SGLANG: ChatProfile = ChatProfile {
    name: "sglang",
    base_url: "http://localhost:30000/v1",
    key_env: "SGLANG_API_KEY",
    reasoning: ReasoningReplay::Field("reasoning_content"),
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
