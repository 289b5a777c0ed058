//! The builder of all providers, with the options that they share.

use super::core::{ProviderCore, checked_url, invalid_setting, is_transport_header};
use crate::{
    Error, Secret,
    codec::percent::encode_segment,
    provider::{Auth, Provider},
};
use http::{HeaderName, HeaderValue, header};
use std::{borrow::Cow, fmt};

/// Builds a provider `P`.
///
/// The options below are the same for all providers. Options of a single provider are methods of its own builder,
/// such as `ProviderBuilder<Anthropic>::beta`.
///
/// ```
/// use unifiedai::provider::{Anthropic, OpenAiChat, openai_chat::profiles};
/// let claude = Anthropic::builder()
///     .api_key("my-key")?
///     .base_url("https://proxy.example.com")
///     .header("x-team", "search")?
///     .build()?;
/// let databricks = OpenAiChat::builder()
///     .profile(profiles::DATABRICKS)
///     .url_param("workspace", "adb-1.2.azuredatabricks.net")
///     .api_key("dapi...")?
///     .build()?;
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub struct ProviderBuilder<P: BuildProvider> {
    name: Option<String>,
    authentication: Authentication,
    base_url: Option<String>,
    allows_insecure_http: bool,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(in crate::provider) options: P::Options,
}

#[derive(Clone, Debug)]
enum Authentication {
    NotSet,
    /// The header of the key is known once the options are complete.
    Key(Secret),
    Other(Auth),
}

/// A provider that [`ProviderBuilder`] can build. Implement it for your own provider to get the same builder.
pub trait BuildProvider: Provider + Sized {
    /// The options that only this provider has.
    type Options: Clone + Default + fmt::Debug;

    /// The defaults for these options.
    fn defaults(options: &Self::Options) -> ProviderDefaults;

    /// The provider's URL. `given` is the argument of [`ProviderBuilder::base_url`].
    ///
    /// # Errors
    /// `invalid_request` if there is no URL.
    fn address(options: &Self::Options, given: Option<&str>) -> Result<Address, Error> {
        let defaults = Self::defaults(options);
        match given {
            Some(url) => Ok(Address::Other(url.to_owned())),
            None => defaults.own_address(),
        }
    }

    /// The authentication from this provider's own options, used if the caller set neither a key nor an [`Auth`]. The
    /// default is none.
    ///
    /// # Errors
    /// `invalid_request` if the options are invalid.
    fn own_auth(options: &Self::Options) -> Result<Auth, Error> {
        let _ = options;
        Ok(Auth::None)
    }

    /// Builds the provider.
    ///
    /// # Errors
    /// `invalid_request` if the options are invalid.
    fn from_core(core: ProviderCore, options: Self::Options) -> Result<Self, Error>;
}

/// The URL of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// The provider's own URL, which requires a key.
    Own(String),
    /// A URL from the caller, whose server may not require a key.
    Other(String),
}

/// How the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthStyle {
    /// `authorization: Bearer`.
    Bearer,
    /// A separate header.
    Header(&'static str),
}

impl AuthStyle {
    fn auth(self, key: Secret) -> Auth {
        match self {
            AuthStyle::Bearer => Auth::Bearer(key.into()),
            AuthStyle::Header(name) => Auth::Header(HeaderName::from_static(name), key.into()),
        }
    }
}

/// The defaults of a provider.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProviderDefaults {
    /// The provider's name.
    pub name: &'static str,
    /// The base URL; empty if there is no fixed one.
    pub base_url: &'static str,
    /// The environment variable of the key.
    pub key_env: &'static str,
    /// Whether its own URL works without a key (local servers).
    pub key_optional: bool,
    /// How the key is sent.
    pub auth_style: AuthStyle,
    /// The query of every URL.
    pub query: &'static [(&'static str, &'static str)],
    /// The description of its credential in errors, and how to set it.
    pub credential: (&'static str, &'static str),
}

impl ProviderDefaults {
    /// Creates the defaults of a provider with a fixed URL and a bearer key, which is also in an environment
    /// variable.
    #[must_use]
    pub const fn new(name: &'static str, base_url: &'static str, key_env: &'static str) -> Self {
        ProviderDefaults {
            name,
            base_url,
            key_env,
            key_optional: false,
            auth_style: AuthStyle::Bearer,
            query: &[],
            credential: ("a key", "pass one with `api_key`"),
        }
    }

    pub(super) fn own_address(&self) -> Result<Address, Error> {
        if self.base_url.is_empty() {
            return Err(invalid_setting(format!(
                "`{}` has no default URL: set one with `base_url`",
                self.name
            )));
        }
        Ok(Address::Own(self.base_url.to_owned()))
    }

    fn missing_key(&self, name: &str) -> Error {
        let (what, how) = self.credential;
        invalid_setting(format!(
            "`{name}` needs {what}: {how}, or set the environment variable {} and use `from_env`",
            self.key_env
        ))
        .with_code("missing_key")
    }
}

impl<P: BuildProvider> ProviderBuilder<P> {
    /// Creates a builder with the provider's defaults, like `P::builder()`.
    #[must_use]
    pub fn new() -> Self {
        ProviderBuilder {
            name: None,
            authentication: Authentication::NotSet,
            base_url: None,
            allows_insecure_http: false,
            query: Vec::new(),
            headers: Vec::new(),
            options: P::Options::default(),
        }
    }

    /// Sets the key. It is sent in the header that the provider requires, and never in the URL.
    ///
    /// # Errors
    /// `invalid_request` if the key is empty or contains line breaks or spaces.
    pub fn api_key(mut self, key: impl Into<String>) -> Result<Self, Error> {
        self.authentication = Authentication::Key(Secret::new(key)?);
        Ok(self)
    }

    /// Sets another authentication, such as [`Auth::Bearer`] with a callback that returns a fresh token for each
    /// attempt.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.authentication = Authentication::Other(auth);
        self
    }

    /// Sets another base URL than the provider's own. With it, a key is not required.
    ///
    /// For Anthropic and Gemini the version is added (`/v1`, `/v1beta`) unless the URL ends with one.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the name of the provider in errors, in responses and in a client.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a header to every request (`openai-organization`, `http-referer`).
    ///
    /// # Errors
    /// `invalid_request` if the header is invalid, or one that the transport sets (`host`, `content-length`). The
    /// error does not repeat the value, which may be a secret.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let name: HeaderName = name.parse().map_err(|_| {
            invalid_setting(format!("`{}` is not a header name", name.escape_debug()))
        })?;
        if name == header::HOST || is_transport_header(&name) {
            return Err(invalid_setting(format!(
                "the header `{name}` is set by the transport: remove it"
            )));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            invalid_setting(format!(
                "the value of header `{name}` is not a valid HTTP header value"
            ))
        })?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }

    /// Adds a query parameter to every URL. Replaces an earlier one with this name.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.query.retain(|(other, _)| *other != name);
        self.query.push((name, value.into()));
        self
    }

    /// Allows a key, or a signed request, over `http://` to another machine, unencrypted: for servers in a trusted
    /// network, such as `http://vllm:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.allows_insecure_http = true;
        self
    }

    /// Changes the options that only this provider has, for authors of providers. The providers of this crate have a method
    /// for each of their options.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut P::Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Builds the provider.
    ///
    /// # Errors
    /// `invalid_request`. Its code is `missing_key` if the key is missing for the provider's own URL. It has no code
    /// if the URL is missing or invalid, if the key would be sent unencrypted, or if an option is invalid.
    pub fn build(self) -> Result<P, Error> {
        let defaults = P::defaults(&self.options);
        let auth = match self.authentication {
            Authentication::NotSet => P::own_auth(&self.options)?,
            Authentication::Key(key) => defaults.auth_style.auth(key),
            Authentication::Other(auth) => auth,
        };
        let name = self.name.map_or(Cow::Borrowed(defaults.name), Cow::Owned);
        let url = match P::address(&self.options, self.base_url.as_deref())? {
            Address::Own(_) if !defaults.key_optional && !auth.is_required() => {
                return Err(defaults.missing_key(&name));
            }
            Address::Own(url) | Address::Other(url) => url,
        };
        let core = ProviderCore {
            base_url: checked_url(&url, &auth, self.allows_insecure_http)?,
            given_url: self.base_url,
            query: query_text(defaults.query, &self.query)?,
            name,
            auth,
            headers: self.headers,
            allows_insecure_http: self.allows_insecure_http,
        };
        P::from_core(core, self.options)
    }

    pub(crate) fn has_auth(&self) -> bool {
        !matches!(self.authentication, Authentication::NotSet)
    }

    pub(crate) fn has_base_url(&self) -> bool {
        self.base_url.is_some()
    }

    pub(crate) fn given_base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    pub(crate) fn defaults(&self) -> ProviderDefaults {
        P::defaults(&self.options)
    }

    pub(crate) fn missing_key(&self) -> Error {
        let defaults = self.defaults();
        defaults.missing_key(self.name.as_deref().unwrap_or(defaults.name))
    }
}

fn query_text(defaults: &[(&str, &str)], own: &[(String, String)]) -> Result<String, Error> {
    let is_replaced = |name: &str| own.iter().any(|(other, _)| other == name);
    let kept = defaults.iter().filter(|(name, _)| !is_replaced(name));
    let own = own.iter().map(|(name, value)| (&**name, &**value));
    let mut text = String::new();
    for (name, value) in kept.copied().chain(own) {
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

impl<P: BuildProvider> Default for ProviderBuilder<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: BuildProvider> Clone for ProviderBuilder<P> {
    fn clone(&self) -> Self {
        ProviderBuilder {
            name: self.name.clone(),
            authentication: self.authentication.clone(),
            base_url: self.base_url.clone(),
            allows_insecure_http: self.allows_insecure_http,
            query: self.query.clone(),
            headers: self.headers.clone(),
            options: self.options.clone(),
        }
    }
}

impl<P: BuildProvider> fmt::Debug for ProviderBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBuilder")
            .field("name", &self.name)
            .field("authentication", &self.authentication)
            .field("base_url", &self.base_url)
            .field("allows_insecure_http", &self.allows_insecure_http)
            .field("query", &self.query)
            .field("headers", &self.headers)
            .field("options", &self.options)
            .finish()
    }
}

// URLs with parameters in braces, which differ between accounts.

/// The given URL, else the provider's own, with its parameters in braces replaced by `params`.
pub(crate) fn address(
    defaults: &ProviderDefaults,
    params: &[(String, String)],
    given: Option<&str>,
) -> Result<Address, Error> {
    let name = defaults.name;
    Ok(match given {
        Some(url) => Address::Other(expand(name, url, params)?),
        None if defaults.base_url.is_empty() => return defaults.own_address(),
        None => Address::Own(expand(name, defaults.base_url, params)?),
    })
}

fn expand(provider: &str, template: &str, params: &[(String, String)]) -> Result<String, Error> {
    let mut url = template.to_owned();
    for (name, value) in params {
        // No characters that could change the host.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let dots = value.bytes().all(|b| b == b'.');
        if dots || !value.bytes().all(plain) {
            return Err(invalid_setting(format!(
                "the {name} of `{provider}` must consist of letters, digits, `.`, `_` and `-`"
            )));
        }
        url = url.replace(&format!("{{{name}}}"), value);
    }
    match url
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
    {
        Some((open, _)) => Err(invalid_setting(format!(
            "the URL of `{provider}` lacks the parameter `{open}`: set it with `url_param(\"{open}\", ..)`, or set a `base_url`"
        ))),
        None => Ok(url),
    }
}

/// Rows are `name(arguments) = PROFILE;`. Each row becomes a constructor of the provider with this profile: the
/// argument `key` is the key, any other argument is a parameter of the profile's URL. `TABLE` has all profiles.
macro_rules! profile_table {
    (@values) => { "" };
    (@values $first:ident $(, $other:ident)*) => {
        concat!("\"my-", stringify!($first), "\"" $(, ", \"my-", stringify!($other), "\"")*)
    };
    ($provider:ident, $profile:ident, $home:literal; $($name:ident($($argument:ident),*) = $constant:path;)*) => {
        const TABLE: &[$profile] = &[$($constant),*];

        impl $provider {
            $(
                #[doc = concat!(
                    "Creates a provider for the server of the profile [`", stringify!($constant), "`](crate::provider::", $home, stringify!($constant),
                    "). For other options use [`builder`](Self::builder) with this profile.\n\n```\n",
                    "# use unifiedai::provider::", stringify!($provider), ";\n",
                    "let provider = ", stringify!($provider), "::", stringify!($name),
                    "(", profile_table!(@values $($argument),*), ")?;\n",
                    "# Ok::<(), unifiedai::Error>(())\n```\n\n",
                    "# Errors\n`invalid_request` if an argument is invalid."
                )]
                pub fn $name($($argument: impl Into<String>),*) -> Result<Self, crate::Error> {
                    let builder = Self::builder().profile($constant);
                    $(
                        let builder = match stringify!($argument) {
                            "key" => builder.api_key($argument)?,
                            open => builder.url_param(open, $argument),
                        };
                    )*
                    builder.build()
                }
            )*
        }
    };
}

pub(crate) use profile_table;
