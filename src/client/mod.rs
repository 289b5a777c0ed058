//! The shell that users hold: providers, the rules of their calls, and a transport.

mod blocking;
mod call_context;
mod config_macro;
pub(crate) mod env;
mod env_anthropic_gemini;
#[cfg(feature = "bedrock")]
mod env_aws;
mod env_responses_cohere_ollama;
pub(crate) mod future_set;
mod hedge;
mod media_file;
pub(crate) mod names;
mod nonblocking;
pub(crate) mod providers;

pub use blocking::Client;
pub(crate) use call_context::CallContext;
pub use env::from_env;
pub use nonblocking::AsyncClient;
pub use providers::ProviderRegistry;
