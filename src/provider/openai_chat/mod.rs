//! The wire that everybody knows: OpenAI chat completions, in the dialects of many servers.
//!
//! [`OpenAiChat`] is the wire, a [`ChatProfile`] what one server does differently. Decoding is the same for all of them: it
//! reads every variant that any server is known to send, whatever the profile.

mod decode;
mod embed;
mod encode;
mod encoded_message;
mod kept_fields;
mod logprobs;
mod message;
pub(super) mod models;
mod part;
mod profile;
pub mod profiles;
mod read_message;
mod reasoning_details;
mod response_errors;
mod tools;
mod types;
mod usage;

use super::{
    Address, Auth, BaseUrl, BatchApi, BuildProvider, ChatDecoder, DecodedEmbeddings,
    EncodedEmbedRequest, EncodedRequest, Framing, ModelPage, Provider, ProviderBuilder,
    ProviderCore, ProviderDefaults,
    batch_api::openai::{Endpoint, OpenAiBatches},
    kit::{
        builder,
        call_ids::{self, Links},
        errors, id_format, model,
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model, codec::percent::encode_segment,
    error::ErrorBody, schema,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response};

pub use profile::{
    ChatProfile, EndMarker, ForeignCalls, MediaPlacement, ReasoningReplay, StreamUsage,
    StructuredOutput, ValueNaming,
};
pub use profiles::CEREBRAS;

/// A server that speaks OpenAI chat.
#[derive(Clone, Debug)]
pub struct OpenAiChat {
    profile: ChatProfile,
    core: ProviderCore,
    chat: Uri,
}

/// The options that only the builder of OpenAI chat has.
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
    /// OpenAI with a key. Every other server that has a profile has a constructor of its own: [`groq`](Self::groq),
    /// [`azure`](Self::azure), [`vllm`](Self::vllm).
    ///
    /// ```
    /// # use unifiedai::provider::OpenAiChat;
    /// let provider = OpenAiChat::new("my-key")?;
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

    /// Any server at `base_url`, asked only for what every server can do. A key is optional.
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
            ..ChatProfile::BASE
        };
        Self::builder().profile(profile).base_url(base_url)
    }

    /// What this server does differently.
    #[must_use]
    pub fn profile(&self) -> &ChatProfile {
        &self.profile
    }

    /// Where it is.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }
}

impl ProviderBuilder<OpenAiChat> {
    /// The server, as a profile of [`profiles`] or of the program's own.
    #[must_use]
    pub fn profile(mut self, profile: ChatProfile) -> Self {
        self.options.profile = profile;
        self
    }

    /// What the address leaves open: an account, a resource, a region. Letters, digits, `.`, `_` and `-`. The names in braces of
    /// a [`base_url`](ProviderBuilder::base_url) are replaced, too.
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
        let links = Links::new(self.profile.call_id);
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
        let body = embed::body(self.name(), request, first)?;
        Ok(self.core.post_embed(self.core.url("/embeddings")?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
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
        // A slash is part of many ids and of the path they are asked under (`org/name`).
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
            endpoint: Endpoint::Chat,
        }))
    }
}

/// A decoder for chats that answer requests of another wire.
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
    /// Some servers tell a context overflow only by a fixed sentence.
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

/// Whether one answer is asked for. A number in `extra` counts before the typed one, as it does in the request.
fn expects_one_choice(request: &ChatRequest) -> bool {
    let in_extra = request.extra.iter().rev().find(|(name, _)| name == "n");
    let count = match in_extra {
        Some((_, count)) => count.as_str().trim().parse().ok(),
        None => request.n.map(u64::from),
    };
    count.unwrap_or(1) <= 1
}
