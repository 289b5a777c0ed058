//! Servers with OpenAI's chat API, each as a value of [`ChatProfile`].
//!
//! Sources: recorded traffic if available, else the servers' own documentation. For another server use
//! [`OpenAiChat::custom`](super::OpenAiChat::custom), or a profile of the program's own.
//!
//! Each profile has a constructor: `OpenAiChat::groq(key)` for [`GROQ`]. The table at the end of this file defines it.

mod gateways;
mod hosted;

use super::{ChatProfile, OpenAiChat};
use crate::provider::kit::builder::profile_table;

pub use gateways::{
    AZURE, AZURE_FOUNDRY, AZURE_V1, BEDROCK_MANTLE, CLOUDFLARE_WORKERS, DATABRICKS, GEMINI,
    SNOWFLAKE,
};
pub use gateways::{CLOUDFLARE, HUGGINGFACE, LITELLM, OPENROUTER, VERCEL};
pub use gateways::{LLAMA_CPP, LM_STUDIO, OLLAMA, SGLANG, VLLM};
pub use hosted::CEREBRAS;
pub use hosted::{ALIBABA, ANTHROPIC, DEEPSEEK, MISTRAL, MOONSHOT, OPENAI, PERPLEXITY, XAI, ZAI};
pub use hosted::{CRUSOE, DOUBLEWORD, FIREWORKS, GROQ, NVIDIA, SAMBANOVA, TOGETHER, VENICE};

profile_table! {
    OpenAiChat, ChatProfile, "openai_chat::profiles::";
    alibaba(key) = ALIBABA;
    anthropic(key) = ANTHROPIC;
    azure(resource, deployment, key) = AZURE;
    azure_foundry(resource, key) = AZURE_FOUNDRY;
    azure_v1(resource, key) = AZURE_V1;
    bedrock_mantle(region, key) = BEDROCK_MANTLE;
    cerebras(key) = CEREBRAS;
    cloudflare(account, gateway, key) = CLOUDFLARE;
    cloudflare_workers(account, key) = CLOUDFLARE_WORKERS;
    crusoe(key) = CRUSOE;
    databricks(workspace, key) = DATABRICKS;
    deepseek(key) = DEEPSEEK;
    doubleword(key) = DOUBLEWORD;
    fireworks(key) = FIREWORKS;
    gemini(key) = GEMINI;
    groq(key) = GROQ;
    huggingface(key) = HUGGINGFACE;
    litellm() = LITELLM;
    llama_cpp() = LLAMA_CPP;
    lm_studio() = LM_STUDIO;
    mistral(key) = MISTRAL;
    moonshot(key) = MOONSHOT;
    nvidia(key) = NVIDIA;
    ollama() = OLLAMA;
    openai(key) = OPENAI;
    openrouter(key) = OPENROUTER;
    perplexity(key) = PERPLEXITY;
    sambanova(key) = SAMBANOVA;
    sglang() = SGLANG;
    snowflake(account, key) = SNOWFLAKE;
    together(key) = TOGETHER;
    venice(key) = VENICE;
    vercel(key) = VERCEL;
    vllm() = VLLM;
    xai(key) = XAI;
    zai(key) = ZAI;
}

/// Every profile, by name.
pub const ALL: &[ChatProfile] = TABLE;

/// The profile with a name such as `groq`; case does not matter.
#[must_use]
pub fn by_name(name: &str) -> Option<ChatProfile> {
    let known = |profile: &&ChatProfile| profile.name.eq_ignore_ascii_case(name);
    ALL.iter().find(known).copied()
}
