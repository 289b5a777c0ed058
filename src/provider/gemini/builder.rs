use super::{BLOCK_PROVIDER, Gemini, Hosting};
use crate::{
    Error, ErrorKind, Secret,
    provider::{Auth, BaseUrl, vertex::Vertex},
};
use http::HeaderName;
use std::borrow::Cow;

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Makes a [`Gemini`].
#[derive(Clone, Debug)]
pub struct GeminiBuilder {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: String,
    /// Whether the address was given, so that there may be no key.
    is_elsewhere: bool,
    insecure_http: bool,
    hosting: Hosting,
}

impl Gemini {
    /// Google's developer API, to be given a key or another address.
    #[must_use]
    pub fn builder() -> GeminiBuilder {
        GeminiBuilder {
            name: BLOCK_PROVIDER.into(),
            auth: Auth::None,
            base_url: "https://generativelanguage.googleapis.com/v1beta".to_owned(),
            is_elsewhere: false,
            insecure_http: false,
            hosting: Hosting::Own,
        }
    }

    /// Gemini on Google Cloud's Vertex AI: a project and a location such as `us-central1` or `global`, to be given a token
    /// with [`auth`](GeminiBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location cannot be one.
    pub fn vertex(project: &str, location: &str) -> Result<GeminiBuilder, Error> {
        let vertex = Vertex::new(project, location)?;
        Ok(GeminiBuilder {
            name: "vertex".into(),
            base_url: vertex.base_url(),
            hosting: Hosting::Vertex(vertex),
            ..Self::builder()
        })
    }
}

impl GeminiBuilder {
    /// The key, sent as `x-goog-api-key` and never in the URL.
    ///
    /// # Errors
    /// `invalid_request` if it cannot be one: empty, with line breaks or spaces.
    pub fn api_key(mut self, key: impl Into<String>) -> Result<Self, Error> {
        self.auth = Auth::Header(API_KEY, Secret::new(key)?.into());
        Ok(self)
    }

    /// Another way to authenticate, such as [`Auth::Bearer`] with a closure that gives a fresh token.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Another address. Where it does not end with a version, `/v1beta` is added, or `/v1` for Vertex AI.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        let version = match self.hosting {
            Hosting::Own => "v1beta",
            Hosting::Vertex(_) => "v1",
        };
        self.base_url = BaseUrl::with_version(&url.into(), version);
        self.is_elsewhere = true;
        self
    }

    /// Lets the key travel over `http://` to another machine, unencrypted: for servers in a network that you trust, such as
    /// `http://vllm:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Another name, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Cow::Owned(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the key is missing although no other address was given, if the address is not one, or if the
    /// key would travel unencrypted.
    pub fn build(self) -> Result<Gemini, Error> {
        if !self.is_elsewhere && !self.auth.is_required() {
            let what = match self.hosting {
                Hosting::Vertex(_) => "a token: pass one with `auth`",
                Hosting::Own => "a key: pass one with `api_key`",
            };
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` needs {what}", self.name),
            ));
        }
        let base_url = BaseUrl::parse(&self.base_url)?;
        if !self.insecure_http {
            base_url.check_secrecy(&self.auth)?;
        }
        Ok(Gemini {
            name: self.name,
            auth: self.auth,
            base_url,
            hosting: self.hosting,
        })
    }
}
