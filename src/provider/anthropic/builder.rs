use super::{Anthropic, BLOCK_PROVIDER, Hosting, signing::Server};
use crate::{
    Error, ErrorKind, Secret,
    provider::{Auth, BaseUrl, vertex::Vertex},
};
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Makes an [`Anthropic`].
#[derive(Clone, Debug)]
pub struct AnthropicBuilder {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: String,
    /// Whether the address was given, so that there may be no key.
    is_elsewhere: bool,
    insecure_http: bool,
    hosting: Hosting,
    betas: Vec<String>,
    default_max_tokens: u64,
}

impl Anthropic {
    /// Anthropic itself, to be given a key or another address.
    #[must_use]
    pub fn builder() -> AnthropicBuilder {
        AnthropicBuilder {
            name: BLOCK_PROVIDER.into(),
            auth: Auth::None,
            base_url: "https://api.anthropic.com/v1".to_owned(),
            is_elsewhere: false,
            insecure_http: false,
            hosting: Hosting::Own,
            betas: Vec::new(),
            default_max_tokens: Anthropic::DEFAULT_MAX_TOKENS,
        }
    }

    /// Claude on Azure: the name of a resource, to be given a key or an Entra token.
    ///
    /// # Errors
    /// `invalid_request` if the resource's name cannot be part of a host's.
    pub fn azure(resource: &str) -> Result<AnthropicBuilder, Error> {
        let is_plain = resource
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if resource.is_empty() || !is_plain {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not an Azure resource", resource.escape_debug()),
            ));
        }
        Ok(AnthropicBuilder {
            name: "azure-anthropic".into(),
            base_url: format!("https://{resource}.services.ai.azure.com/anthropic/v1"),
            ..Self::builder()
        })
    }

    /// Claude on Google Cloud's Vertex AI: a project and a location such as `us-east5` or `global`, to be given a token with
    /// [`auth`](AnthropicBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location cannot be one.
    pub fn vertex(project: &str, location: &str) -> Result<AnthropicBuilder, Error> {
        let vertex = Vertex::new(project, location)?;
        Ok(AnthropicBuilder {
            name: "vertex-anthropic".into(),
            base_url: vertex.base_url(),
            hosting: Hosting::Vertex(vertex),
            ..Self::builder()
        })
    }
}

impl AnthropicBuilder {
    /// The key, sent as `x-api-key`.
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

    /// Another address. Where it does not end with a version (`/v1`), `/v1` is added.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = BaseUrl::with_version(&url.into(), "v1");
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

    /// Asks for a beta feature in every request (`anthropic-beta`). A request's own header of that name counts instead.
    #[must_use]
    pub fn beta(mut self, name: impl Into<String>) -> Self {
        self.betas.push(name.into());
        self
    }

    /// Another token limit for requests that set none than [`Anthropic::DEFAULT_MAX_TOKENS`].
    #[must_use]
    pub fn default_max_tokens(mut self, tokens: u64) -> Self {
        self.default_max_tokens = tokens;
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the key is missing although no other address was given, if the address is not one, if the key
    /// would travel unencrypted, or if a beta's name cannot be sent.
    pub fn build(self) -> Result<Anthropic, Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if !self.is_elsewhere && !self.auth.is_required() {
            return refuse(match self.hosting {
                Hosting::Vertex(_) => {
                    format!("`{}` needs a token: pass one with `auth`", self.name)
                }
                Hosting::Own => format!("`{}` needs a key: pass one with `api_key`", self.name),
            });
        }
        let betas = match self.betas.join(",") {
            none if none.is_empty() => None,
            names => match HeaderValue::from_str(&names) {
                Ok(value) => Some(value),
                Err(_) => return refuse(format!("`{}` is no beta", names.escape_debug())),
            },
        };
        let base_url = BaseUrl::parse(&self.base_url)?;
        if !self.insecure_http {
            base_url.check_secrecy(&self.auth)?;
        }
        Ok(Anthropic {
            server: Server::at(&self.name, &base_url),
            name: self.name,
            auth: self.auth,
            base_url,
            hosting: self.hosting,
            betas,
            default_max_tokens: self.default_max_tokens,
        })
    }
}
