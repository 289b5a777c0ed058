//! OpenAI's Responses API, as served by OpenAI and others.
//!
//! A response is a list of items. Text, refusals, reasoning, calls and compactions become parts of one message; an item of a
//! hosted tool is a call, followed by its result if the item has it. Every other item is a provider block, and so is each
//! complete reasoning item. Added to the next request's messages, all are sent back unchanged and in order.

mod decode;
mod encode;
mod encode_items;
mod hosted;
mod items;
mod kept;
mod output_items;
mod parts;
pub(in crate::provider) mod small_calls;
mod texts;
mod types;

use super::{
    Address, ApiRequest, Auth, BaseUrl, BatchApi, BuildProvider, ChatDecoder, EncodedRequest,
    Framing, MediaLimit, ModelPage, Provider, ProviderBuilder, ProviderCore, ProviderDefaults,
    batch_api::openai::{Endpoint, OpenAiBatches},
    kit::{
        builder::{self, profile_table},
        call_ids::{self, Links},
        id_format, media, model,
    },
    openai_chat::models,
};
use crate::{
    ChatRequest, Error, Model,
    cache::{CacheMarks, CacheRules},
    chat::{CompactedConversation, Continuation},
    provider::{AuthStyle, BatchProfile, HostedToolMapping, IdFormat, TokenCounter},
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{Request, Uri};

/// A server with the Responses API.
///
/// Parameters without a field in [`ChatRequest`] go into [`extra`](ChatRequest::extra): `previous_response_id`,
/// `include` (`["reasoning.encrypted_content"]` is added automatically with `store(false)` if the request shows that
/// the model reasons), `reasoning` with a `summary`, `truncation`, `max_tool_calls`.
#[derive(Clone, Debug)]
pub struct OpenAiResponses {
    profile: ResponsesProfile,
    core: ProviderCore,
    responses: Uri,
}

/// The options that only this provider's builder has.
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
    /// Creates a provider for OpenAI, with a key. Every other server with a profile has its own constructor, such as
    /// [`xai`](Self::xai).
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiResponses;
    /// let provider = OpenAiResponses::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Creates a builder for OpenAI, or for the server of another [`profile`](ProviderBuilder::profile).
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

    /// Creates a builder for any server with the Responses API at `base_url`. A key is optional.
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

    /// The differences of this server.
    #[must_use]
    pub fn profile(&self) -> &ResponsesProfile {
        &self.profile
    }

    /// The base URL of the operations.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }
}

impl ProviderBuilder<OpenAiResponses> {
    /// Sets the server: a profile of [`ResponsesProfile`] or the program's own.
    #[must_use]
    pub fn profile(mut self, profile: ResponsesProfile) -> Self {
        self.options.profile = profile;
        self
    }

    /// Sets a parameter of the URL, such as a `resource`. Letters, digits, `.`, `_` and `-`. Parameters in braces in
    /// a [`base_url`](ProviderBuilder::base_url) are replaced too.
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
        media::check(self.name(), &request.messages, self.profile.media_limits)?;
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
        let body = request.mark_cached(CacheMarks::Key, body)?;
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

    fn encode_resume(
        &self,
        continuation: &Continuation,
        stream: bool,
    ) -> Result<EncodedRequest, Error> {
        kept::resume(self, continuation, stream)
    }

    fn encode_cancel(&self, continuation: &Continuation) -> Result<EncodedRequest, Error> {
        kept::cancel(self, continuation)
    }

    fn encode_delete(&self, continuation: &Continuation) -> Result<Request<Bytes>, Error> {
        kept::delete(self, continuation)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.core.get("/models")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.core.get(&models::path(id)?)
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }

    fn cache_rules(&self) -> CacheRules {
        CacheRules::RESPONSES
    }

    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        small_calls::count_tokens(self, request)
    }

    fn compact(&self, request: &ChatRequest) -> Result<ApiRequest<CompactedConversation>, Error> {
        small_calls::compact(self, request)
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

/// A decoder for the response in a line of a batch's results.
pub(super) fn answer_decoder(name: &str) -> Box<dyn ChatDecoder> {
    Box::new(decode::ResponsesDecoder::new(name))
}

// The differences between servers with OpenAI's Responses API.

/// One server's dialect. A new server needs a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponsesProfile {
    /// A short name, such as `openai-responses`.
    pub name: &'static str,
    /// The base URL, including the version; empty for servers without a fixed one. A name in braces is a parameter
    /// that differs between accounts and is set with [`url_param`](crate::provider::ProviderBuilder::url_param).
    pub base_url: &'static str,
    /// The environment variable of the key.
    pub key_env: &'static str,
    /// How the key is sent.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The form of a tool-call id. Ids of other providers that do not fit are replaced, in the call and in its
    /// result.
    pub call_id: IdFormat,
    /// Whether it refuses a history with a call that has no result.
    pub results_wanted: bool,
    /// The form of a function name.
    pub tool_name: IdFormat,
    /// Vendors whose names begin the server's own model names, before a dot; see [`Provider::owns_model`].
    ///
    /// [`Provider::owns_model`]: crate::provider::Provider::owns_model
    pub vendors: &'static [&'static str],
    /// Its name for the identifier of the end user.
    pub user_id_name: &'static str,
    /// Maximum sizes of images, audio and documents.
    pub media_limits: &'static [MediaLimit],
    /// Whether it stores responses, so that `store` and `metadata` have an effect.
    pub stores: bool,
    /// Whether it generates responses in the background and keeps them, so that a call can go on after its connection was lost.
    pub background: bool,
    /// Whether `include` can request `reasoning.encrypted_content`, with which reasoning can continue without stored
    /// responses.
    pub encrypts_reasoning: bool,
    /// The supported part of JSON Schema, in responses and in tools.
    pub schemas: Dialects,
    /// How it counts the tokens of a request.
    pub token_counter: TokenCounter,
    /// Whether it makes conversations shorter: `/responses/compact`, and `context_management` in a chat.
    pub compacts: bool,
    /// Its batches; `None` if it has none.
    pub batches: Option<&'static BatchProfile>,
    /// The tools that it runs itself.
    pub hosted_tools: &'static [HostedToolMapping],
}

impl ResponsesProfile {
    /// The base of all profiles.
    pub const BASE: ResponsesProfile = ResponsesProfile {
        name: "responses",
        base_url: "",
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        call_id: IdFormat::new(1, 64),
        results_wanted: false,
        tool_name: IdFormat::ANY,
        vendors: &[],
        user_id_name: "user",
        media_limits: &[],
        stores: true,
        background: false,
        encrypts_reasoning: false,
        schemas: Dialects::ANY,
        // A server that is not known says itself what it lacks.
        token_counter: TokenCounter::ResponsesInputTokens,
        compacts: true,
        batches: None,
        // An unknown server may have any of OpenAI's.
        hosted_tools: hosted::OPENAI_TOOLS,
    };

    /// OpenAI.
    pub const OPENAI: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENAI),
        name: "openai-responses",
        background: true,
        results_wanted: true,
        base_url: "https://api.openai.com/v1",
        tool_name: IdFormat::new(1, 64).only("_-"),
        user_id_name: "safety_identifier",
        encrypts_reasoning: true,
        schemas: Dialects::OPENAI,
        ..ResponsesProfile::BASE
    };

    /// Azure OpenAI, version `v1`, where `model` names the deployment.
    pub const AZURE: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENAI),
        name: "azure-responses",
        background: true,
        base_url: "https://{resource}.openai.azure.com/openai/v1",
        results_wanted: true,
        key_env: "AZURE_OPENAI_API_KEY",
        auth: AuthStyle::Header("api-key"),
        call_id: IdFormat::new(1, 40),
        encrypts_reasoning: true,
        tool_name: IdFormat::new(1, 64).only("_-"),
        schemas: Dialects::OPENAI,
        ..ResponsesProfile::BASE
    };

    /// xAI.
    pub const XAI: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::XAI),
        name: "xai-responses",
        base_url: "https://api.x.ai/v1",
        key_env: "XAI_API_KEY",
        encrypts_reasoning: true,
        schemas: Dialects::XAI,
        token_counter: TokenCounter::XaiTokenizeText,
        hosted_tools: hosted::XAI_TOOLS,
        compacts: false,
        ..ResponsesProfile::BASE
    };

    /// OpenRouter, which stores nothing.
    pub const OPENROUTER: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENROUTER),
        name: "openrouter-responses",
        base_url: "https://openrouter.ai/api/v1",
        key_env: "OPENROUTER_API_KEY",
        stores: false,
        encrypts_reasoning: true,
        token_counter: TokenCounter::None,
        hosted_tools: &[],
        compacts: false,
        ..ResponsesProfile::BASE
    };

    /// DeepSeek.
    pub const DEEPSEEK: ResponsesProfile = ResponsesProfile {
        name: "deepseek-responses",
        base_url: "https://api.deepseek.com",
        key_env: "DEEPSEEK_API_KEY",
        token_counter: TokenCounter::None,
        hosted_tools: &[],
        compacts: false,
        ..ResponsesProfile::BASE
    };

    /// OpenAI's models on Amazon Bedrock, with a Bedrock API key; the base URL names the region.
    pub const BEDROCK: ResponsesProfile = ResponsesProfile {
        name: "bedrock-responses",
        base_url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1",
        key_env: "AWS_BEARER_TOKEN_BEDROCK",
        encrypts_reasoning: true,
        vendors: crate::provider::kit::model::BEDROCK_VENDORS,
        schemas: Dialects::OPENAI_LIKE,
        token_counter: TokenCounter::None,
        hosted_tools: &[],
        compacts: false,
        ..ResponsesProfile::BASE
    };

    /// LM Studio on this machine.
    pub const LM_STUDIO: ResponsesProfile = ResponsesProfile {
        name: "lmstudio-responses",
        schemas: Dialects::LLAMA_CPP,
        base_url: "http://localhost:1234/v1",
        key_env: "LM_API_TOKEN",
        key_optional: true,
        token_counter: TokenCounter::None,
        hosted_tools: &[],
        compacts: false,
        ..ResponsesProfile::BASE
    };

    /// All profiles except [`ResponsesProfile::BASE`].
    pub const ALL: &'static [ResponsesProfile] = TABLE;
}

profile_table! {
    OpenAiResponses, ResponsesProfile, "openai_responses::";
    openai(key) = ResponsesProfile::OPENAI;
    azure(resource, key) = ResponsesProfile::AZURE;
    xai(key) = ResponsesProfile::XAI;
    openrouter(key) = ResponsesProfile::OPENROUTER;
    deepseek(key) = ResponsesProfile::DEEPSEEK;
    bedrock(key) = ResponsesProfile::BEDROCK;
    lm_studio() = ResponsesProfile::LM_STUDIO;
}
