//! The headers that the caller adds to a request.

use crate::{ChatRequest, Error, ErrorKind, provider::kit::core::is_transport_header};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};

/// Adds the headers of a chat to each of its requests.
pub(super) fn add_headers(http: &mut Request<Bytes>, request: &ChatRequest) -> Result<(), Error> {
    let refuse = |what: String| Error::new(ErrorKind::InvalidRequest, what);
    let correlation = request
        .client_request_id
        .iter()
        .map(|id| ("x-request-id", id.as_str()));
    let own = request.shared_headers.iter().chain(&request.headers);
    let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in correlation.chain(own) {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| refuse(format!("`{}` is not a header name", name.escape_debug())))?;
        // The value is not shown: it may be a key.
        if value.is_empty() || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(refuse(format!(
                "the value of header `{parsed}` ({} bytes) is empty or contains characters other than visible ASCII",
                value.len()
            )));
        }
        if is_transport_header(&parsed) {
            return Err(refuse(format!(
                "the header `{parsed}` is set by the transport: remove it from the request"
            )));
        }
        if parsed == header::HOST {
            let host = http.uri().authority().map_or("", |own| own.as_str());
            if !value.eq_ignore_ascii_case(host) {
                return Err(refuse(format!(
                    "the header `host` differs from the host of the request, `{host}`: remove it, or set the base URL"
                )));
            }
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            refuse(format!(
                "the value of header `{parsed}` is not a valid HTTP header value"
            ))
        })?;
        value.set_sensitive(parsed != "x-request-id");
        http.headers_mut().insert(parsed, value);
    }
    Ok(())
}
