use super::{AuthStyle, ChatProfile, OpenAiChat};
use crate::{
    Error, ErrorKind, Secret,
    codec::percent::encode_segment,
    provider::{Auth, BaseUrl, requests},
};
use http::{HeaderName, HeaderValue, header};
use std::borrow::Cow;

/// Makes an [`OpenAiChat`].
#[derive(Clone, Debug)]
pub struct OpenAiChatBuilder {
    profile: ChatProfile,
    name: Option<String>,
    auth: Auth,
    base_url: Option<String>,
    insecure_http: bool,
    url_params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl OpenAiChatBuilder {
    pub(super) fn new(profile: ChatProfile) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        OpenAiChatBuilder {
            query: profile.query.iter().map(owned).collect(),
            profile,
            name: None,
            auth: Auth::None,
            base_url: None,
            insecure_http: false,
            url_params: Vec::new(),
            headers: Vec::new(),
        }
    }

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

    /// Another address than the profile's. A template's names in braces can be filled in it, too.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// What the address leaves open: an account, a resource, a region. Letters, digits, `.`, `_` and `-`.
    #[must_use]
    pub fn url_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.url_params.push((name.into(), value.into()));
        self
    }

    /// A pair that is added to every URL; replaces the profile's of that name.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.query.retain(|(other, _)| *other != name);
        self.query.push((name, value.into()));
        self
    }

    /// A header that is sent with every request (`openai-organization`, `http-referer`).
    ///
    /// # Errors
    /// `invalid_request` if it is none, or one that the transport sets (`host`, `content-length`). The value is not repeated:
    /// it may be a secret.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let name: HeaderName = name.parse().map_err(|_| {
            invalid_setting(format!("`{}` is not a header name", name.escape_debug()))
        })?;
        if name == header::HOST || requests::is_transport_header(&name) {
            return Err(invalid_setting(format!(
                "the header `{name}` is set by the transport: leave it out"
            )));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| invalid_setting(format!("the value of header `{name}` cannot be sent")))?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }

    /// Lets the key travel over `http://` to another machine, unencrypted: for servers in a network that you trust, such as
    /// `http://vllm:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
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
    /// `invalid_request` if the key is missing although the profile's own address needs one, if the address is not one or
    /// leaves something open, or if the key would travel unencrypted.
    pub fn build(self) -> Result<OpenAiChat, Error> {
        let profile = self.profile;
        let own_place = self.base_url.is_none();
        let template = self.base_url.as_deref().unwrap_or(profile.base_url);
        if template.is_empty() {
            return Err(invalid_setting(format!(
                "`{}` has no fixed address: set a base URL",
                profile.name
            )));
        }
        if own_place && !profile.key_optional && !self.auth.is_required() {
            return Err(invalid_setting(format!(
                "`{}` needs a key: pass one or set {}",
                profile.name, profile.key_env
            )));
        }
        let base_url = BaseUrl::parse(&self.address(template)?)?;
        if !self.insecure_http {
            base_url.check_secrecy(&self.auth)?;
        }
        let query = self.query_text()?;
        Ok(OpenAiChat {
            chat: base_url.join(&["/chat/completions", &query].concat())?,
            name: self.name.map_or(Cow::Borrowed(profile.name), Cow::Owned),
            profile,
            auth: self.auth,
            base_url,
            query,
            headers: self.headers,
        })
    }

    fn address(&self, template: &str) -> Result<String, Error> {
        let mut url = template.to_owned();
        for (name, value) in &self.url_params {
            // Nothing that could lead the key to another host (F112).
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            let dots = value.bytes().all(|b| b == b'.');
            if dots || !value.bytes().all(plain) {
                return Err(invalid_setting(format!(
                    "the {name} of `{}` must consist of letters, digits, `.`, `_` and `-`",
                    self.profile.name
                )));
            }
            url = url.replace(&format!("{{{name}}}"), value);
        }
        match url
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'))
        {
            Some((open, _)) => Err(invalid_setting(format!(
                "the address of `{}` leaves its {open} open: set it with `fill(\"{open}\", ..)`, or set a base URL",
                self.profile.name
            ))),
            None => Ok(url),
        }
    }

    fn query_text(&self) -> Result<String, Error> {
        let mut text = String::new();
        for (name, value) in &self.query {
            let (Some(name), Some(value)) = (encode_segment(name), encode_segment(value)) else {
                return Err(invalid_setting(
                    "a name or value of the query is empty".to_owned(),
                ));
            };
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(&name);
            text.push('=');
            text.push_str(&value);
        }
        Ok(text)
    }
}

fn invalid_setting(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}
