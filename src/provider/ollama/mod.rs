//! Ollama's own API: JSON lines, times in nanoseconds, arguments as objects.

mod decode;
mod embed;
mod encode;
mod models;
mod types;

use super::{
    Auth, BaseUrl, BuildProvider, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest,
    EncodedRequest, Framing, IdFormat, ModelPage, Provider, ProviderBuilder, ProviderCore,
    ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        errors,
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{Request, Uri, response};

/// Beginning of the message for a context overflow, whose status is that of any invalid request. Source: a recorded
/// error.
const OVERFLOW: [(&str, ErrorKind); 1] = [(
    "prompt too long; exceeded max context length",
    ErrorKind::ContextOverflow,
)];

/// A server with Ollama's own API: on this machine, on another one, or `https://ollama.com` with a key.
///
/// Parameters without a field in [`ChatRequest`] go into [`extra`](ChatRequest::extra): `keep_alive`, or `options`
/// (such as `num_ctx`), which then replaces the options of the request's own fields.
#[derive(Clone, Debug)]
pub struct Ollama {
    core: ProviderCore,
    chat: Uri,
}

impl Ollama {
    /// Creates a provider for Ollama's own servers at `https://ollama.com`, with a key. No other server requires one.
    ///
    /// ```
    /// # use unifiedai::provider::Ollama;
    /// let provider = Ollama::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder()
            .base_url("https://ollama.com")
            .api_key(key)?
            .build()
    }

    /// Creates a provider for the server on this machine, at its default port.
    ///
    /// ```
    /// # use unifiedai::provider::Ollama;
    /// let provider = Ollama::local()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// None in practice.
    pub fn local() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Creates a builder; without a [`base_url`](ProviderBuilder::base_url) the server is on this machine.
    ///
    /// ```
    /// # use unifiedai::provider::Ollama;
    /// let provider = Ollama::builder().base_url("https://ollama.example.com").build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// The base URL of the operations.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }
}

impl BuildProvider for Ollama {
    type Options = ();

    fn defaults((): &()) -> ProviderDefaults {
        let mut defaults =
            ProviderDefaults::new("ollama", "http://localhost:11434", "OLLAMA_API_KEY");
        defaults.key_optional = true;
        defaults
    }

    fn from_core(core: ProviderCore, (): ()) -> Result<Self, Error> {
        Ok(Ollama {
            chat: core.url("/api/chat")?,
            core,
        })
    }
}

impl Provider for Ollama {
    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let request = &*call_ids::fit(request, Links::new(IdFormat::ANY))?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::OLLAMA)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self.name(), request)?;
        warnings.extend(altered);
        let framing = match request.stream {
            true => Framing::Ndjson,
            false => Framing::SingleBody,
        };
        let uri = self.chat.clone();
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::OllamaDecoder::new(self.name()))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let body = embed::body(self.name(), request, first)?;
        Ok(self.core.post_embed(self.core.url("/api/embed")?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.core.get("/api/tags")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode(self.name(), body)
    }
}
