//! Cohere's API, version 2.

mod decode;
pub(super) mod embed;
mod encode;
mod models;
mod types;

use super::{
    ApiRequest, Auth, BaseUrl, BuildProvider, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest,
    EncodedRequest, Framing, IdFormat, ModelPage, Provider, ProviderBuilder, ProviderCore,
    ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        errors,
        token_count::text_tokens,
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model, Tool,
    chat::ProviderMetadata,
    codec::percent::encode_segment,
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, response};
use std::borrow::Cow;

/// Beginning of the message for a context overflow, whose status is that of any invalid request. Source: a report in
/// one of Cohere's own repositories.
const OVERFLOW: [(&str, ErrorKind); 1] = [("too many tokens", ErrorKind::ContextOverflow)];

/// Cohere's API.
///
/// Parameters without a field in [`ChatRequest`] go into [`extra`](ChatRequest::extra): `documents`,
/// `citation_options`, `safety_mode`. The plan that a model makes before it calls tools is reasoning, and a provider
/// block that is sent back.
#[derive(Clone, Debug)]
pub struct Cohere {
    core: ProviderCore,
    chat: Uri,
}

impl Cohere {
    /// Creates a provider with a key.
    ///
    /// ```
    /// # use unifiedai::provider::Cohere;
    /// let provider = Cohere::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Creates a builder. A [`base_url`](ProviderBuilder::base_url) has no version.
    ///
    /// ```
    /// # use unifiedai::provider::Cohere;
    /// let provider = Cohere::builder().api_key("my-key")?.base_url("https://proxy.example.com").build()?;
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

impl BuildProvider for Cohere {
    type Options = ();

    fn defaults((): &()) -> ProviderDefaults {
        ProviderDefaults::new("cohere", "https://api.cohere.com", "COHERE_API_KEY")
    }

    fn from_core(core: ProviderCore, (): ()) -> Result<Self, Error> {
        Ok(Cohere {
            chat: core.url("/v2/chat")?,
            core,
        })
    }
}

/// The request with all functions strict or none, because one flag (`strict_tools`) covers all: in a request with
/// strict and other functions, every function is strict.
fn equally_strict(request: Cow<'_, ChatRequest>, strict: bool) -> Cow<'_, ChatRequest> {
    let is_strict = |tool: &Tool| match tool {
        Tool::Function { strict, .. } => Some(*strict == Some(true)),
        Tool::Hosted(_) | Tool::Provider { .. } => None,
    };
    let mut functions = request.tools.iter().filter_map(is_strict);
    let Some(first) = functions.next() else {
        return request;
    };
    if functions.all(|other| other == first) {
        return request;
    }
    let mut request = request.into_owned();
    for tool in &mut request.tools {
        if let Tool::Function { strict: own, .. } = tool {
            *own = Some(strict);
        }
    }
    Cow::Owned(request)
}

impl Provider for Cohere {
    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let request = &*call_ids::fit(request, Links::new(IdFormat::ANY))?;
        let (body, warnings) = {
            let request = equally_strict(Cow::Borrowed(request), true);
            let (request, mut altered) = schema::fit(&request, self.name(), Dialects::COHERE)?;
            let (body, warnings) = encode::body(self.name(), &equally_strict(request, false))?;
            altered.extend(warnings);
            (body, altered)
        };
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let uri = self.chat.clone();
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::CohereDecoder::new(self.name()))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
    }

    fn read_headers(&self, headers: &HeaderMap, metadata: &mut ProviderMetadata) {
        decode::read_headers(headers, metadata);
    }

    /// The tokens of the texts. Cohere has no endpoint that applies the chat template, so that a chat has more.
    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        text_tokens(&self.core, "/v1/tokenize", request)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let body = embed::body(self.name(), request, first, true)?;
        Ok(self.core.post_embed(self.core.url("/v2/embed")?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        let mut path = "/v1/models?page_size=1000".to_owned();
        if let Some(token) = page.and_then(encode_segment) {
            path.push_str("&page_token=");
            path.push_str(&token);
        }
        self.core.get(&path)
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let id = encode_segment(id).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        self.core.get(&["/v1/models/", &id].concat())
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }
}
