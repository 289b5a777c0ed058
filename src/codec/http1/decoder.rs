//! Decodes the bytes of a response.

use super::{
    Http1Error,
    framing::{Framing, next_body},
    header_error, too_many_bytes, too_many_fields,
};
use crate::codec::buffer;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header::CONNECTION,
    response,
};
use memchr::memchr;

/// Default limit of the response headers, interim responses included, and of the trailers, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A part of a response. The order is: headers once, any number of body chunks, the end once.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponsePart<'i> {
    /// Status and headers. Interim responses (1xx) are skipped.
    Headers(response::Parts),
    /// The next bytes of the body, never empty.
    Body(&'i [u8]),
    /// The body is complete; contains the trailers.
    End(HeaderMap),
}

/// Decodes one response; chunk boundaries make no difference. The body is not buffered.
///
/// ```
/// # use unifiedai::codec::http1::{Http1Error, ResponseDecoder, ResponsePart};
/// # fn main() -> Result<(), Http1Error> {
/// let mut decoder = ResponseDecoder::new(&http::Method::POST);
/// let mut body = Vec::new();
/// for read in [&b"HTTP/1.1 200 OK\r\ncontent-le"[..], b"ngth: 5\r\n\r\nhel", b"lo"] {
///     let mut rest = read;
///     while let Some(part) = decoder.next(&mut rest)? {
///         match part {
///             ResponsePart::Headers(head) => assert_eq!(head.status, 200),
///             ResponsePart::Body(piece) => body.extend_from_slice(piece),
///             _ => {}
///         }
///     }
/// }
/// assert_eq!(body, b"hello");
/// assert!(decoder.is_reusable());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ResponseDecoder {
    head_only: bool,
    limit: usize,
    state: State,
    lines: Lines,
    keep_alive: bool,
    failed: Option<Http1Error>,
}

#[derive(Debug)]
enum State {
    Head,
    Body(Framing),
    Trailers,
    /// Complete, with or without surplus bytes after it.
    Done {
        clean: bool,
    },
}

impl ResponseDecoder {
    /// Creates a decoder for the response to a request with this method: a response to `HEAD` has no body.
    #[must_use]
    pub fn new(method: &Method) -> Self {
        Self {
            head_only: *method == Method::HEAD,
            limit: MAX_HEADER_BYTES,
            state: State::Head,
            lines: Lines::default(),
            keep_alive: false,
            failed: None,
        }
    }

    /// Sets the limit of the headers, interim responses included, and of the trailers, in bytes; 64 KiB by default.
    #[must_use]
    pub fn with_max_header_size(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Takes bytes off the front of `input` and returns the next part. If the part is incomplete, it takes all bytes
    /// and returns `None`. Bytes after the end of the response stay in `input`.
    ///
    /// # Errors
    /// If the bytes are not a valid response. The error is final: later calls return it again.
    pub fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ResponsePart<'i>>, Http1Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let part = self.advance(input);
        match &part {
            Err(error) => self.failed = Some(*error),
            Ok(_) => {
                if let State::Done { clean } = &mut self.state {
                    *clean &= input.is_empty();
                }
            }
        }
        part
    }

    /// Reports that the connection was closed. Returns the end of a response that lasts until then, and `None` after
    /// the end.
    ///
    /// # Errors
    /// If the response is incomplete, and as [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<ResponsePart<'static>>, Http1Error> {
        if let Some(part) = self.next(&mut &[][..])? {
            return Ok(Some(part));
        }
        let within = match self.state {
            State::Done { .. } => {
                self.keep_alive = false;
                return Ok(None);
            }
            State::Body(Framing::UntilClose) => {
                self.state = State::Done { clean: true };
                return Ok(Some(ResponsePart::End(HeaderMap::new())));
            }
            State::Head if self.lines.bytes.is_empty() => "before the response",
            State::Head => "inside the response headers",
            _ => "inside the response body",
        };
        let error = Http1Error::Truncated { within };
        self.failed = Some(error);
        Err(error)
    }

    /// Whether the response is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_none() && matches!(self.state, State::Done { .. })
    }

    /// Whether the connection can be reused: the response is complete, nothing was received after it, and the server
    /// did not announce that it closes.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.failed.is_none()
            && self.keep_alive
            && matches!(self.state, State::Done { clean: true })
    }

    fn advance<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ResponsePart<'i>>, Http1Error> {
        loop {
            match &mut self.state {
                State::Head => {
                    self.lines.check_start(input)?;
                    if !self.lines.take(input, self.limit)? {
                        return Ok(None);
                    }
                    let Some(head) = read_headers(&self.lines.bytes)? else {
                        self.lines.compact();
                        continue;
                    };
                    self.begin_body(&head)?;
                    return Ok(Some(ResponsePart::Headers(head)));
                }
                State::Body(Framing::Fixed { left: 0 }) => {
                    return Ok(Some(self.end(HeaderMap::new())));
                }
                State::Body(Framing::Fixed { left }) => {
                    return Ok(next_body(input, left).map(ResponsePart::Body));
                }
                State::Body(Framing::UntilClose) => {
                    let mut left = u64::MAX;
                    return Ok(next_body(input, &mut left).map(ResponsePart::Body));
                }
                State::Body(Framing::Chunked(chunks)) => {
                    if let Some(piece) = chunks.next(input)? {
                        return Ok(Some(ResponsePart::Body(piece)));
                    }
                    if !chunks.are_over() {
                        return Ok(None);
                    }
                    self.state = State::Trailers;
                }
                State::Trailers => {
                    if !self.lines.take(input, self.limit)? {
                        return Ok(None);
                    }
                    let trailers = trailers(&self.lines.bytes)?;
                    return Ok(Some(self.end(trailers)));
                }
                State::Done { .. } => return Ok(None),
            }
        }
    }

    fn begin_body(&mut self, head: &response::Parts) -> Result<(), Http1Error> {
        let framing = Framing::of(head, self.head_only)?;
        self.keep_alive = keeps_alive(head) && !matches!(framing, Framing::UntilClose);
        self.state = State::Body(framing);
        self.lines = Lines::default();
        Ok(())
    }

    fn end(&mut self, trailers: HeaderMap) -> ResponsePart<'static> {
        self.state = State::Done { clean: true };
        self.lines = Lines::default();
        ResponsePart::End(trailers)
    }
}

// Parses the header and trailer lines.

/// The limit of header fields, and of trailer fields.
const MAX_FIELDS: usize = 128;

/// The headers; `None` for an interim response.
pub(super) fn read_headers(lines: &[u8]) -> Result<Option<response::Parts>, Http1Error> {
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
        httparse::Error::TooManyHeaders => return too_many_fields(MAX_FIELDS),
        httparse::Error::Version => return Http1Error::NotHttp,
        _ => "not parseable",
    })
}

// Collects the lines of the headers or the trailers, up to the blank line.

/// Lines up to a blank one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// The start of the current line.
    line: usize,
    /// The total size of the interim responses so far.
    discarded: usize,
}

impl Lines {
    /// Takes bytes off the front of `input` up to the blank line; returns whether it was found.
    pub(super) fn take(&mut self, input: &mut &[u8], limit: usize) -> Result<bool, Http1Error> {
        let room = limit.saturating_sub(self.discarded);
        while !input.is_empty() {
            let end = memchr(b'\n', input);
            let len = end.map_or(input.len(), |at| at.saturating_add(1));
            let Some((taken, rest)) = input.split_at_checked(len) else {
                return Ok(false);
            };
            if self.bytes.len().saturating_add(len) > room {
                return Err(too_many_bytes(limit));
            }
            buffer::append(&mut self.bytes, taken, room);
            *input = rest;
            if end.is_none() {
                return Ok(false);
            }
            match self.bytes.get(self.line..) {
                Some(b"\r\n") => return Ok(true),
                Some([.., b'\r', b'\n']) => self.line = self.bytes.len(),
                _ => return Err(header_error("a line ends without a CR")),
            }
        }
        Ok(false)
    }

    /// Nothing may precede a status line, not even the empty lines that the parser would skip.
    pub(super) fn check_start(&self, input: &[u8]) -> Result<(), Http1Error> {
        match self
            .bytes
            .iter()
            .chain(input)
            .zip(b"HTTP/1.")
            .all(|(byte, expected)| byte == expected)
        {
            true => Ok(()),
            false => Err(Http1Error::NotHttp),
        }
    }

    pub(super) fn compact(&mut self) {
        let discarded = self.discarded.saturating_add(self.bytes.len());
        *self = Lines {
            discarded,
            ..Lines::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::testing::{decode, get};
    use proptest::prelude::*;

    // F20
    #[test]
    fn an_end_too_early_is_an_error() {
        for (stream, close_delimited) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
                true,
            ),
        ] {
            let head = stream.rfind("\r\n\r\n").unwrap();
            let head = stream[..head]
                .rfind("\r\n\r\n")
                .filter(|_| !close_delimited)
                .unwrap_or(head)
                + 4;
            for at in 0..stream.len() {
                let outcome = decode(&Method::GET, MAX_HEADER_BYTES, [&stream.as_bytes()[..at]]);
                let whole = close_delimited && at >= head;
                assert_eq!(outcome.error.is_none(), whole, "{stream:?} cut at {at}");
                assert!(whole || matches!(outcome.error, Some(Http1Error::Truncated { .. })));
                assert!(!outcome.reusable);
            }
        }
    }

    #[test]
    fn early_end_is_reported_with_its_position() {
        for (stream, place) in [
            ("", "before the response"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "before the response"),
            ("HTTP/1.1 2", "inside the response headers"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
                "inside the response body",
            ),
        ] {
            let error = Http1Error::Truncated { within: place };
            assert_eq!(get(stream.as_bytes()).error, Some(error), "{stream:?}");
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"HTTP/1.1 200 OK\r\n"[..],
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"content-length: 5\r\n",
            b"transfer-encoding: chunked\r\n",
            b"connection: close\r\n",
            b"a: b\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b"5\r\nhello\r\n",
            b"0\r\n",
            b"5",
            b";x",
            b"hello",
            b" ",
            b"\0",
            b"\xFF",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_parts(
            head in prop::sample::select(vec![
                "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            ]),
            stream in pieces(),
            chunk in 1_usize..20,
            limit in prop_oneof![Just(MAX_HEADER_BYTES), 0_usize..100],
        ) {
            let stream = [head.as_bytes(), &stream].concat();
            let whole = decode(&Method::GET, limit, [&stream[..]]);
            prop_assert_eq!(decode(&Method::GET, limit, stream.chunks(chunk)), whole);
        }
    }
}

#[cfg(test)]
mod headers_tests {
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
    fn too_many_fields_are_headers_that_are_too_large() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
        for start in ["HTTP/1.1 204 OK\r\n", chunked] {
            let error = |count| {
                let stream = format!("{start}{}\r\n", "a: b\r\n".repeat(count));
                decode(&Method::GET, MAX_HEADER_BYTES, [stream.as_bytes()]).error
            };
            assert_eq!(error(128), None);
            let too_many = error(129).unwrap();
            assert_eq!(too_many, too_many_fields(128));
            let text = "the response headers are larger than 128 fields";
            assert_eq!(too_many.to_string(), text);
        }
    }
}

#[cfg(test)]
mod lines_tests {
    use super::*;
    use crate::codec::http1::{
        decoder::MAX_HEADER_BYTES,
        testing::{decode, decode_with_every_chunking},
    };
    use http::Method;

    #[test]
    fn header_and_trailer_sizes_are_limited() {
        let too_large = Some(too_many_bytes(100));
        let with = |len: usize| {
            let start = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: ";
            format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
        };
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, with(100).as_bytes()).error,
            None
        );
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, with(101).as_bytes()).error,
            too_large
        );
        for (len, error) in [(65_536, None), (65_537, Some(too_many_bytes(65_536)))] {
            let head = with(len);
            assert_eq!(
                decode(&Method::GET, MAX_HEADER_BYTES, [head.as_bytes()]).error,
                error
            );
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, endless.as_bytes()).error,
            too_large
        );
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, interim.as_bytes()).error,
            too_large
        );

        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let trailers = format!("{chunked}0\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_with_every_chunking(&Method::GET, 100, trailers.as_bytes()).error,
            too_large
        );
    }
}
