//! Cohere's API, version 2.

mod decode;
pub(super) mod embed;
mod encode;
mod headers;
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
    ChatRequest, EmbedRequest, Error, ErrorKind, Model, Secret, Tool,
    chat::ProviderMetadata,
    codec::percent::encode_segment,
    provider::Auth,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, response};
use std::borrow::Cow;

/// How the message begins that tells a context overflow; its status is that of any wrong request. Source: a
/// report in one of Cohere's own repositories.
const OVERFLOW: [(&str, ErrorKind); 1] = [("too many tokens", ErrorKind::ContextOverflow)];

const DEFAULTS: ProviderDefaults = ProviderDefaults {
    name: "cohere",
    base_url: "https://api.cohere.com",
    key_env: "COHERE_API_KEY",
    key_optional: false,
};

/// Cohere.
///
/// What a [`ChatRequest`] has no field for goes into [`extra`](ChatRequest::extra): `documents`, `citation_options`,
/// `safety_mode`. The plan that a model makes before it calls tools is reasoning, and an opaque part that goes back.
#[derive(Clone, Debug)]
pub struct Cohere {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    chat: Uri,
}

impl Cohere {
    /// Cohere with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Cohere, to be given a key or another address.
    #[must_use]
    pub fn builder() -> CohereBuilder {
        CohereBuilder {
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

/// Makes a [`Cohere`].
#[derive(Clone, Debug)]
pub struct CohereBuilder {
    name: Option<String>,
    auth: Auth,
    base_url: Option<String>,
    insecure_http: bool,
}

impl CohereBuilder {
    /// The key.
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

    /// Another address than `https://api.cohere.com`, without the version.
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

    /// Another name than `cohere`, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the key is missing although Cohere's own address needs one, if the address is not one, or if
    /// the key would travel unencrypted.
    pub fn build(self) -> Result<Cohere, Error> {
        let base_url =
            DEFAULTS.base_url(self.base_url.as_deref(), &self.auth, self.insecure_http)?;
        Ok(Cohere {
            chat: base_url.join("/v2/chat")?,
            name: self.name.map_or(Cow::Borrowed(DEFAULTS.name), Cow::Owned),
            auth: self.auth,
            base_url,
        })
    }
}

/// The request with all its functions strict or none, since one word (`strict_tools`) says it of all: a request with strict ones
/// and others has `strict` on each of them.
fn equally_strict(request: Cow<'_, ChatRequest>, strict: bool) -> Cow<'_, ChatRequest> {
    let is_strict = |tool: &Tool| match tool {
        Tool::Function { strict, .. } => Some(*strict == Some(true)),
        Tool::Provider { .. } => None,
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
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let request = &*call_ids::fit(request, Links::new(IdFormat::ANY))?;
        let (body, warnings) = {
            let request = equally_strict(Cow::Borrowed(request), true);
            let (request, mut altered) = schema::fit(&request, &self.name, Dialects::COHERE)?;
            let (body, warnings) = encode::body(&self.name, &equally_strict(request, false))?;
            altered.extend(warnings);
            (body, altered)
        };
        let (accept, framing) = if request.stream {
            (super::EVENT_STREAM, Framing::Sse)
        } else {
            (super::JSON, Framing::SingleBody)
        };
        let mut encoded =
            EncodedRequest::new(requests::post(self.chat.clone(), body, accept), framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::CohereDecoder::new(&self.name))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
    }

    fn read_headers(&self, headers: &HeaderMap, metadata: &mut ProviderMetadata) {
        headers::read(headers, metadata);
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let body = embed::body(&self.name, request, first, true)?;
        Ok(requests::post_embed(self.base_url.join("/v2/embed")?, body))
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
        Ok(requests::get(self.base_url.join(&path)?))
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let id = encode_segment(id).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        Ok(requests::get(
            self.base_url.join(&["/v1/models/", &id].concat())?,
        ))
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
}
