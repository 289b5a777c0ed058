//! Servers that speak OpenAI chat, each as a value of [`ChatProfile`].
//!
//! Sources: recorded traffic where there is some, else the servers' own documentation. A server that is not here is
//! reached with [`OpenAiChat::custom`](super::OpenAiChat::custom), or with a profile of the program's own.

mod cerebras;
mod clouds;
mod gateways;
mod hosted;
mod labs;
mod local;

use super::ChatProfile;

pub use cerebras::CEREBRAS;
pub use clouds::{
    AZURE, AZURE_FOUNDRY, AZURE_V1, BEDROCK_MANTLE, CLOUDFLARE_WORKERS, DATABRICKS, GEMINI,
    SNOWFLAKE,
};
pub use gateways::{CLOUDFLARE, HUGGINGFACE, LITELLM, OPENROUTER, VERCEL};
pub use hosted::{CRUSOE, DOUBLEWORD, FIREWORKS, GROQ, NVIDIA, SAMBANOVA, TOGETHER, VENICE};
pub use labs::{ALIBABA, ANTHROPIC, DEEPSEEK, MISTRAL, MOONSHOT, OPENAI, PERPLEXITY, XAI, ZAI};
pub use local::{LLAMA_CPP, LM_STUDIO, OLLAMA, SGLANG, VLLM};

/// Every profile, by name.
pub const ALL: &[ChatProfile] = &[
    ALIBABA,
    ANTHROPIC,
    AZURE,
    AZURE_FOUNDRY,
    AZURE_V1,
    BEDROCK_MANTLE,
    CEREBRAS,
    CLOUDFLARE,
    CLOUDFLARE_WORKERS,
    CRUSOE,
    DATABRICKS,
    DEEPSEEK,
    DOUBLEWORD,
    FIREWORKS,
    GEMINI,
    GROQ,
    HUGGINGFACE,
    LITELLM,
    LLAMA_CPP,
    LM_STUDIO,
    MISTRAL,
    MOONSHOT,
    NVIDIA,
    OLLAMA,
    OPENAI,
    OPENROUTER,
    PERPLEXITY,
    SAMBANOVA,
    SGLANG,
    SNOWFLAKE,
    TOGETHER,
    VENICE,
    VERCEL,
    VLLM,
    XAI,
    ZAI,
];

/// The profile of a name such as `groq`, case ignored.
#[must_use]
pub fn by_name(name: &str) -> Option<ChatProfile> {
    let known = |profile: &&ChatProfile| profile.name.eq_ignore_ascii_case(name);
    ALL.iter().find(known).copied()
}
