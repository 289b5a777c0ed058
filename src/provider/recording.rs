use super::{
    Anthropic, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses, Provider, openai_chat,
    openai_responses,
};
use crate::{Error, ErrorKind};
use std::sync::Arc;

/// A provider that reads recorded traffic: `dialect` is the wire (`openai-chat`, ...), `provider` whose traffic it is. It has
/// no key and is never sent anything.
///
/// # Errors
/// `invalid_request` if the wire is not known.
pub fn provider_for_recording(provider: &str, dialect: &str) -> Result<Arc<dyn Provider>, Error> {
    match dialect {
        "openai-chat" => {
            // A maker that has a wire of its own speaks this one under another name.
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
        "anthropic-messages" | "anthropic-vertex" => {
            let wire = Anthropic::builder()
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        "gemini" => {
            let wire = Gemini::builder()
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
            let wire = super::Bedrock::builder()
                .region("us-east-1")
                .name(provider)
                .base_url("http://127.0.0.1");
            Ok(Arc::new(wire.build()?))
        }
        other => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the wire `{}` is not known", other.escape_debug()),
        )),
    }
}
