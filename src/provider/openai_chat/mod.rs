//! The wire that everybody knows: OpenAI chat completions, in the dialects of many servers.
//!
//! [`OpenAiChat`] is the wire, a [`Profile`] what one server does differently. Decoding is the same for all of them: it
//! reads every variant that any server is known to send, whatever the profile.

mod cerebras;
mod decode;
mod encode;
mod models;
mod profile;
mod usage;
mod wire;

use super::{BaseUrl, Decoder, Encoded, ModelPage, Provider};
use crate::{
    Auth, ChatRequest, Error, ErrorKind, Model, Secret, codec::percent::encode_segment,
    error::ErrorBody, provider::failure,
};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Uri, header, response};
use std::borrow::Cow;

pub use cerebras::CEREBRAS;
pub use profile::{AuthStyle, EndMarker, Profile, ReasoningReplay};

/// A server that speaks OpenAI chat.
#[derive(Clone, Debug)]
pub struct OpenAiChat {
    profile: Profile,
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    chat: Uri,
    headers: Vec<(HeaderName, http::HeaderValue)>,
}

impl OpenAiChat {
    /// Cerebras with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn cerebras(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder(CEREBRAS).api_key(key)?.build()
    }

    /// A server with a profile, to be given a key or another address.
    #[must_use]
    pub fn builder(profile: Profile) -> Builder {
        Builder {
            profile,
            name: None,
            auth: Auth::None,
            base_url: None,
        }
    }

    /// Any server at `base_url`, asked only for what every server can do.
    #[must_use]
    pub fn custom(base_url: impl Into<String>) -> Builder {
        Self::builder(Profile {
            key_optional: true,
            ..Profile::BASE
        })
        .base_url(base_url)
    }

    /// What this server does differently.
    #[must_use]
    pub fn profile(&self) -> &Profile {
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
        headers.reserve(6);
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
        let mut request = self.http(Method::GET, self.base_url.join(path)?, Bytes::new());
        request.headers_mut().insert(header::ACCEPT, super::JSON);
        Ok(request)
    }
}

/// Makes an [`OpenAiChat`].
#[derive(Clone, Debug)]
pub struct Builder {
    profile: Profile,
    name: Option<String>,
    auth: Auth,
    base_url: Option<String>,
}

impl Builder {
    /// The key.
    ///
    /// # Errors
    /// `invalid_request` if it cannot be one: empty, with line breaks or spaces.
    pub fn api_key(mut self, key: impl Into<String>) -> Result<Self, Error> {
        let credential = Secret::new(key)?.into();
        self.auth = match self.profile.auth {
            AuthStyle::Bearer => Auth::Bearer(credential),
            AuthStyle::Header(name) => Auth::Header(HeaderName::from_static(name), credential),
        };
        Ok(self)
    }

    /// Another way to authenticate, such as a token that is asked for anew each time.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Another address than the profile's.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Another name than the profile's, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the key is missing although the profile's own address needs one, if the address is not one,
    /// or if the key would travel unencrypted.
    pub fn build(self) -> Result<OpenAiChat, Error> {
        let profile = self.profile;
        let own_place = self.base_url.is_none();
        let url = self.base_url.as_deref().unwrap_or(profile.base_url);
        if url.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` has no fixed address: set a base URL", profile.name),
            ));
        }
        if own_place && !profile.key_optional && !self.auth.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` needs a key: pass one or set {}",
                    profile.name, profile.key_env
                ),
            ));
        }
        let base_url = BaseUrl::parse(url)?;
        base_url.check_secrecy(&self.auth)?;
        Ok(OpenAiChat {
            chat: base_url.join("/chat/completions")?,
            name: self.name.map_or(Cow::Borrowed(profile.name), Cow::Owned),
            profile,
            auth: self.auth,
            base_url,
            headers: Vec::new(),
        })
    }
}

impl Provider for OpenAiChat {
    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        let (body, warnings) = encode::body(&self.profile, &self.name, request)?;
        let mut http = self.http(Method::POST, self.chat.clone(), body.into());
        let framing = if request.stream {
            http.headers_mut()
                .insert(header::ACCEPT, super::EVENT_STREAM);
            super::Framing::Sse
        } else {
            http.headers_mut().insert(header::ACCEPT, super::JSON);
            super::Framing::Whole
        };
        let mut encoded = Encoded::new(http, framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn Decoder> {
        Box::new(decode::ChatDecoder::new(&self.name))
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        let error = failure::from_http(head, body);
        self.recognise_overflow(error, body)
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.get("/models")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
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
