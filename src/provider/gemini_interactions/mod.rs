//! Google's Interactions API, at Google's developer API and on Google Cloud's Vertex AI.
//!
//! An interaction is a list of steps. Text, function calls, and the calls and results of hosted tools become parts of one
//! message. Every other step (generated media) is a [`ContentPart::ProviderBlock`](crate::ContentPart::ProviderBlock) of
//! the provider `gemini-interactions`, and so is each reasoning step with its signature: added to the next request's
//! messages, they are sent back unchanged and in order.

mod decode;
mod encode;
mod encode_steps;
mod errors;
mod hosted;
mod open_step;
mod steps;
mod stored;
mod types;

use super::{
    Address, Auth, AuthStyle, BaseUrl, BuildProvider, ChatDecoder, EncodedRequest, Framing,
    IdFormat, ModelPage, Provider, ProviderBuilder, ProviderCore, ProviderDefaults, gemini,
    kit::{
        call_ids::{self, Links},
        id_format,
        vertex::{self, Vertex},
    },
};
use crate::{
    ChatRequest, Error, Model,
    cache::CacheRules,
    chat::Continuation,
    schema::{self, Dialects},
};
use bytes::Bytes;
use decode::{InteractionDecoder, Unfinished};
use http::{HeaderName, HeaderValue, Request, response};

/// The provider name of this API's provider blocks.
pub(crate) const BLOCK_PROVIDER: &str = "gemini-interactions";

/// The revision of the API's schema that this provider encodes and decodes: the one with steps. Source: Google's
/// guide to the change of May 2026, and the constant of Google's SDKs.
const API_REVISION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("api-revision"),
    HeaderValue::from_static("2026-05-20"),
);

/// A server with Google's Interactions API.
///
/// Parameters without a field in [`ChatRequest`] go into [`extra`](ChatRequest::extra): `previous_interaction_id`,
/// `background`, `agent` (in place of the model, which is then not sent), `agent_config`, `environment`,
/// `safety_settings`, `webhook_config`, and fields of `generation_config`.
#[derive(Clone, Debug)]
pub struct GeminiInteractions {
    core: ProviderCore,
    /// The path of the interactions, from the base URL on.
    path: String,
    hosting: Hosting,
}

/// The hosting of the models, as far as it changes the request.
#[derive(Clone, Debug, Default)]
enum Hosting {
    #[default]
    Own,
    Vertex(Vertex),
}

/// The options that only this provider's builder has.
#[derive(Clone, Debug, Default)]
pub struct GeminiInteractionsOptions {
    hosting: Hosting,
    omits_revision: bool,
}

impl GeminiInteractions {
    /// Creates a provider for Google's developer API, with a key.
    ///
    /// ```
    /// # use unifiedai::provider::GeminiInteractions;
    /// let provider = GeminiInteractions::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Creates a builder for Google's developer API or Vertex AI.
    ///
    /// ```
    /// # use unifiedai::{Secret, provider::{Auth, GeminiInteractions}};
    /// let token = Auth::Bearer(Secret::new("my-token")?.into());
    /// let provider = GeminiInteractions::builder()
    ///     .vertex("my-project", "global")?
    ///     .auth(token)
    ///     .build()?;
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

    fn models(
        &self,
        request: impl FnOnce() -> Result<String, Error>,
    ) -> Result<Request<Bytes>, Error> {
        if !matches!(self.hosting, Hosting::Own) {
            return Err(super::unsupported(self.name(), "list its models"));
        }
        self.core.get(&request()?)
    }
}

impl ProviderBuilder<GeminiInteractions> {
    /// Selects the API on Google Cloud's Vertex AI, by a project and a location such as `us-central1` or `global`;
    /// set a token with [`auth`](ProviderBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location are invalid.
    pub fn vertex(mut self, project: &str, location: &str) -> Result<Self, Error> {
        self.options.hosting = Hosting::Vertex(Vertex::new(project, location)?);
        Ok(self)
    }

    /// Sends no header `api-revision`, so that Google's default revision of the schema applies. A program in a
    /// browser needs this: Google's server does not allow the header in requests of other origins.
    #[must_use]
    pub fn without_api_revision(mut self) -> Self {
        self.options.omits_revision = true;
        self
    }
}

impl BuildProvider for GeminiInteractions {
    type Options = GeminiInteractionsOptions;

    fn defaults(options: &GeminiInteractionsOptions) -> ProviderDefaults {
        let mut defaults = match options.hosting {
            Hosting::Own => ProviderDefaults::new(
                BLOCK_PROVIDER,
                "https://generativelanguage.googleapis.com/v1beta",
                "GEMINI_API_KEY",
            ),
            Hosting::Vertex(_) => vertex::defaults("vertex-interactions"),
        };
        defaults.auth_style = AuthStyle::Header("x-goog-api-key");
        defaults
    }

    fn address(options: &GeminiInteractionsOptions, given: Option<&str>) -> Result<Address, Error> {
        Ok(match (given, &options.hosting) {
            (Some(url), Hosting::Own) => Address::Other(BaseUrl::with_version(url, "v1beta")),
            (Some(url), Hosting::Vertex(_)) => {
                Address::Other(BaseUrl::with_version(url, VERTEX_VERSION))
            }
            (None, Hosting::Own) => Address::Own(Self::defaults(options).base_url.to_owned()),
            (None, Hosting::Vertex(vertex)) => Address::Own(vertex.base_url_of(VERTEX_VERSION)),
        })
    }

    fn from_core(
        mut core: ProviderCore,
        options: GeminiInteractionsOptions,
    ) -> Result<Self, Error> {
        let is_own = matches!(options.hosting, Hosting::Own);
        if is_own && !options.omits_revision {
            let (name, value) = API_REVISION;
            core.add_default_header(name, value);
        }
        let path = match &options.hosting {
            Hosting::Own => "/interactions".to_owned(),
            Hosting::Vertex(vertex) => vertex.resources() + "/interactions",
        };
        // A base URL that cannot have the path is an error of the builder.
        core.url(&path)?;
        Ok(GeminiInteractions {
            core,
            path,
            hosting: options.hosting,
        })
    }
}

/// The version of the API on Vertex AI. Source: Google's SDKs.
const VERTEX_VERSION: &str = "v1beta1";

impl Provider for GeminiInteractions {
    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        id_format::check(self.name(), &request.tools, gemini::TOOL_NAME)?;
        let is_continued = |(name, _): &(String, _)| name == "previous_interaction_id";
        let links = Links {
            has_earlier_calls: request.extra.iter().any(is_continued),
            ..Links::new(IdFormat::ANY)
        };
        let links = links.with_results(self.name(), true);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::GEMINI)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self, request)?;
        warnings.extend(altered);
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let uri = self.core.url(&self.path)?;
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    fn cache_rules(&self) -> CacheRules {
        CacheRules::INTERACTIONS
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        let is_set = |(name, value): &(String, crate::Json)| {
            name == "background" && value.as_str() == "true"
        };
        let unfinished = match request.background {
            Some(true) => Unfinished::Resumable,
            _ if request.extra.iter().any(is_set) => Unfinished::Response,
            _ => Unfinished::Truncated,
        };
        Box::new(InteractionDecoder::new(unfinished))
    }

    fn encode_resume(
        &self,
        continuation: &Continuation,
        stream: bool,
    ) -> Result<EncodedRequest, Error> {
        stored::resume(self, continuation, stream)
    }

    fn encode_cancel(&self, continuation: &Continuation) -> Result<EncodedRequest, Error> {
        stored::cancel(self, continuation)
    }

    fn encode_delete(&self, continuation: &Continuation) -> Result<Request<Bytes>, Error> {
        stored::delete(self, continuation)
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        gemini::error_from_http(head, body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.models(|| Ok(gemini::models_path(page)))
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        gemini::decode_models(self.name(), body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.models(|| gemini::own_path(id))
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        gemini::decode_model(self.name(), body)
    }
}
