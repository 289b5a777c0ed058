//! Providers that read recorded traffic.

use crate::{
    Error, ErrorKind,
    provider::{
        Anthropic, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat, OpenAiResponses,
        Provider, openai_chat, openai_responses,
    },
};
use std::sync::Arc;

/// A provider with the batches of its own profile, or else of the API's.
fn batches(provider: &str, like: &str) -> Result<Arc<dyn Provider>, Error> {
    let with_batches =
        |name| openai_chat::profiles::by_name(name).filter(|profile| profile.batches.is_some());
    let profile = with_batches(provider).or_else(|| with_batches(like));
    let profile = profile.ok_or_else(|| unknown(&[like, "-batch"].concat()))?;
    let wire = OpenAiChat::builder()
        .profile(profile)
        .name(provider)
        .base_url("http://127.0.0.1/v1")
        .build()?;
    Ok(Arc::new(wire))
}

fn unknown(dialect: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("unknown API dialect `{}`", dialect.escape_debug()),
    )
}

/// Creates a provider that decodes recorded traffic: `dialect` is the API (`openai-chat`, ...), `provider` is the
/// server. It has no key and sends nothing.
///
/// # Errors
/// `invalid_request` if the API is unknown.
pub fn provider_for_recording(provider: &str, dialect: &str) -> Result<Arc<dyn Provider>, Error> {
    match dialect {
        "openai-chat" => {
            // A vendor with an API of its own has its OpenAI-compatible one under another name.
            let compatible = [provider, "-openai"].concat();
            let profile = openai_chat::profiles::by_name(provider)
                .or_else(|| openai_chat::profiles::by_name(&compatible))
                .unwrap_or(openai_chat::ChatProfile::BASE);
            let wire = OpenAiChat::builder()
                .profile(profile)
                .name(provider)
                .base_url("http://127.0.0.1/v1")
                .build()?;
            Ok(Arc::new(wire))
        }
        // Vertex differs only in the request.
        "anthropic-messages" | "anthropic-vertex" | "anthropic-batch" => {
            let wire = Anthropic::builder()
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        // Batches of Vertex have the same results.
        "gemini" | "gemini-batch" | "vertex-batch" => {
            let wire = Gemini::builder()
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        "gemini-interactions" => {
            let wire = GeminiInteractions::builder()
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        "cohere-v2" => Ok(Arc::new(
            Cohere::builder()
                .name(provider)
                .base_url("http://127.0.0.1")
                .build()?,
        )),
        "ollama" => Ok(Arc::new(Ollama::builder().name(provider).build()?)),
        "openai-responses" => {
            let wire = OpenAiResponses::builder()
                .profile(openai_responses::ResponsesProfile::BASE)
                .name(provider)
                .base_url("http://127.0.0.1/v1")
                .build()?;
            Ok(Arc::new(wire))
        }
        #[cfg(feature = "bedrock")]
        "bedrock-converse" => {
            let wire = crate::provider::Bedrock::builder()
                .region("us-east-1")
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        other => match other.strip_suffix("-batch") {
            Some(like) => batches(provider, like),
            None => Err(unknown(other)),
        },
    }
}
