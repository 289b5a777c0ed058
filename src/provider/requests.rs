//! HTTP requests as most providers want them, and the check of where they go.

use super::{
    BaseUrl, EncodedEmbedRequest, EncodedRequest, Framing, HEADER_CAPACITY, IDENTITY, JSON,
    USER_AGENT,
};
use crate::{Error, ErrorKind, chat::Warning, provider::Auth};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};

/// A POST of JSON whose answer has the media type `accept`.
pub(crate) fn post(uri: Uri, body: Vec<u8>, accept: HeaderValue) -> Request<Bytes> {
    let mut request = request(Method::POST, uri, body.into(), accept);
    request.headers_mut().insert(header::CONTENT_TYPE, JSON);
    request
}

/// A POST for vectors.
pub(crate) fn post_embed(
    uri: Uri,
    (body, warnings, texts): (Vec<u8>, Vec<Warning>, usize),
) -> EncodedEmbedRequest {
    let mut encoded = EncodedRequest::new(post(uri, body, JSON), Framing::SingleBody);
    encoded.warnings = warnings;
    EncodedEmbedRequest::new(encoded, texts)
}

/// A GET of JSON.
pub(crate) fn get(uri: Uri) -> Request<Bytes> {
    request(Method::GET, uri, Bytes::new(), JSON)
}

fn request(method: Method, uri: Uri, body: Bytes, accept: HeaderValue) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.reserve(HEADER_CAPACITY);
    headers.insert(header::ACCEPT, accept);
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers.insert(header::USER_AGENT, USER_AGENT);
    request
}

/// Headers by which a message is framed or a connection is run: they are the transport's. RFC 9110, section 7.6.1; RFC 9112,
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

/// Whether a header is set by the transport and cannot be one of the caller's.
pub(crate) fn is_transport_header(name: &HeaderName) -> bool {
    TRANSPORT_HEADERS.contains(&name.as_str())
}

/// Where a provider usually is and which variable has its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProviderDefaults {
    pub(crate) name: &'static str,
    /// Empty if it has no fixed address.
    pub(crate) base_url: &'static str,
    pub(crate) key_env: &'static str,
    pub(crate) key_optional: bool,
}

impl ProviderDefaults {
    /// The base URL, checked together with the key: one is needed at the provider's own address, and none travels in the
    /// clear unless that is allowed.
    pub(crate) fn base_url(
        &self,
        other: Option<&str>,
        auth: &Auth,
        insecure_http: bool,
    ) -> Result<BaseUrl, Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        let url = other.unwrap_or(self.base_url);
        if url.is_empty() {
            return refuse(format!(
                "`{}` has no fixed address: set a base URL",
                self.name
            ));
        }
        if other.is_none() && !self.key_optional && !auth.is_required() {
            return refuse(format!(
                "`{}` needs a key: pass one or set {}",
                self.name, self.key_env
            ));
        }
        let base_url = BaseUrl::parse(url)?;
        if !insecure_http {
            base_url.check_secrecy(auth)?;
        }
        Ok(base_url)
    }
}
