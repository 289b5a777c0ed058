//! Anthropic's Messages, at Anthropic, on Azure and on Google Cloud's Vertex AI.
//!
//! What belongs to this wire alone travels as [`ContentPart::ProviderBlock`] of the provider
//! `anthropic`, wherever the model was asked: redacted thinking, the provider's own tools and their results. An opaque
//! block without a `type` adds its members to the part before it; [`cache_point`] is one.

mod block;
mod builder;
mod decode;
mod encode;
mod errors;
mod messages;
mod models;
mod open_blocks;
mod signing;
mod types;
mod usage;

use super::{
    BaseUrl, ChatDecoder, EncodedRequest, Framing, IdFormat, ModelPage, Provider,
    call_ids::{self, Links},
    model_ids, tool_names,
    vertex::Vertex,
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Model,
    codec::percent::encode_segment,
    provider::Auth,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, response};
use std::borrow::Cow;

pub use builder::AnthropicBuilder;

/// The provider of this wire's opaque blocks.
pub(crate) const BLOCK_PROVIDER: &str = "anthropic";

/// `^[a-zA-Z0-9_-]+$`, as its refusals of other ids say.
pub(crate) const CALL_ID: IdFormat = IdFormat::new(1, usize::MAX).only("_-");

/// `^[a-zA-Z0-9_-]{1,128}$`, as its refusals of other names say.
pub(crate) const TOOL_NAME: IdFormat = IdFormat::new(1, 128).only("_-");

const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);
const VERTEX_VERSION: &str = "vertex-2023-10-16";
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A server that speaks Anthropic's Messages.
///
/// The wire must be told a token limit: a request without [`max_tokens`](ChatRequest::max_tokens) gets
/// [`DEFAULT_MAX_TOKENS`](Anthropic::DEFAULT_MAX_TOKENS), and a warning if the answer was cut off by it.
#[derive(Clone, Debug)]
pub struct Anthropic {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    hosting: Hosting,
    server: signing::Server,
    betas: Option<HeaderValue>,
    default_max_tokens: u64,
}

/// Where the models are, as far as it changes the request.
#[derive(Clone, Debug)]
enum Hosting {
    Own,
    Vertex(Vertex),
}

/// A cache point: what stands before it is to be kept for five minutes, or `"1h"` for an hour, and costs less when it is
/// sent again. To be put behind a part of a message; other providers leave it out with a warning.
///
/// # Errors
/// None that can be caused: `ttl` is written as JSON.
pub fn cache_point(ttl: Option<&str>) -> Result<ContentPart, Error> {
    let mut control = std::collections::BTreeMap::from([("type", "ephemeral")]);
    control.extend(ttl.map(|ttl| ("ttl", ttl)));
    let members = std::collections::BTreeMap::from([("cache_control", control)]);
    Ok(ContentPart::provider_block(
        BLOCK_PROVIDER,
        Json::new(&members)?,
    ))
}

impl Anthropic {
    /// The token limit of requests that set none. Every model that is offered can write as much.
    pub const DEFAULT_MAX_TOKENS: u64 = 4096;

    /// Anthropic itself, with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn http(&self, method: Method, uri: Uri, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(7);
        headers.insert(header::ACCEPT, super::JSON);
        headers.insert(header::ACCEPT_ENCODING, super::IDENTITY);
        headers.insert(header::USER_AGENT, super::USER_AGENT);
        if matches!(self.hosting, Hosting::Own) {
            headers.insert(VERSION.0, VERSION.1);
        }
        if let Some(betas) = &self.betas {
            headers.insert(BETA, betas.clone());
        }
        request
    }

    fn chat_path(&self, request: &ChatRequest) -> Result<Cow<'static, str>, Error> {
        Ok(match &self.hosting {
            Hosting::Own => "/messages".into(),
            Hosting::Vertex(vertex) => {
                let model = vertex.model_path("anthropic", &request.model)?;
                let method = if request.stream {
                    ":streamRawPredict"
                } else {
                    ":rawPredict"
                };
                [&model, method].concat().into()
            }
        })
    }

    fn models(&self, path: &str) -> Result<Request<Bytes>, Error> {
        if !matches!(self.hosting, Hosting::Own) {
            return Err(super::unsupported(&self.name, "list its models"));
        }
        Ok(self.http(Method::GET, self.base_url.join(path)?, Bytes::new()))
    }
}

impl Provider for Anthropic {
    fn owns_model(&self, model: &str) -> bool {
        model_ids::has_vendor_prefix(model, model_ids::vendors_at(&self.base_url, &[]))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        tool_names::check(&self.name, &request.tools, TOOL_NAME)?;
        let links = Links::new(CALL_ID).with_results(&self.name, true);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, &self.name, Dialects::ANTHROPIC)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self, request)?;
        warnings.extend(altered);
        let uri = self.base_url.join(&self.chat_path(request)?)?;
        let mut http = self.http(Method::POST, uri, body.into());
        let headers = http.headers_mut();
        headers.insert(header::CONTENT_TYPE, super::JSON);
        let framing = if request.stream {
            headers.insert(header::ACCEPT, super::EVENT_STREAM);
            Framing::Sse
        } else {
            Framing::SingleBody
        };
        let mut encoded = EncodedRequest::new(http, framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        let limit = encode::chosen_limit(request, self.default_max_tokens);
        Box::new(decode::MessageDecoder::new(limit, &self.server))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::from_http(head, body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        match page {
            None => self.models("/models?limit=1000"),
            Some(last) => {
                let last = encode_segment(last).unwrap_or_default();
                self.models(&["/models?limit=1000&after_id=", &last].concat())
            }
        }
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let segment = encode_segment(id).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        self.models(&["/models/", &segment].concat())
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
}
