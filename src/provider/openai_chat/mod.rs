//! OpenAI's chat completions API, in the dialects of many servers.
//!
//! [`OpenAiChat`] is the API, a [`ChatProfile`] has the differences of one server. Decoding is the same for all: it
//! accepts every known variant, whatever the profile.

mod decode;
mod encode;
mod hosted;
mod kept_fields;
mod message;
pub(super) mod models;
pub mod profiles;
mod read_message;
mod types;

use super::{
    Address, ApiRequest, Auth, BaseUrl, BatchApi, BatchDialect, BuildProvider, ChatDecoder,
    DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing, MediaLimit, ModelPage,
    Provider, ProviderBuilder, ProviderCore, ProviderDefaults,
    batch_api::{
        fireworks::FireworksBatches,
        openai::{Endpoint, OpenAiBatches},
    },
    kit::{
        builder,
        call_ids::{self, Links},
        errors, id_format, media, model, token_count,
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model,
    cache::CacheMarks,
    chat::Param,
    embed::EmbedEncoding,
    error::ErrorBody,
    provider::{
        AuthStyle, BatchProfile, HostedToolMapping, IdFormat, TokenCounter,
        openai_responses::small_calls::count_chat_tokens,
    },
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response};

pub use profiles::CEREBRAS;

/// A server with OpenAI's chat API.
#[derive(Clone, Debug)]
pub struct OpenAiChat {
    profile: ChatProfile,
    core: ProviderCore,
    chat: Uri,
    /// The account, for batches that belong to one.
    account: Option<String>,
}

/// The options that only this provider's builder has.
#[derive(Clone, Debug)]
pub struct OpenAiChatOptions {
    profile: ChatProfile,
    url_params: Vec<(String, String)>,
}

impl Default for OpenAiChatOptions {
    fn default() -> Self {
        OpenAiChatOptions {
            profile: profiles::OPENAI,
            url_params: Vec::new(),
        }
    }
}

impl OpenAiChat {
    /// Creates a provider for OpenAI, with a key. Every other server with a profile has its own constructor:
    /// [`groq`](Self::groq), [`azure`](Self::azure), [`vllm`](Self::vllm).
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiChat;
    /// let provider = OpenAiChat::new("my-key")?;
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
    /// use unifiedai::provider::{OpenAiChat, openai_chat::profiles};
    /// let openai = OpenAiChat::builder().api_key("sk-...")?.header("openai-project", "search")?.build()?;
    /// let databricks = OpenAiChat::builder()
    ///     .profile(profiles::DATABRICKS)
    ///     .url_param("workspace", "adb-1.2.azuredatabricks.net")
    ///     .api_key("dapi...")?
    ///     .build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// Creates a builder for any server at `base_url`. It supports the parameters that every server has
    /// ([`ChatProfile::COMMON`]); the others are refused, because it is unknown whether the server has them. For a server
    /// that has more, name the profile of a similar one, or send a single field with
    /// [`extra`](crate::ChatRequest::extra). A key is optional.
    ///
    /// ```
    /// use unifiedai::provider::{OpenAiChat, openai_chat::profiles};
    /// // Also `response_format`, `seed`, `n`, `parallel_tool_calls`, `reasoning_effort` and more.
    /// let url = "https://models.example.com/v1";
    /// let provider = OpenAiChat::builder().profile(profiles::VLLM).base_url(url).build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiChat;
    /// let provider = OpenAiChat::custom("https://models.example.com/v1").api_key("my-key")?.build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn custom(base_url: impl Into<String>) -> ProviderBuilder<Self> {
        let profile = ChatProfile {
            key_optional: true,
            free_names: true,
            unsupported_hint: "if the server supports it, name the profile of a similar server, \
                such as `OpenAiChat::builder().profile(profiles::VLLM).base_url(url)`",
            ..ChatProfile::BASE
        };
        Self::builder().profile(profile).base_url(base_url)
    }

    /// The differences of this server.
    #[must_use]
    pub fn profile(&self) -> &ChatProfile {
        &self.profile
    }

    /// The base URL.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }
}

impl ProviderBuilder<OpenAiChat> {
    /// Sets the server: a profile of [`profiles`] or the program's own.
    #[must_use]
    pub fn profile(mut self, profile: ChatProfile) -> Self {
        self.options.profile = profile;
        self
    }

    /// Sets a parameter of the URL: an account, a resource, a region. Letters, digits, `.`, `_` and `-`. Parameters
    /// in braces in a [`base_url`](ProviderBuilder::base_url) are replaced too.
    #[must_use]
    pub fn url_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.url_params.push((name.into(), value.into()));
        self
    }
}

impl BuildProvider for OpenAiChat {
    type Options = OpenAiChatOptions;

    fn defaults(options: &OpenAiChatOptions) -> ProviderDefaults {
        let profile = &options.profile;
        let mut defaults = ProviderDefaults::new(profile.name, profile.base_url, profile.key_env);
        defaults.key_optional = profile.key_optional;
        defaults.auth_style = profile.auth;
        defaults.query = profile.query;
        defaults
    }

    fn address(options: &OpenAiChatOptions, given: Option<&str>) -> Result<Address, Error> {
        builder::address(&Self::defaults(options), &options.url_params, given)
    }

    fn from_core(core: ProviderCore, options: OpenAiChatOptions) -> Result<Self, Error> {
        Ok(OpenAiChat {
            chat: core.url("/chat/completions")?,
            account: options
                .url_params
                .into_iter()
                .find_map(|(name, value)| (name == "account").then_some(value)),
            core,
            profile: options.profile,
        })
    }
}

impl Provider for OpenAiChat {
    fn owns_model(&self, model: &str) -> bool {
        let vendors = model::vendors_at(self.base_url(), self.profile.vendors);
        model::has_vendor_prefix(model, vendors)
    }

    fn names_freely(&self) -> bool {
        self.profile.free_names
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
        let links = Links::new(self.profile.call_id);
        let links = links.with_results(self.name(), self.profile.results_wanted);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, self.name(), self.profile.schemas)?;
        let request = &*request;
        let (mut body, mut warnings) = encode::body(&self.profile, self.name(), request)?;
        if self.profile.supports_any_value(Param::PromptCacheKey) {
            body = request.mark_cached(CacheMarks::Key, body)?;
        }
        warnings.extend(altered);
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let uri = self.chat.clone();
        let mut encoded = self.core.post_chat(uri, body, framing, warnings);
        if request.stream && self.profile.closes_after_stream {
            let headers = encoded.request.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(encoded)
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::OpenAiChatDecoder::new(
            self.core.shared_name(),
            self.profile.end_marker,
            request.include_usage.unwrap_or(true),
            expects_one_choice(request),
            self.profile.reasoning_apart,
        ))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        let error = errors::from_http(head, body);
        self.recognise_overflow(error, body)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let body = models::embed_body(self.name(), self.profile.base64_vectors, request, first)?;
        let mut encoded = self.core.post_embed(self.core.url("/embeddings")?, body);
        encoded.is_base64 = match &request.encoding {
            Some(encoding) => *encoding == EmbedEncoding::Base64,
            None => self.profile.base64_vectors,
        };
        Ok(encoded)
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        models::decode_embed(body)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        if !self.profile.models {
            return Err(super::unsupported(self.name(), "list its models"));
        }
        self.core.get("/models")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body)
    }

    fn encode_check(&self) -> Result<Request<Bytes>, Error> {
        match self.profile.check_path {
            "/models" => self.encode_models(None),
            other => self.core.get(other),
        }
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        if !self.profile.models {
            return Err(super::unsupported(self.name(), "describe one model"));
        }
        self.core.get(&models::path(id)?)
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }

    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        let counter = self.profile.token_counter;
        match counter {
            TokenCounter::None => Err(token_count::unsupported(self.name())),
            TokenCounter::ResponsesInputTokens => count_chat_tokens(&self.core, request),
            _ => {
                let (body, warnings) = token_count::prompt(self, request)?;
                token_count::of_openai_chat(&self.core, counter, request, &body, warnings)
            }
        }
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        let profile = self.profile.batches?;
        Some(match profile.dialect {
            BatchDialect::Fireworks => Box::new(FireworksBatches {
                limits: profile.limits,
                provider: self,
                core: &self.core,
                account: self.account.as_deref(),
            }),
            _ => Box::new(OpenAiBatches {
                profile,
                provider: self,
                core: &self.core,
                endpoint: Endpoint::Chat,
            }),
        })
    }
}

/// A decoder for the chat in a line of a batch's results.
pub(super) fn answer_decoder(name: &str, reasoning_apart: bool) -> Box<dyn ChatDecoder> {
    let end_marker = ChatProfile::BASE.end_marker;
    let name = std::borrow::Cow::Owned(name.to_owned());
    Box::new(decode::OpenAiChatDecoder::new(
        name,
        end_marker,
        true,
        true,
        reasoning_apart,
    ))
}

impl OpenAiChat {
    /// Some servers report a context overflow only by a fixed sentence.
    fn recognise_overflow(&self, error: Error, body: &Bytes) -> Error {
        let is_open = matches!(
            error.kind(),
            ErrorKind::BadRequest | ErrorKind::UnprocessableEntity
        );
        if !is_open || self.profile.context_overflow.is_empty() {
            return error;
        }
        let message = ErrorBody::parse(body)
            .and_then(|body| body.message)
            .unwrap_or_default();
        if self
            .profile
            .context_overflow
            .iter()
            .any(|sentence| message.starts_with(sentence))
        {
            return error.with_kind(ErrorKind::ContextOverflow);
        }
        error
    }
}

/// Whether one choice is requested. A number in `extra` has precedence over the typed one, as in the request.
fn expects_one_choice(request: &ChatRequest) -> bool {
    let in_extra = request.extra.iter().rev().find(|(name, _)| name == "n");
    let count = match in_extra {
        Some((_, count)) => count.as_str().trim().parse().ok(),
        None => request.n.map(u64::from),
    };
    count.unwrap_or(1) <= 1
}

// The differences between servers with OpenAI's chat API.

/// One server's dialect of OpenAI's chat API. A new server needs a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChatProfile {
    /// A short name, such as `cerebras`; also the prefix in `cerebras.gpt-oss-120b`.
    pub name: &'static str,
    /// The base URL, including the version; empty for servers without a fixed one. A name in braces is a parameter
    /// that differs between accounts and is set with [`url_param`](crate::provider::ProviderBuilder::url_param).
    pub base_url: &'static str,
    /// The query of every URL.
    pub query: &'static [(&'static str, &'static str)],
    /// The environment variable of the key.
    pub key_env: &'static str,
    /// How the key is sent.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The supported parameters, in groups, under OpenAI's names unless `renamed` has another.
    pub params: &'static [&'static [Param]],
    /// Parameters with another name. A dot leads into an object: `reasoning.effort`.
    pub renamed: &'static [(Param, &'static str)],
    /// Parameter values with another form.
    pub renamed_values: &'static [ValueNaming],
    /// The end of an error about a parameter that is not supported: what else a program can do. Empty for nothing.
    pub unsupported_hint: &'static str,
    /// The additional fields that it accepts; `None` for any.
    pub extra: Option<&'static [&'static str]>,
    /// How a stream gets its usage.
    pub stream_usage: StreamUsage,
    /// Whether it counts reasoning only in the total, not in the completion and not always separately.
    pub reasoning_apart: bool,
    /// The supported forms of structured output.
    pub structured: StructuredOutput,
    /// The supported part of JSON Schema, in responses and in tools.
    pub schemas: Dialects,
    /// The form of a tool-call id. Ids of other providers that do not fit are replaced, in the call and in its
    /// result.
    pub call_id: IdFormat,
    /// Whether it refuses a history with a call that has no result.
    pub results_wanted: bool,
    /// Whether the id of a stored file is a member of its content part (`file_id`), and not of an object `file` in it.
    pub flat_file_ids: bool,
    /// The form of a function name.
    pub tool_name: IdFormat,
    /// How reasoning of earlier turns is sent back.
    pub reasoning: ReasoningReplay,
    /// How calls of other models are sent.
    pub foreign_calls: ForeignCalls,
    /// The reasoning of an assistant message with calls that has none. With reasoning enabled, the server refuses
    /// such a message without the field; `None` for servers that accept it.
    pub required_reasoning: Option<&'static str>,
    /// Prefixes of the models that accept content only as a single text, `""` with calls. An empty prefix means all
    /// models.
    pub text_only: &'static [&'static str],
    /// Whether user and assistant messages must alternate, after all system messages. Adjacent messages of one role
    /// are joined.
    pub alternating_roles: bool,
    /// Which messages may have images, audio and documents.
    pub media: MediaPlacement,
    /// Maximum sizes of images, audio and documents.
    pub media_limits: &'static [MediaLimit],
    /// Whether vectors are asked for in base64, unless the request says otherwise: for servers that are known to have
    /// `encoding_format`.
    pub base64_vectors: bool,
    /// Whether the role `developer` is supported; otherwise it becomes `system`.
    pub developer_role: bool,
    /// Whether a message may have a `name`.
    pub message_name: bool,
    /// Whether an assistant message may have a `refusal`; otherwise it becomes text.
    pub message_refusal: bool,
    /// Its value for "call at least one tool".
    pub tool_choice_required: &'static str,
    /// Whether every stream ends with `[DONE]`.
    pub end_marker: EndMarker,
    /// Whether it closes the connection after a stream although it announces keep-alive. Streams are then requested
    /// with `connection: close`, so that no later request is sent on a connection that is about to close.
    pub closes_after_stream: bool,
    /// Beginnings of messages that are the only sign of a context overflow.
    pub context_overflow: &'static [&'static str],
    /// Vendors whose names begin the server's own model names, before a dot (`openai.gpt-oss-120b`). A client's
    /// routing leaves such a name unchanged.
    pub vendors: &'static [&'static str],
    /// Whether its operator chooses the names of models, so that a name with a vendor's prefix (`anthropic.claude`)
    /// may be one of them. A client's routing refuses such a name as ambiguous.
    pub free_names: bool,
    /// How it counts the tokens of a request.
    pub token_counter: TokenCounter,
    /// The tools that it runs itself.
    pub hosted_tools: &'static [HostedToolMapping],
    /// Its batches; `None` if it has none.
    pub batches: Option<&'static BatchProfile>,
    /// Whether it lists its models, at `/models`.
    pub models: bool,
    /// The path of its cheapest request.
    pub check_path: &'static str,
}

/// A parameter value with another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueNaming {
    /// The parameter.
    pub param: Param,
    /// The value, as JSON.
    pub value: &'static str,
    /// The field that is sent instead. A dot leads into an object.
    pub name: &'static str,
    /// The value of that field, as JSON.
    pub api_value: &'static str,
}

impl ValueNaming {
    /// Encodes `value` of `param` as `name: wire`.
    #[must_use]
    pub const fn new(
        param: Param,
        value: &'static str,
        name: &'static str,
        wire: &'static str,
    ) -> Self {
        ValueNaming {
            param,
            value,
            name,
            api_value: wire,
        }
    }
}

/// How a stream gets its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamUsage {
    /// With `stream_options: {include_usage: true}`, which is sent unless the request disables it.
    Requested,
    /// With the same option, which is sent only if the request asks for usage, because some models of the server
    /// refuse it.
    OnRequest,
    /// Always; the option is not sent, because some servers refuse it.
    Always,
    /// Unknown; requesting it is refused.
    Unknown,
}

/// The supported forms of structured output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StructuredOutput {
    /// Any JSON object.
    Object,
    /// Also JSON that matches a schema.
    Schema,
}

/// How reasoning of earlier turns is sent back to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReasoningReplay {
    /// Not at all: the server refuses or ignores it.
    Never,
    /// In this field of the message.
    Field(&'static str),
    /// As `reasoning_details`, unchanged; without details, as `reasoning`.
    Details,
    /// As a part of type `thinking` in the content (Mistral).
    Thinking,
}

/// How calls of other models are sent to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignCalls {
    /// Unchanged.
    Plain,
    /// In the form of Gemini 3: the first call of a turn without signatures has a placeholder in
    /// `extra_content.google.thought_signature`. Earlier models, recognised by their names, get calls unchanged.
    /// Source: Google's guide to thought signatures.
    SignedForGemini,
}

/// Which messages may have images, audio and documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaPlacement {
    /// All messages, including those of tools and of the assistant.
    AnyMessage,
    /// Only user messages. Media of other messages are moved to a user message after them.
    UserMessages,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndMarker {
    /// With `[DONE]`, which alone ends it: text or an error may follow a finish reason.
    Required,
    /// With `[DONE]`. If it is missing after a finish reason, a warning says so.
    Always,
    /// Without `[DONE]`: it ends after a finish reason (Cerebras).
    Never,
    /// With or without `[DONE]`, depending on the model or upstream.
    Sometimes,
}

impl ChatProfile {
    /// The base of all profiles: OpenAI's names, and the parameters that every server supports.
    pub const BASE: ChatProfile = ChatProfile {
        name: "openai-compatible",
        base_url: "",
        query: &[],
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        params: &[Self::COMMON],
        renamed: &[],
        renamed_values: &[],
        unsupported_hint: "",
        extra: None,
        stream_usage: StreamUsage::Unknown,
        reasoning_apart: false,
        structured: StructuredOutput::Schema,
        schemas: Dialects::ANY,
        call_id: IdFormat::ANY,
        results_wanted: false,
        flat_file_ids: false,
        tool_name: IdFormat::ANY,
        reasoning: ReasoningReplay::Never,
        foreign_calls: ForeignCalls::Plain,
        required_reasoning: None,
        text_only: &[],
        alternating_roles: false,
        media: MediaPlacement::AnyMessage,
        media_limits: &[],
        base64_vectors: false,
        developer_role: false,
        message_name: true,
        message_refusal: false,
        tool_choice_required: "required",
        end_marker: EndMarker::Sometimes,
        closes_after_stream: false,
        context_overflow: &[],
        vendors: &[],
        free_names: false,
        token_counter: TokenCounter::None,
        hosted_tools: &[],
        batches: None,
        models: true,
        check_path: "/models",
    };

    /// The parameters that every server supports.
    pub const COMMON: &'static [Param] = &[
        Param::MaxTokens,
        Param::Temperature,
        Param::TopP,
        Param::Stop,
        Param::Tools,
        Param::ToolChoice,
    ];

    /// The form of a function name at OpenAI and its followers.
    pub const TOOL_NAME: IdFormat = IdFormat::new(1, 64).only("_-");

    /// OpenAI's penalties against repetition.
    pub const PENALTIES: &'static [Param] = &[Param::FrequencyPenalty, Param::PresencePenalty];

    /// Log probabilities.
    pub const LOGPROBS: &'static [Param] = &[Param::Logprobs, Param::TopLogprobs];

    /// The samplers of open models.
    pub const SAMPLERS: &'static [Param] = &[Param::TopK, Param::MinP, Param::RepetitionPenalty];

    /// OpenAI's parameters in addition to the common ones.
    pub const OPENAI: &'static [Param] = &[
        Param::LogitBias,
        Param::N,
        Param::Seed,
        Param::ParallelToolCalls,
        Param::ReasoningEffort,
        Param::Verbosity,
        Param::PromptCacheKey,
        Param::ServiceTier,
        Param::UserId,
        Param::Metadata,
        Param::Store,
        Param::ResponseFormat,
        Param::Prediction,
    ];

    /// The name of a parameter in this server's API.
    #[must_use]
    pub fn api_name(&self, param: Param) -> &'static str {
        if let Some((_, name)) = self.renamed.iter().find(|(other, _)| *other == param) {
            return name;
        }
        match param {
            Param::UserId => "user",
            other => other.name(),
        }
    }

    /// Whether the server supports a parameter, perhaps not every value of it.
    #[must_use]
    pub fn supports(&self, param: Param) -> bool {
        match param {
            Param::IncludeUsage => self.stream_usage != StreamUsage::Unknown,
            _ => {
                self.supports_any_value(param)
                    || self.renamed_values.iter().any(|s| s.param == param)
            }
        }
    }

    pub(super) fn supports_any_value(&self, param: Param) -> bool {
        self.params.iter().any(|group| group.contains(&param))
    }

    /// Whether an extra field of the request may be sent.
    pub(super) fn supports_member(&self, name: &str) -> bool {
        self.extra.is_none_or(|allowed| allowed.contains(&name))
    }
}
