//! Anthropic's Messages, at Anthropic, on Azure and on Google Cloud's Vertex AI.
//!
//! What belongs to this wire alone travels as [`ContentPart::ProviderBlock`] of the provider
//! `anthropic`, wherever the model was asked: redacted thinking, the provider's own tools and their results. An opaque
//! block without a `type` adds its members to the part before it; [`cache_point`] is one.

mod batches;
mod decode;
mod encode;
mod errors;
mod messages;
mod models;
mod types;

use super::{
    Address, Auth, AuthStyle, BaseUrl, BatchApi, BuildProvider, ChatDecoder, EncodedRequest,
    Framing, IdFormat, MediaKind, MediaLimit, ModelPage, Provider, ProviderBuilder, ProviderCore,
    ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        id_format, media, model,
        vertex::{self, Vertex},
    },
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Model,
    codec::percent::encode_segment,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, response};
use std::borrow::Cow;

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
/// Of `api.anthropic.com`. Its refusals say `image exceeds 5 MB maximum` of the text in base64; a request has at most 32 MB.
const MEDIA_LIMITS: &[MediaLimit] = &[
    MediaLimit::of_base64(&[MediaKind::Image], 5 << 20),
    MediaLimit::of_base64(MediaKind::ALL, 32 << 20),
];
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A server that speaks Anthropic's Messages.
///
/// The wire must be told a token limit: a request without [`max_tokens`](ChatRequest::max_tokens) gets
/// [`DEFAULT_MAX_TOKENS`](Anthropic::DEFAULT_MAX_TOKENS), and a warning if the answer was cut off by it.
#[derive(Clone, Debug)]
pub struct Anthropic {
    core: ProviderCore,
    hosting: Hosting,
    server: encode::Server,
    media_limits: &'static [MediaLimit],
    default_max_tokens: u64,
}

/// Where the models are, as far as it changes the request.
#[derive(Clone, Debug, Default)]
enum Hosting {
    #[default]
    Own,
    /// The name of a resource on Azure.
    Azure(String),
    Vertex(Vertex),
}

/// The options that only Anthropic's builder has.
#[derive(Clone, Debug)]
pub struct AnthropicOptions {
    hosting: Hosting,
    betas: Vec<String>,
    default_max_tokens: u64,
}

impl Default for AnthropicOptions {
    fn default() -> Self {
        AnthropicOptions {
            hosting: Hosting::Own,
            betas: Vec::new(),
            default_max_tokens: Anthropic::DEFAULT_MAX_TOKENS,
        }
    }
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
    /// ```
    /// # use unifiedai::provider::Anthropic;
    /// let provider = Anthropic::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Anthropic itself, or Claude on Azure or on Vertex AI, with options.
    ///
    /// ```
    /// # use unifiedai::provider::Anthropic;
    /// let own = Anthropic::builder().api_key("my-key")?.beta("context-1m-2025-08-07").build()?;
    /// let azure = Anthropic::builder().azure("my-resource")?.api_key("my-key")?.build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }

    fn chat_path(&self, request: &ChatRequest) -> Result<Cow<'static, str>, Error> {
        Ok(match &self.hosting {
            Hosting::Own | Hosting::Azure(_) => "/messages".into(),
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
        if matches!(self.hosting, Hosting::Vertex(_)) {
            return Err(super::unsupported(self.name(), "list its models"));
        }
        self.core.get(path)
    }
}

impl ProviderBuilder<Anthropic> {
    /// Claude on Azure: the name of a resource, with a key or an Entra token.
    ///
    /// # Errors
    /// `invalid_request` if the resource's name cannot be part of a host's.
    pub fn azure(mut self, resource: &str) -> Result<Self, Error> {
        let is_plain = resource
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if resource.is_empty() || !is_plain {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not an Azure resource", resource.escape_debug()),
            ));
        }
        self.options.hosting = Hosting::Azure(resource.to_owned());
        Ok(self)
    }

    /// Claude on Google Cloud's Vertex AI: a project and a location such as `us-east5` or `global`, with a token as
    /// [`auth`](ProviderBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location cannot be one.
    pub fn vertex(mut self, project: &str, location: &str) -> Result<Self, Error> {
        self.options.hosting = Hosting::Vertex(Vertex::new(project, location)?);
        Ok(self)
    }

    /// Asks for a beta feature in every request (`anthropic-beta`). A request's own header of that name counts instead.
    #[must_use]
    pub fn beta(mut self, name: impl Into<String>) -> Self {
        self.options.betas.push(name.into());
        self
    }

    /// Another token limit for requests that set none than [`Anthropic::DEFAULT_MAX_TOKENS`].
    #[must_use]
    pub fn default_max_tokens(mut self, tokens: u64) -> Self {
        self.options.default_max_tokens = tokens;
        self
    }
}

impl BuildProvider for Anthropic {
    type Options = AnthropicOptions;

    fn defaults(options: &AnthropicOptions) -> ProviderDefaults {
        let key = AuthStyle::Header("x-api-key");
        let mut defaults = match options.hosting {
            Hosting::Own => ProviderDefaults::new(
                BLOCK_PROVIDER,
                "https://api.anthropic.com/v1",
                "ANTHROPIC_API_KEY",
            ),
            Hosting::Azure(_) => {
                ProviderDefaults::new("azure-anthropic", "", "ANTHROPIC_FOUNDRY_API_KEY")
            }
            Hosting::Vertex(_) => vertex::defaults("vertex-anthropic"),
        };
        defaults.auth_style = key;
        defaults
    }

    fn address(options: &AnthropicOptions, given: Option<&str>) -> Result<Address, Error> {
        Ok(match (given, &options.hosting) {
            (Some(url), _) => Address::Other(BaseUrl::with_version(url, "v1")),
            (None, Hosting::Own) => Address::Own(Self::defaults(options).base_url.to_owned()),
            (None, Hosting::Azure(resource)) => Address::Own(format!(
                "https://{resource}.services.ai.azure.com/anthropic/v1"
            )),
            (None, Hosting::Vertex(vertex)) => Address::Own(vertex.base_url()),
        })
    }

    fn from_core(mut core: ProviderCore, options: AnthropicOptions) -> Result<Self, Error> {
        if !matches!(options.hosting, Hosting::Vertex(_)) {
            core.add_default_header(VERSION.0, VERSION.1);
        }
        let betas = options.betas.join(",");
        if !betas.is_empty() {
            let value = HeaderValue::from_str(&betas).map_err(|_| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{}` is not the name of a beta", betas.escape_debug()),
                )
            })?;
            core.add_default_header(BETA, value);
        }
        Ok(Anthropic {
            server: encode::Server::at(core.name(), core.base_url()),
            media_limits: match (&options.hosting, core.given_url()) {
                (Hosting::Own, None) => MEDIA_LIMITS,
                _ => &[],
            },
            core,
            hosting: options.hosting,
            default_max_tokens: options.default_max_tokens,
        })
    }
}

impl Provider for Anthropic {
    fn owns_model(&self, model: &str) -> bool {
        model::has_vendor_prefix(model, model::vendors_at(self.base_url(), &[]))
    }

    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        id_format::check(self.name(), &request.tools, TOOL_NAME)?;
        media::check(self.name(), &request.messages, self.media_limits)?;
        let links = Links::new(CALL_ID).with_results(self.name(), true);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::ANTHROPIC)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self, request)?;
        warnings.extend(altered);
        let uri = self.core.url(&self.chat_path(request)?)?;
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        Ok(self.core.post_chat(uri, body, framing, warnings))
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
        models::decode_list(self.name(), body)
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
        models::decode_one(self.name(), body)
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        Some(Box::new(batches::Batches(self)))
    }
}
