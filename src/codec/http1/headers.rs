//! Parses the header and trailer lines.

use super::error::{Http1Error, header_error};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header::CONNECTION, response,
};

/// The limit of header fields, and of trailer fields.
const MAX_FIELDS: usize = 128;

/// The headers; `None` for an interim response.
pub(super) fn read(lines: &[u8]) -> Result<Option<response::Parts>, Http1Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(lines) {
        Ok(httparse::Status::Complete(len)) if len == lines.len() => {}
        Ok(_) => return Err(header_error("data after the end of the header block")),
        Err(error) => return Err(malformed(error)),
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| header_error("invalid status code"))?;
    if status.is_informational() {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(header_error("unexpected status 101 (switching protocols)"));
        }
        return Ok(None);
    }
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = if parsed.version == Some(0) {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    parts.headers = header_map(parsed.headers)?;
    Ok(Some(parts))
}

/// Whether the server keeps the connection open for another request.
pub(super) fn keeps_alive(head: &response::Parts) -> bool {
    let closes = connection_says(&head.headers, "close");
    let keeps = head.version == Version::HTTP_11 || connection_says(&head.headers, "keep-alive");
    keeps && !closes
}

fn connection_says(headers: &HeaderMap, word: &str) -> bool {
    let words = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words
        .map(<[u8]>::trim_ascii)
        .any(|said| said.eq_ignore_ascii_case(word.as_bytes()))
}

pub(super) fn trailers(lines: &[u8]) -> Result<HeaderMap, Http1Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if len == lines.len() => header_map(fields),
        Ok(_) => Err(header_error("data after the end of the header block")),
        Err(error) => Err(malformed(error)),
    }
}

fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Http1Error> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| header_error("invalid field name"))?;
        let value = HeaderValue::from_bytes(field.value)
            .map_err(|_| header_error("invalid field value"))?;
        map.append(name, value);
    }
    Ok(map)
}

fn malformed(error: httparse::Error) -> Http1Error {
    header_error(match error {
        httparse::Error::HeaderName => "invalid field name",
        httparse::Error::HeaderValue => "invalid field value",
        httparse::Error::NewLine => "invalid line ending",
        httparse::Error::Status => "invalid status code",
        httparse::Error::TooManyHeaders => "more than 128 fields",
        httparse::Error::Version => return Http1Error::NotHttp,
        _ => "not parseable",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::{
        decoder::MAX_HEADER_BYTES,
        testing::{decode, get},
    };
    use http::Method;

    #[test]
    fn trailers_are_returned_with_the_end() {
        let outcome = get(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-a: 1\r\nX-B: 2\r\n\r\n");
        let trailers =
            [("x-a", "1"), ("x-b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            (outcome.trailers, outcome.reusable),
            (Some(trailers.to_vec()), true)
        );
    }

    // F104
    #[test]
    fn malformed_header_blocks_are_errors() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
            ("", "garbage\n", Http1Error::NotHttp),
            ("", "\r\nHTTP/1.1 200 OK\r\n\r\n", Http1Error::NotHttp),
            ("", "HTTP/2 200\r\n\r\n", Http1Error::NotHttp),
            ("", "HTTP/1.2 200 OK\r\n\r\n", Http1Error::NotHttp),
            ("", "\x15\x03\x01", Http1Error::NotHttp),
            (
                "",
                "HTTP/1.1 20 OK\r\n\r\n",
                header_error("invalid status code"),
            ),
            (
                "",
                "HTTP/1.1 099 OK\r\n\r\n",
                header_error("invalid status code"),
            ),
            (
                "",
                "HTTP/1.1 101 Switching\r\n\r\n",
                header_error("unexpected status 101 (switching protocols)"),
            ),
            (
                "",
                "HTTP/1.1 200 OK\n\n",
                header_error("a line ends without a CR"),
            ),
            (
                ok,
                "a: b\nc: d\r\n\r\n",
                header_error("a line ends without a CR"),
            ),
            (
                ok,
                "a: b\rc: d\r\n\r\n",
                header_error("invalid field value"),
            ),
            (ok, "a: b\r\n c\r\n\r\n", header_error("invalid field name")),
            (ok, "a : b\r\n\r\n", header_error("invalid field name")),
            (ok, "a\r\n\r\n", header_error("invalid field name")),
            (ok, ": b\r\n\r\n", header_error("invalid field name")),
            (ok, "a: \0\r\n\r\n", header_error("invalid field value")),
            (ok, "\ra: b\r\n\r\n", header_error("invalid line ending")),
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn malformed_trailers_are_errors() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
            (
                chunked,
                "0\r\na\r\n\r\n",
                header_error("invalid field name"),
            ),
            (
                chunked,
                "0\r\na: b\n\r\n",
                header_error("a line ends without a CR"),
            ),
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn fields_are_limited() {
        let fields = |count| format!("HTTP/1.1 204 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(
            decode(&Method::GET, MAX_HEADER_BYTES, [fields(128).as_bytes()]).error,
            None
        );
        let problem = "more than 128 fields";
        assert_eq!(
            decode(&Method::GET, MAX_HEADER_BYTES, [fields(129).as_bytes()]).error,
            Some(Http1Error::Headers { problem })
        );
    }
}
