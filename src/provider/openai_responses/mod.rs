//! OpenAI's Responses API, as OpenAI and others serve it.
//!
//! An answer is a list of items. Text, refusals, reasoning and function calls become parts of one message; every other item
//! (tools that the provider runs, compactions) is an opaque part, and so is each reasoning item as a whole: pushed back into
//! the next request's messages, they go to the provider as they came and in their order.

mod decode;
mod encode;
mod encode_items;
mod items;
mod output_items;
mod parts;
mod texts;

use super::{
    Address, Auth, BaseUrl, BatchApi, BuildProvider, ChatDecoder, EncodedRequest, Framing,
    MediaLimit, ModelPage, Provider, ProviderBuilder, ProviderCore, ProviderDefaults,
    batch_api::openai::{Endpoint, OpenAiBatches},
    kit::{
        builder::{self, profile_table},
        call_ids::{self, Links},
        id_format, media, model,
    },
    openai_chat::models,
};
use crate::{
    ChatRequest, Error, ErrorKind, Model,
    codec::percent::encode_segment,
    provider::{AuthStyle, BatchProfile, IdFormat},
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{Request, Uri};

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

// What differs between the servers that speak OpenAI's Responses API, as data.

/// One server's dialect. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponsesProfile {
    /// A short name, such as `openai-responses`.
    pub name: &'static str,
    /// Where it is, version path included; empty for servers without a fixed place. A name in braces stands for what differs
    /// between accounts and is given with [`url_param`](crate::provider::ProviderBuilder::url_param).
    pub base_url: &'static str,
    /// The environment variable with the key.
    pub key_env: &'static str,
    /// Where the key goes.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The form of a tool call's id. Another provider's id that it refuses is replaced, in the call and in its result.
    pub call_id: IdFormat,
    /// Whether it refuses a history in which a tool call has no result.
    pub results_wanted: bool,
    /// The form of a function's name.
    pub tool_name: IdFormat,
    /// Makers whose names begin its own names of models, before a dot; see [`Provider::owns_model`].
    ///
    /// [`Provider::owns_model`]: crate::provider::Provider::owns_model
    pub vendors: &'static [&'static str],
    /// Its name for who the end user is.
    pub user_id_name: &'static str,
    /// How large pictures, sound and documents may be.
    pub media_limits: &'static [MediaLimit],
    /// Whether it keeps responses, so that `store` and `metadata` mean something.
    pub stores: bool,
    /// Whether `include` can ask it for `reasoning.encrypted_content`, with which reasoning goes on where nothing is stored.
    pub encrypts_reasoning: bool,
    /// Which part of JSON Schema it takes, in answers and in tools.
    pub schemas: Dialects,
    /// Its batches; `None` if it has none.
    pub batches: Option<&'static BatchProfile>,
}

impl ResponsesProfile {
    /// What all profiles start from.
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
        encrypts_reasoning: false,
        schemas: Dialects::ANY,
        batches: None,
    };

    /// OpenAI.
    pub const OPENAI: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENAI),
        name: "openai-responses",
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
        ..ResponsesProfile::BASE
    };

    /// OpenRouter, which keeps nothing.
    pub const OPENROUTER: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENROUTER),
        name: "openrouter-responses",
        base_url: "https://openrouter.ai/api/v1",
        key_env: "OPENROUTER_API_KEY",
        stores: false,
        encrypts_reasoning: true,
        ..ResponsesProfile::BASE
    };

    /// DeepSeek.
    pub const DEEPSEEK: ResponsesProfile = ResponsesProfile {
        name: "deepseek-responses",
        base_url: "https://api.deepseek.com",
        key_env: "DEEPSEEK_API_KEY",
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
        ..ResponsesProfile::BASE
    };

    /// LM Studio on this machine.
    pub const LM_STUDIO: ResponsesProfile = ResponsesProfile {
        name: "lmstudio-responses",
        schemas: Dialects::LLAMA_CPP,
        base_url: "http://localhost:1234/v1",
        key_env: "LM_API_TOKEN",
        key_optional: true,
        ..ResponsesProfile::BASE
    };

    /// All of them, but for [`ResponsesProfile::BASE`].
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
