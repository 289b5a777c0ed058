//! The wire that everybody knows: OpenAI chat completions, in the dialects of many servers.
//!
//! [`OpenAiChat`] is the wire, a [`ChatProfile`] what one server does differently. Decoding is the same for all of them: it
//! reads every variant that any server is known to send, whatever the profile.

mod builder;
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
    BaseUrl, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, ModelPage,
    Provider,
    call_ids::{self, Links},
    model_ids, requests, tool_names,
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model,
    codec::percent::encode_segment,
    error::ErrorBody,
    provider::{Auth, errors},
    schema,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, response};
use std::borrow::Cow;

pub use builder::OpenAiChatBuilder;
pub use profile::{
    AuthStyle, ChatProfile, EndMarker, ForeignCalls, MediaPlacement, ReasoningReplay, StreamUsage,
    StructuredOutput, ValueNaming,
};
pub use profiles::CEREBRAS;

/// A server that speaks OpenAI chat.
#[derive(Clone, Debug)]
pub struct OpenAiChat {
    profile: ChatProfile,
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    chat: Uri,
    /// Behind every URL, question mark included; often empty.
    query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl OpenAiChat {
    /// Cerebras with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn cerebras(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder(CEREBRAS).api_key(key)?.build()
    }

    /// Azure OpenAI, by the name of a deployment: `https://{resource}.openai.azure.com/openai/deployments/{deployment}`.
    /// Another API version than the profile's is set with [`OpenAiChatBuilder::query`].
    ///
    /// # Errors
    /// `invalid_request` if the key or a name cannot be one.
    pub fn azure(
        resource: impl Into<String>,
        deployment: impl Into<String>,
        key: impl Into<String>,
    ) -> Result<Self, Error> {
        Self::builder(profiles::AZURE)
            .url_param("resource", resource)
            .url_param("deployment", deployment)
            .api_key(key)?
            .build()
    }

    /// A server with a profile, to be given a key, what its address leaves open, or another address.
    ///
    /// ```
    /// use unifiedai::provider::{OpenAiChat, openai_chat::profiles};
    /// # fn main() -> Result<(), unifiedai::Error> {
    /// let groq = OpenAiChat::builder(profiles::GROQ).api_key("gsk_...")?.build()?;
    /// let ollama = OpenAiChat::builder(profiles::OLLAMA).build()?;
    /// let databricks = OpenAiChat::builder(profiles::DATABRICKS)
    ///     .url_param("workspace", "adb-1.2.azuredatabricks.net")
    ///     .api_key("dapi...")?
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder(profile: ChatProfile) -> OpenAiChatBuilder {
        OpenAiChatBuilder::new(profile)
    }

    /// Any server at `base_url`, asked only for what every server can do.
    #[must_use]
    pub fn custom(base_url: impl Into<String>) -> OpenAiChatBuilder {
        Self::builder(ChatProfile {
            key_optional: true,
            free_names: true,
            ..ChatProfile::BASE
        })
        .base_url(base_url)
    }

    /// What this server does differently.
    #[must_use]
    pub fn profile(&self) -> &ChatProfile {
        &self.profile
    }

    /// Where it is.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn http(&self, method: Method, uri: Uri, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        let is_post = method == Method::POST;
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(super::HEADER_CAPACITY);
        if is_post {
            headers.insert(header::CONTENT_TYPE, super::JSON);
        }
        headers.insert(header::ACCEPT_ENCODING, super::IDENTITY);
        headers.insert(header::USER_AGENT, super::USER_AGENT);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        request
    }

    fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        let uri = self.base_url.join(&[path, &self.query].concat())?;
        let mut request = self.http(Method::GET, uri, Bytes::new());
        request.headers_mut().insert(header::ACCEPT, super::JSON);
        Ok(request)
    }
}

impl Provider for OpenAiChat {
    fn owns_model(&self, model: &str) -> bool {
        let vendors = model_ids::vendors_at(&self.base_url, self.profile.vendors);
        model_ids::has_vendor_prefix(model, vendors)
    }

    fn names_freely(&self) -> bool {
        self.profile.free_names
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        tool_names::check(&self.name, &request.tools, self.profile.tool_name)?;
        let links = Links::new(self.profile.call_id);
        let links = links.with_results(&self.name, self.profile.results_wanted);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, &self.name, self.profile.schemas)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(&self.profile, &self.name, request)?;
        warnings.extend(altered);
        let mut http = self.http(Method::POST, self.chat.clone(), body.into());
        let framing = if request.stream {
            http.headers_mut()
                .insert(header::ACCEPT, super::EVENT_STREAM);
            if self.profile.closes_after_stream {
                let close = HeaderValue::from_static("close");
                http.headers_mut().insert(header::CONNECTION, close);
            }
            super::Framing::Sse
        } else {
            http.headers_mut().insert(header::ACCEPT, super::JSON);
            super::Framing::SingleBody
        };
        let mut encoded = EncodedRequest::new(http, framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::OpenAiChatDecoder::new(
            self.name.clone(),
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
        let body = embed::body(&self.name, request, first)?;
        let uri = self.base_url.join(&["/embeddings", &self.query].concat())?;
        let mut batch = requests::post_embed(uri, body);
        for (name, value) in &self.headers {
            let headers = batch.encoded.request.headers_mut();
            headers.insert(name.clone(), value.clone());
        }
        Ok(batch)
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        if !self.profile.models {
            return Err(super::unsupported(&self.name, "list its models"));
        }
        self.get("/models")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_check(&self) -> Result<Request<Bytes>, Error> {
        match self.profile.check_path {
            "/models" => self.encode_models(None),
            other => self.get(other),
        }
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        if !self.profile.models {
            return Err(super::unsupported(&self.name, "describe one model"));
        }
        // A slash is part of many ids and of the path they are asked under (`org/name`).
        let path: Option<Vec<String>> = id.split('/').map(encode_segment).collect();
        let path = path.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        self.get(&["/models/", &path.join("/")].concat())
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
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
