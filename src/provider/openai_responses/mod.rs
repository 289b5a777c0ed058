//! OpenAI's Responses API, as OpenAI and others serve it.
//!
//! An answer is a list of items. Text, refusals, reasoning and function calls become parts of one message; every other item
//! (tools that the provider runs, compactions) is an opaque part, and so is each reasoning item as a whole: pushed back into
//! the next request's messages, they go to the provider as they came and in their order.

mod arguments;
mod calls;
mod decode;
mod encode;
mod encode_items;
mod items;
mod output_items;
mod parts;
mod profile;
mod streamed;
mod texts;
mod types;
mod unclosed;
mod unknown;
mod usage;

use super::{
    Address, Auth, BaseUrl, BatchApi, BuildProvider, ChatDecoder, EncodedRequest, Framing,
    ModelPage, Provider, ProviderBuilder, ProviderCore, ProviderDefaults,
    batch_api::openai::{Endpoint, OpenAiBatches},
    kit::{
        builder,
        call_ids::{self, Links},
        id_format, model,
    },
    openai_chat::models,
};
use crate::{ChatRequest, Error, ErrorKind, Model, codec::percent::encode_segment, schema};
use bytes::Bytes;
use http::{Request, Uri};

pub use profile::ResponsesProfile;

/// A server that speaks the Responses API.
///
/// What a [`ChatRequest`] has no field for goes into [`extra`](ChatRequest::extra): `previous_response_id`,
/// `include` (`["reasoning.encrypted_content"]` is asked for by itself with `store(false)` if the request shows that the
/// model reasons),
/// `reasoning` with a `summary`, `truncation`, `max_tool_calls`.
#[derive(Clone, Debug)]
pub struct OpenAiResponses {
    profile: ResponsesProfile,
    core: ProviderCore,
    responses: Uri,
}

/// The options that only the builder of the Responses API has.
#[derive(Clone, Debug)]
pub struct OpenAiResponsesOptions {
    profile: ResponsesProfile,
    url_params: Vec<(String, String)>,
}

impl Default for OpenAiResponsesOptions {
    fn default() -> Self {
        OpenAiResponsesOptions {
            profile: ResponsesProfile::OPENAI,
            url_params: Vec::new(),
        }
    }
}

impl OpenAiResponses {
    /// OpenAI with a key. Every other server that has a profile has a constructor of its own, such as [`xai`](Self::xai).
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiResponses;
    /// let provider = OpenAiResponses::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// OpenAI, or the server of another [`profile`](ProviderBuilder::profile), with options.
    ///
    /// ```
    /// use unifiedai::provider::{OpenAiResponses, openai_responses::ResponsesProfile};
    /// let xai = OpenAiResponses::builder()
    ///     .profile(ResponsesProfile::XAI)
    ///     .api_key("my-key")?
    ///     .build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// Any server at `base_url` that speaks the Responses API. A key is optional.
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiResponses;
    /// let provider = OpenAiResponses::custom("https://models.example.com/v1").build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn custom(base_url: impl Into<String>) -> ProviderBuilder<Self> {
        Self::builder()
            .profile(ResponsesProfile::BASE)
            .base_url(base_url)
    }

    /// What this server does differently.
    #[must_use]
    pub fn profile(&self) -> &ResponsesProfile {
        &self.profile
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }
}

impl ProviderBuilder<OpenAiResponses> {
    /// The server, as one of the profiles of [`ResponsesProfile`] or of the program's own.
    #[must_use]
    pub fn profile(mut self, profile: ResponsesProfile) -> Self {
        self.options.profile = profile;
        self
    }

    /// What the address leaves open, such as a `resource`. Letters, digits, `.`, `_` and `-`. The names in braces of a
    /// [`base_url`](ProviderBuilder::base_url) are replaced, too.
    #[must_use]
    pub fn url_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.url_params.push((name.into(), value.into()));
        self
    }
}

impl BuildProvider for OpenAiResponses {
    type Options = OpenAiResponsesOptions;

    fn defaults(options: &OpenAiResponsesOptions) -> ProviderDefaults {
        let profile = &options.profile;
        let mut defaults = ProviderDefaults::new(profile.name, profile.base_url, profile.key_env);
        defaults.key_optional = profile.key_optional;
        defaults.auth_style = profile.auth;
        defaults
    }

    fn address(options: &OpenAiResponsesOptions, given: Option<&str>) -> Result<Address, Error> {
        builder::address(&Self::defaults(options), &options.url_params, given)
    }

    fn from_core(core: ProviderCore, options: OpenAiResponsesOptions) -> Result<Self, Error> {
        Ok(OpenAiResponses {
            responses: core.url("/responses")?,
            core,
            profile: options.profile,
        })
    }
}

impl Provider for OpenAiResponses {
    fn owns_model(&self, model: &str) -> bool {
        let vendors = model::vendors_at(self.base_url(), self.profile.vendors);
        model::has_vendor_prefix(model, vendors)
    }

    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        id_format::check(self.name(), &request.tools, self.profile.tool_name)?;
        // With one of these the server has earlier turns.
        let continues = |(name, _): &(String, _)| {
            ["previous_response_id", "conversation"].contains(&name.as_str())
        };
        let has_earlier_calls = request.extra.iter().any(continues);
        let links = Links {
            has_earlier_calls,
            ..Links::new(self.profile.call_id)
        };
        let links = links.with_results(self.name(), self.profile.results_wanted);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, self.name(), self.profile.schemas)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(&self.profile, self.name(), request)?;
        warnings.extend(altered);
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let uri = self.responses.clone();
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::ResponsesDecoder::new(self.name()))
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.core.get("/models")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let path: Option<Vec<String>> = id.split('/').map(encode_segment).collect();
        let path = path.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        self.core.get(&["/models/", &path.join("/")].concat())
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        Some(Box::new(OpenAiBatches {
            profile: self.profile.batches?,
            provider: self,
            core: &self.core,
            endpoint: Endpoint::Responses,
        }))
    }
}

/// A decoder for responses that answer requests of another wire.
pub(super) fn answer_decoder(name: &str) -> Box<dyn ChatDecoder> {
    Box::new(decode::ResponsesDecoder::new(name))
}
