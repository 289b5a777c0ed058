//! Anthropic's Messages API, at Anthropic, on Azure and on Google Cloud's Vertex AI.
//!
//! Content that only this API has is a [`ContentPart::ProviderBlock`] of the provider `anthropic`, wherever the model
//! is hosted: redacted reasoning and unknown blocks. A provider block without a `type` adds its fields to the part before
//! it; [`cache_point`] creates one.

mod batches;
mod decode;
mod encode;
mod errors;
mod hosted;
mod messages;
mod models;
mod turns;
mod types;

use super::{
    Address, ApiRequest, Auth, AuthStyle, BaseUrl, BatchApi, BuildProvider, ChatDecoder,
    EncodedRequest, Framing, IdFormat, MediaKind, MediaLimit, ModelPage, Provider, ProviderBuilder,
    ProviderCore, ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        id_format, media, model,
        token_count::{decode_input_tokens, only, prompt},
        vertex::{self, Vertex},
    },
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Model, UnifiedChatResponse,
    cache::{CacheMarks, CacheRules},
    codec::percent::encode_segment,
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, response};
use std::borrow::Cow;

/// The provider name of this API's provider blocks.
pub(crate) const BLOCK_PROVIDER: &str = "anthropic";

/// `^[a-zA-Z0-9_-]+$`, according to its error for other ids.
pub(crate) const CALL_ID: IdFormat = IdFormat::new(1, usize::MAX).only("_-");

/// `^[a-zA-Z0-9_-]{1,128}$`, according to its error for other names.
pub(crate) const TOOL_NAME: IdFormat = IdFormat::new(1, 128).only("_-");

const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);
const VERTEX_VERSION: &str = "vertex-2023-10-16";
/// The limits of `api.anthropic.com`. Its error `image exceeds 5 MB maximum` counts the base64 text. A request has at
/// most 32 MB.
const MEDIA_LIMITS: &[MediaLimit] = &[
    MediaLimit::of_base64(&[MediaKind::Image], 5 << 20),
    MediaLimit::of_base64(MediaKind::ALL, 32 << 20),
];
/// The fields of a token count, which refuses others. Source: Anthropic's SDKs. The version is for Vertex AI.
const COUNTED: [&str; 14] = [
    "model",
    "anthropic_version",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "context_management",
    "mcp_servers",
    "speed",
    "user_profile_id",
];
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A server with Anthropic's Messages API.
///
/// The API requires a token limit: a request without [`max_tokens`](ChatRequest::max_tokens) gets
/// [`DEFAULT_MAX_TOKENS`](Anthropic::DEFAULT_MAX_TOKENS), and a warning if the response was cut off by it.
#[derive(Clone, Debug)]
pub struct Anthropic {
    core: ProviderCore,
    hosting: Hosting,
    server: encode::Server,
    media_limits: &'static [MediaLimit],
    default_max_tokens: u64,
}

/// The hosting of the models, as far as it changes the request.
#[derive(Clone, Debug, Default)]
enum Hosting {
    #[default]
    Own,
    /// The name of an Azure resource.
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

/// Creates a cache point: the content before it is cached for five minutes, or with `"1h"` for an hour, and costs
/// less when it is sent again. Place it after a part of a message; other providers drop it with a warning.
///
/// # Errors
/// None in practice: `ttl` is always valid JSON.
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
    /// The token limit of requests without one. Every current model can generate as many tokens.
    pub const DEFAULT_MAX_TOKENS: u64 = 4096;

    /// Creates a provider for Anthropic itself, with a key.
    ///
    /// ```
    /// # use unifiedai::provider::Anthropic;
    /// let provider = Anthropic::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Creates a builder for Anthropic itself, Azure or Vertex AI.
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

    /// The base URL of the operations.
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

    /// Adds the beta features of the request to those of the provider.
    fn add_betas(&self, request: &ChatRequest, headers: &mut HeaderMap) {
        let needed = hosted::betas(request);
        if needed.is_empty() {
            return;
        }
        let set = headers.get(BETA).and_then(|value| value.to_str().ok());
        let set: Vec<&str> = set.into_iter().flat_map(|set| set.split(',')).collect();
        let missing = needed.iter().filter(|beta| !set.contains(beta));
        let all: Vec<&str> = set.iter().chain(missing).copied().collect();
        if let Ok(value) = HeaderValue::from_str(&all.join(",")) {
            headers.insert(BETA, value);
        }
    }

    fn models(&self, path: &str) -> Result<Request<Bytes>, Error> {
        if matches!(self.hosting, Hosting::Vertex(_)) {
            return Err(super::unsupported(self.name(), "list its models"));
        }
        self.core.get(path)
    }
}

impl ProviderBuilder<Anthropic> {
    /// Selects Claude on Azure, by the name of a resource; set a key or an Entra token.
    ///
    /// # Errors
    /// `invalid_request` if the resource's name cannot be part of a host name.
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

    /// Selects Claude on Google Cloud's Vertex AI, by a project and a location such as `us-east5` or `global`; set a
    /// token with [`auth`](ProviderBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location are invalid.
    pub fn vertex(mut self, project: &str, location: &str) -> Result<Self, Error> {
        self.options.hosting = Hosting::Vertex(Vertex::new(project, location)?);
        Ok(self)
    }

    /// Adds a beta feature to every request (`anthropic-beta`). A request's own header of that name replaces it.
    #[must_use]
    pub fn beta(mut self, name: impl Into<String>) -> Self {
        self.options.betas.push(name.into());
        self
    }

    /// Sets the token limit of requests without one, instead of [`Anthropic::DEFAULT_MAX_TOKENS`].
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
                    format!("`{}` is not a valid beta name", betas.escape_debug()),
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
        let body = request.mark_cached(CacheMarks::CacheControl, body)?;
        warnings.extend(altered);
        let uri = self.core.url(&self.chat_path(request)?)?;
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let mut encoded = self.core.post_chat(uri, body, framing, warnings);
        if media::has_stored_file(&request.messages) {
            batches::add_files_beta(encoded.request.headers_mut())?;
        }
        self.add_betas(request, encoded.request.headers_mut());
        Ok(encoded)
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        let limit = encode::chosen_limit(request, self.default_max_tokens);
        Box::new(decode::MessageDecoder::new(limit, &self.server))
    }

    fn next_turn(&self, request: &ChatRequest, turn: &UnifiedChatResponse) -> Option<ChatRequest> {
        turns::next_turn(request, turn)
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

    fn cache_rules(&self) -> CacheRules {
        CacheRules::ANTHROPIC
    }

    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        let (body, warnings) = prompt(self, request)?;
        let mut body = only(&body, &COUNTED)?;
        let path = match &self.hosting {
            Hosting::Own | Hosting::Azure(_) => "/messages/count_tokens".to_owned(),
            Hosting::Vertex(vertex) => {
                body.member("model", &request.model)?;
                vertex.model_path("anthropic", "count-tokens")? + ":rawPredict"
            }
        };
        let uri = self.core.url(&path)?;
        let post = self.core.post(uri, body.finish(), Framing::SingleBody);
        let api = ApiRequest::new(post, |_, body| decode_input_tokens(body));
        Ok(api.repeatable().with_warnings(warnings))
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        Some(Box::new(batches::Batches(self)))
    }
}
