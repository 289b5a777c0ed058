//! Ollama's own API: lines of JSON, times in nanoseconds, arguments as objects.

mod decode;
mod embed;
mod encode;
mod message;
mod models;
mod types;

use super::{
    BaseUrl, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing,
    IdFormat, ModelPage, Provider,
    call_ids::{self, Links},
    errors,
    requests::{self, ProviderDefaults},
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Secret,
    provider::Auth,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, response};
use std::borrow::Cow;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// How the message begins that tells a context overflow; its status is that of any wrong request. Source:
/// a recorded error.
const OVERFLOW: [(&str, ErrorKind); 1] = [(
    "prompt too long; exceeded max context length",
    ErrorKind::ContextOverflow,
)];

const DEFAULTS: ProviderDefaults = ProviderDefaults {
    name: "ollama",
    base_url: "http://localhost:11434",
    key_env: "OLLAMA_API_KEY",
    key_optional: true,
};

/// A server that speaks Ollama's own API: on this machine, elsewhere, or `https://ollama.com` with a key.
///
/// What a [`ChatRequest`] has no field for goes into [`extra`](ChatRequest::extra): `keep_alive`, or `options` as a whole
/// (such as `num_ctx`), which then counts instead of what the request's own fields say in it.
#[derive(Clone, Debug)]
pub struct Ollama {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    chat: Uri,
}

impl Ollama {
    /// The server on this machine, at its usual port.
    ///
    /// # Errors
    /// None in practice.
    pub fn local() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A server, to be given a key or another address.
    #[must_use]
    pub fn builder() -> OllamaBuilder {
        OllamaBuilder {
            name: None,
            auth: Auth::None,
            base_url: None,
            insecure_http: false,
        }
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }
}

/// Makes an [`Ollama`].
#[derive(Clone, Debug)]
pub struct OllamaBuilder {
    name: Option<String>,
    auth: Auth,
    base_url: Option<String>,
    insecure_http: bool,
}

impl OllamaBuilder {
    /// The key, which only `https://ollama.com` asks for.
    ///
    /// # Errors
    /// `invalid_request` if it cannot be one: empty, with line breaks or spaces.
    pub fn api_key(mut self, key: impl Into<String>) -> Result<Self, Error> {
        self.auth = Auth::Bearer(Secret::new(key)?.into());
        Ok(self)
    }

    /// Another way to authenticate, such as a token that is asked for anew each time.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Another address than `http://localhost:11434`.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Lets the key travel over `http://` to another machine, unencrypted: for servers in a network that you trust, such as
    /// `http://vllm:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Another name than `ollama`, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the address is not one, or if the key would travel unencrypted.
    pub fn build(self) -> Result<Ollama, Error> {
        let base_url =
            DEFAULTS.base_url(self.base_url.as_deref(), &self.auth, self.insecure_http)?;
        Ok(Ollama {
            chat: base_url.join("/api/chat")?,
            name: self.name.map_or(Cow::Borrowed(DEFAULTS.name), Cow::Owned),
            auth: self.auth,
            base_url,
        })
    }
}

impl Provider for Ollama {
    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let request = &*call_ids::fit(request, Links::new(IdFormat::ANY))?;
        let (request, altered) = schema::fit(request, &self.name, Dialects::OLLAMA)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(&self.name, request)?;
        warnings.extend(altered);
        let (accept, framing) = if request.stream {
            (NDJSON, Framing::Ndjson)
        } else {
            (super::JSON, Framing::SingleBody)
        };
        let mut encoded =
            EncodedRequest::new(requests::post(self.chat.clone(), body, accept), framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::OllamaDecoder::new(&self.name))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let body = embed::body(&self.name, request, first)?;
        Ok(requests::post_embed(
            self.base_url.join("/api/embed")?,
            body,
        ))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        Ok(requests::get(self.base_url.join("/api/tags")?))
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode(&self.name, body)
    }
}
