//! The common part of every provider, and its HTTP requests.

use crate::{
    Error, ErrorKind,
    chat::Warning,
    provider::{Auth, BaseUrl, EncodedEmbedRequest, EncodedRequest, Framing},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use std::borrow::Cow;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// Initial header capacity, including authentication and the transport's headers; avoids a rehash for typical
/// requests.
const HEADER_CAPACITY: usize = 12;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("unifiedai/", env!("CARGO_PKG_VERSION")));

/// The common part of every provider: name, authentication, base URL, and additions to each request.
///
/// [`ProviderBuilder`](crate::provider::ProviderBuilder) creates it after its checks: the key is not sent unencrypted
/// unless the caller allowed that.
#[derive(Clone, Debug)]
pub struct ProviderCore {
    pub(super) name: Cow<'static, str>,
    pub(super) auth: Auth,
    pub(super) base_url: BaseUrl,
    pub(super) given_url: Option<String>,
    /// The query of every URL, including the question mark; empty if there is none.
    pub(super) query: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) allows_insecure_http: bool,
}

impl ProviderCore {
    /// The name in errors and responses.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, without a copy if it is the default.
    pub(crate) fn shared_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// How requests are authenticated.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The base URL of the operations.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// The argument of [`base_url`](crate::provider::ProviderBuilder::base_url), unless the provider's own URL
    /// applies.
    #[must_use]
    pub fn given_url(&self) -> Option<&str> {
        self.given_url.as_deref()
    }

    /// The URL of an operation, with the builder's query. `path` begins with a slash, is percent-encoded, and may
    /// have a query.
    ///
    /// # Errors
    /// `invalid_request` if the path cannot be part of a URL.
    pub fn url(&self, path: &str) -> Result<Uri, Error> {
        self.url_at(&self.base_url, path)
    }

    pub(crate) fn url_at(&self, base_url: &BaseUrl, path: &str) -> Result<Uri, Error> {
        match self.query.strip_prefix('?') {
            None => base_url.join(path),
            Some(query) if path.contains('?') => base_url.join(&[path, "&", query].concat()),
            Some(_) => base_url.join(&[path, &self.query].concat()),
        }
    }

    /// Whether a URL has the scheme, host and port of the base URL.
    pub(crate) fn is_own_origin(&self, url: &Uri) -> bool {
        let own = self.url("/");
        own.is_ok_and(|own| own.scheme() == url.scheme() && own.authority() == url.authority())
    }

    /// A GET of JSON.
    ///
    /// # Errors
    /// `invalid_request` if the path cannot be part of a URL.
    pub fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.get_at(&self.base_url, path)
    }

    /// A GET of JSON at another URL of the same provider, which was created with [`other_url`](Self::other_url).
    ///
    /// # Errors
    /// `invalid_request` if the path cannot be part of a URL.
    pub fn get_at(&self, base_url: &BaseUrl, path: &str) -> Result<Request<Bytes>, Error> {
        let uri = self.url_at(base_url, path)?;
        Ok(self.request(Method::GET, uri, Bytes::new(), JSON))
    }

    /// A POST of a chat as JSON. The framing determines the `accept` header.
    #[must_use]
    pub fn post_chat(
        &self,
        uri: Uri,
        body: impl Into<Bytes>,
        framing: Framing,
        warnings: Vec<Warning>,
    ) -> EncodedRequest {
        let mut encoded = EncodedRequest::new(self.post(uri, body, framing), framing);
        encoded.warnings = warnings;
        encoded
    }

    /// A POST of texts as JSON, whose response has their vectors.
    pub(crate) fn post_embed(
        &self,
        uri: Uri,
        (body, warnings, texts): (Vec<u8>, Vec<Warning>, usize),
    ) -> EncodedEmbedRequest {
        let encoded = self.post_chat(uri, body, Framing::SingleBody, warnings);
        EncodedEmbedRequest::new(encoded, texts)
    }

    /// A POST of JSON whose response has this framing.
    #[must_use]
    pub fn post(&self, uri: Uri, body: impl Into<Bytes>, framing: Framing) -> Request<Bytes> {
        self.request(Method::POST, uri, body.into(), framing.media_type())
    }

    pub(crate) fn request(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        accept: HeaderValue,
    ) -> Request<Bytes> {
        let is_post = method == Method::POST;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(HEADER_CAPACITY);
        if is_post {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        headers.insert(header::USER_AGENT, USER_AGENT);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(header::ACCEPT, accept);
        request
    }

    /// Adds a header to every request, unless the caller set one with this name.
    pub fn add_default_header(&mut self, name: HeaderName, value: HeaderValue) {
        if !self.headers.iter().any(|(other, _)| *other == name) {
            self.headers.insert(0, (name, value));
        }
    }

    /// Checks another URL of the same provider like the first one: the key is not sent to it unencrypted unless the
    /// caller allowed that.
    ///
    /// # Errors
    /// `invalid_request` if the URL is invalid, or if the key would be sent unencrypted.
    pub fn other_url(&self, url: &str) -> Result<BaseUrl, Error> {
        checked_url(url, &self.auth, self.allows_insecure_http)
    }
}

/// A request to a server that is not the provider's, such as one that a signed address names: it has nothing of the caller's.
pub(crate) fn foreign_request(method: Method, uri: Uri) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers.insert(header::USER_AGENT, USER_AGENT);
    request
}

pub(super) fn checked_url(url: &str, auth: &Auth, insecure_http: bool) -> Result<BaseUrl, Error> {
    let base_url = BaseUrl::parse(url)?;
    if !insecure_http {
        base_url.check_secrecy(auth)?;
    }
    Ok(base_url)
}

/// Headers for framing and connection management, which the transport sets. RFC 9110, section 7.6.1; RFC 9112,
/// section 6.
const TRANSPORT_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether the transport sets this header, so that a caller must not.
pub(crate) fn is_transport_header(name: &HeaderName) -> bool {
    TRANSPORT_HEADERS.contains(&name.as_str())
}

/// The error for an invalid setting of a builder.
pub(super) fn invalid_setting(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
