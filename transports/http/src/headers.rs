//! What headers say about the length of a body and the use of a connection.

use crate::error::invalid_request;
use http::{
    HeaderMap, HeaderName, Request,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use unifiedai_transport::{RequestBody, TransportError};

const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Refuses a request whose `content-length` is not the length of its body: the body would be cut, or the server would wait for more.
///
/// # Errors
/// [`invalid_request`].
pub fn check_length(request: &Request<RequestBody>) -> Result<(), TransportError> {
    let mut stated = request.headers().get_all(CONTENT_LENGTH).iter();
    let length = Some(request.body().len());
    if stated.all(|value| value.to_str().ok().and_then(|v| v.parse::<u64>().ok()) == length) {
        return Ok(());
    }
    Err(invalid_request(
        "its header `content-length` is not the length of its body",
    ))
}

/// False if the connection of a response with these headers must not serve another request, although HTTP would allow it.
///
/// With `content-length` and `transfer-encoding` the end of the response is disputable (RFC 9112, 6.3). `from_proxy` is for a response to
/// a request with an absolute URL. HTTP/1.1 lets the connection persist without a word (RFC 9112, 9.3), but some proxies, such as
/// tinyproxy, then close it after each response: a request that is written before the end arrives may have been processed or not.
/// So the proxy has to announce `keep-alive`, in `connection` or in the older `proxy-connection` (RFC 9112, C.2.2).
#[must_use]
pub fn keeps_connection(headers: &HeaderMap, from_proxy: bool) -> bool {
    let is_ambiguous =
        headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING);
    let announces = |option: &str| {
        let names = [CONNECTION, PROXY_CONNECTION];
        let values = names.iter().flat_map(|name| headers.get_all(name));
        let mut options = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        options.any(|one| one.trim().eq_ignore_ascii_case(option))
    };
    !is_ambiguous && (!from_proxy || (announces("keep-alive") && !announces("close")))
}
