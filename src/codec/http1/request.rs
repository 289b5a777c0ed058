//! Encodes a request.

use super::Http1Error;
use http::{
    Method, Request,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::Scheme,
};
use unifiedai_transport::RequestBody;

/// Encodes a request whose body is in memory. Adds `host` if it is missing, and the `content-length` of the body.
///
/// # Errors
/// For a request without a host or with several, for `CONNECT`, for a request with its own `transfer-encoding`, and for a
/// streamed body: for that write [`encode_head`], and then the pieces of the body.
pub fn encode_request(request: &Request<RequestBody>) -> Result<Vec<u8>, Http1Error> {
    let Some(body) = request.body().as_bytes() else {
        return Err(Http1Error::Request {
            problem: "its body is streamed: write `encode_head`, then the pieces of the body",
        });
    };
    let mut out = head(request, body.len())?;
    out.extend_from_slice(body);
    Ok(out)
}

/// Encodes the request line and the headers, with `host` and the `content-length` of the body. The body itself follows: see
/// [`RequestBody::open`].
///
/// # Errors
/// Those of [`encode_request`], except for a streamed body.
pub fn encode_head(request: &Request<RequestBody>) -> Result<Vec<u8>, Http1Error> {
    head(request, 0)
}

/// With room for `body` more bytes.
fn head(request: &Request<RequestBody>, body: usize) -> Result<Vec<u8>, Http1Error> {
    let refuse = |problem| Err(Http1Error::Request { problem });
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if *method == Method::CONNECT {
        return refuse("CONNECT is not supported");
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return refuse("the request must not have a transfer-encoding");
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return refuse("more than one host");
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if !target.is_ascii() {
        return refuse("the path is not percent-encoded");
    }
    let mut out = Vec::with_capacity(body.saturating_add(1024));
    for part in [
        method.as_str(),
        " ",
        if target.starts_with(['/', '*']) {
            ""
        } else {
            "/"
        },
        target,
        " HTTP/1.1\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    if !headers.contains_key(HOST) {
        let Some(host) = uri.host() else {
            return refuse("no host");
        };
        field(&mut out, "host", host.as_bytes());
        let implied = if uri.scheme() == Some(&Scheme::HTTP) {
            80
        } else {
            443
        };
        if let Some(port) = uri.port_u16().filter(|port| *port != implied) {
            out.truncate(out.len().saturating_sub(2));
            out.extend_from_slice(format!(":{port}\r\n").as_bytes());
        }
    }
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        field(&mut out, name.as_str(), value.as_bytes());
    }
    let bodiless = matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
    );
    if !(bodiless && request.body().is_empty()) {
        field(
            &mut out,
            "content-length",
            request.body().len().to_string().as_bytes(),
        );
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Request<RequestBody> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body.into()).unwrap()
    }

    #[test]
    fn requests() {
        for (request, expected) in [
            (
                request(
                    "POST",
                    "https://h.example/v1/chat?a=b",
                    &[("accept", "*/*")],
                    "{}",
                ),
                "POST /v1/chat?a=b HTTP/1.1\r\nhost: h.example\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}",
            ),
            (
                request("GET", "http://h.example:80", &[], ""),
                "GET / HTTP/1.1\r\nhost: h.example\r\n\r\n",
            ),
            (
                request("GET", "http://[::1]:8080?x", &[], ""),
                "GET /?x HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
            ),
            (
                request(
                    "POST",
                    "https://h.example:443/",
                    &[("content-length", "7")],
                    "",
                ),
                "POST / HTTP/1.1\r\nhost: h.example\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                request(
                    "GET",
                    "/path",
                    &[("host", "other.example"), ("a", "b"), ("a", "c")],
                    "x",
                ),
                "GET /path HTTP/1.1\r\nhost: other.example\r\na: b\r\na: c\r\ncontent-length: 1\r\n\r\nx",
            ),
        ] {
            assert_eq!(
                String::from_utf8(encode_request(&request).unwrap()).unwrap(),
                expected
            );
        }
        for refused in [
            request("CONNECT", "h.example:443", &[], ""),
            request("POST", "/", &[], ""),
            request(
                "POST",
                "https://h.example/",
                &[("transfer-encoding", "chunked")],
                "",
            ),
            request(
                "POST",
                "https://h.example/",
                &[("host", "a"), ("host", "b")],
                "",
            ),
        ] {
            assert!(
                matches!(encode_request(&refused), Err(Http1Error::Request { .. })),
                "{refused:?}"
            );
        }
    }
}
