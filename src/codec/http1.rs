//! HTTP/1.1 as bytes, for a program that has a socket and no HTTP client: one request out, its response in
//! ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! Strict where leniency lets two readers of the same bytes disagree: a bare LF, a folded header, two lengths, an unknown
//! transfer coding are errors.

use super::buffer;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    response,
    uri::Scheme,
};
use memchr::memchr;

/// The default limit for a response's head, interim ones included, and for its trailers, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// How many header fields a head or the trailers may have.
const MAX_FIELDS: usize = 128;
/// The limit for a chunk's size line, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// Why a request cannot be written, or a response not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Http1Error {
    /// The request cannot be sent as HTTP/1.1.
    #[error("the request cannot be sent as HTTP/1.1: {problem}")]
    #[non_exhaustive]
    Request {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What came is not an HTTP/1 response at all.
    #[error("the answer is not HTTP/1")]
    NotHttp,
    /// The head or the trailers break the rules.
    #[error("the answer's head is malformed: {problem}")]
    #[non_exhaustive]
    Head {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The head or the trailers are larger than the limit.
    #[error("the answer's head is larger than {limit} bytes")]
    #[non_exhaustive]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The chunks of the body break the rules.
    #[error("the answer's chunks are malformed: {problem}")]
    #[non_exhaustive]
    Chunk {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// The connection was closed before the response was complete.
    #[error("the connection was closed {within}")]
    #[non_exhaustive]
    Truncated {
        /// Where in the response.
        within: &'static str,
    },
}

/// The bytes of a request. Adds `host` where it is missing, and the `content-length` of the body.
///
/// # Errors
/// For a request without host or with several, for `CONNECT`, and for one that brings its own `transfer-encoding`.
pub fn encode_request(request: &Request<Bytes>) -> Result<Vec<u8>, Http1Error> {
    let refuse = |problem| Err(Http1Error::Request { problem });
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if *method == Method::CONNECT {
        return refuse("a tunnel is not a request");
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return refuse("the body's framing is not the caller's to choose");
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return refuse("more than one host");
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if !target.is_ascii() {
        return refuse("the path is not encoded");
    }
    let mut out = Vec::with_capacity(request.body().len().saturating_add(1024));
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
    out.extend_from_slice(request.body());
    Ok(out)
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// A part of a response, in the order in which they come: one head, the body in pieces, one end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponsePart<'i> {
    /// Status and headers. Interim responses (1xx) are skipped.
    Head(response::Parts),
    /// The next bytes of the body, never empty.
    Body(&'i [u8]),
    /// The body is complete; what the trailers said.
    End(HeaderMap),
}

/// Reads one response; any chunking of its bytes gives the same parts. The body is never kept.
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
///             ResponsePart::Head(head) => assert_eq!(head.status, 200),
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

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Fixed {
        left: u64,
    },
    UntilClose,
    ChunkLine {
        size: Option<u64>,
        part: ChunkLine,
        len: usize,
    },
    ChunkData {
        left: u64,
    },
    /// The CR and the LF after a chunk's data.
    ChunkEnd {
        cr: bool,
    },
    Trailers,
    /// Complete, with or without surplus bytes behind it.
    Done {
        clean: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum ChunkLine {
    Size,
    /// White space between the size and an extension.
    Space,
    Extension,
    Cr,
}

const CHUNK_LINE: State = State::ChunkLine {
    size: None,
    part: ChunkLine::Size,
    len: 0,
};

impl ResponseDecoder {
    /// A decoder for the response to a request with this method: one to `HEAD` has no body.
    #[must_use]
    pub fn new(method: &Method) -> Self {
        Self {
            head_only: *method == Method::HEAD,
            limit: MAX_HEAD,
            state: State::Head,
            lines: Lines::default(),
            keep_alive: false,
            failed: None,
        }
    }

    /// Sets how large the head, interim ones included, and the trailers may be, in bytes; 64 KiB by default.
    #[must_use]
    pub fn with_max_head(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Takes bytes off the front of `input` and returns the next part, or takes them all and returns `None`. Bytes after
    /// the end of the response are left in `input`.
    ///
    /// # Errors
    /// When the bytes are not a response. The error is final: later calls repeat it.
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

    /// The connection was closed. Returns the end of a response that lasts until then, and `None` after the end.
    ///
    /// # Errors
    /// When the response is not complete, and as [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<ResponsePart<'static>>, Http1Error> {
        if let Some(part) = self.next(&mut &[][..])? {
            return Ok(Some(part));
        }
        let within = match self.state {
            State::Done { .. } => {
                self.keep_alive = false;
                return Ok(None);
            }
            State::UntilClose => {
                self.state = State::Done { clean: true };
                return Ok(Some(ResponsePart::End(HeaderMap::new())));
            }
            State::Head if self.lines.bytes.is_empty() => "before the answer",
            State::Head => "within the answer's head",
            _ => "within the answer's body",
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

    /// Whether the connection can carry another request: the response is complete, nothing came after it, and the server
    /// did not say that it closes.
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
            match self.state {
                State::Head => {
                    self.lines.check_start(input)?;
                    if !self.lines.take(input, self.limit)? {
                        return Ok(None);
                    }
                    if let Some(head) = self.head()? {
                        return Ok(Some(ResponsePart::Head(head)));
                    }
                }
                State::Fixed { left: 0 } => return Ok(Some(self.end(HeaderMap::new()))),
                State::Fixed { left } => {
                    let (piece, left) = take_body(input, left);
                    self.state = State::Fixed { left };
                    return Ok(piece);
                }
                State::UntilClose => {
                    let (piece, _) = take_body(input, u64::MAX);
                    return Ok(piece);
                }
                State::ChunkLine { size, part, len } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    self.state = chunk_line(*byte, size, part, len)?;
                }
                State::ChunkData { left: 0 } => self.state = State::ChunkEnd { cr: false },
                State::ChunkData { left } => {
                    let (piece, left) = take_body(input, left);
                    self.state = State::ChunkData { left };
                    return Ok(piece);
                }
                State::ChunkEnd { cr } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    self.state = match (cr, byte) {
                        (false, b'\r') => State::ChunkEnd { cr: true },
                        (true, b'\n') => CHUNK_LINE,
                        _ => return Err(chunk("its data is longer than its size")),
                    };
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

    fn end(&mut self, trailers: HeaderMap) -> ResponsePart<'static> {
        self.state = State::Done { clean: true };
        self.lines = Lines::default();
        ResponsePart::End(trailers)
    }

    /// What the collected lines say, unless they are an interim response.
    fn head(&mut self) -> Result<Option<response::Parts>, Http1Error> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(&self.lines.bytes) {
            Ok(httparse::Status::Complete(len)) if len == self.lines.bytes.len() => {}
            Ok(_) => return Err(head("it does not end where its lines do")),
            Err(error) => return Err(malformed(error)),
        }
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| head("its status is not a status"))?;
        if status.is_informational() {
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(head("it switches to a protocol that nobody asked for"));
            }
            self.lines.forget();
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

        let body = body(&parts, self.head_only)?;
        let closes = connection_says(&parts.headers, "close");
        let keeps =
            parts.version == Version::HTTP_11 || connection_says(&parts.headers, "keep-alive");
        self.keep_alive = keeps && !closes && !matches!(body, State::UntilClose);
        self.state = body;
        self.lines = Lines::default();
        Ok(Some(parts))
    }
}

/// Lines that are collected up to a blank one.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where the line under way begins.
    line: usize,
    /// How long the interim responses were that are already forgotten.
    forgotten: usize,
}

impl Lines {
    /// Takes bytes off the front of `input` up to the blank line, and says whether it came.
    fn take(&mut self, input: &mut &[u8], limit: usize) -> Result<bool, Http1Error> {
        let room = limit.saturating_sub(self.forgotten);
        while !input.is_empty() {
            let end = memchr(b'\n', input);
            let len = end.map_or(input.len(), |at| at.saturating_add(1));
            let Some((taken, rest)) = input.split_at_checked(len) else {
                return Ok(false);
            };
            if self.bytes.len().saturating_add(len) > room {
                return Err(Http1Error::HeadTooLarge { limit });
            }
            buffer::append(&mut self.bytes, taken, room);
            *input = rest;
            if end.is_none() {
                return Ok(false);
            }
            match self.bytes.get(self.line..) {
                Some(b"\r\n") => return Ok(true),
                Some([.., b'\r', b'\n']) => self.line = self.bytes.len(),
                _ => return Err(head("a line ends without a CR")),
            }
        }
        Ok(false)
    }

    /// Nothing may stand before a status line, not even the empty lines that the parser would skip.
    fn check_start(&self, input: &[u8]) -> Result<(), Http1Error> {
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

    fn forget(&mut self) {
        let forgotten = self.forgotten.saturating_add(self.bytes.len());
        *self = Lines {
            forgotten,
            ..Lines::default()
        };
    }
}

/// How the body is framed (RFC 9112, 6.3).
fn body(parts: &response::Parts, head_only: bool) -> Result<State, Http1Error> {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let length = content_length(&parts.headers)?;
    if let Some(coding) = coding {
        if length.is_some() {
            return Err(head("both a content-length and a transfer-encoding"));
        }
        if parts.version == Version::HTTP_10 {
            return Err(head("a transfer-encoding in HTTP/1.0"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(head("an unknown transfer-encoding"));
        }
    }
    if head_only
        || matches!(
            parts.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
    {
        return Ok(State::Fixed { left: 0 });
    }
    Ok(match (coding, length) {
        (Some(_), _) => CHUNK_LINE,
        (None, Some(left)) => State::Fixed { left },
        (None, None) => State::UntilClose,
    })
}

/// The same length may be repeated, in several fields or in one.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Http1Error> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
        {
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(text)
                .ok()
                .filter(|_| digits)
                .and_then(|text| text.parse().ok());
            let number: u64 =
                number.ok_or_else(|| head("a content-length that is not a length"))?;
            if length.is_some_and(|length| length != number) {
                return Err(head("two different content-lengths"));
            }
            length = Some(number);
        }
    }
    Ok(length)
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

fn chunk_line(
    byte: u8,
    size: Option<u64>,
    part: ChunkLine,
    len: usize,
) -> Result<State, Http1Error> {
    let len = len.saturating_add(1);
    if len > MAX_CHUNK_LINE {
        return Err(chunk("its size line is too long"));
    }
    let part = match (part, byte) {
        (ChunkLine::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).map(u64::from);
            let size = size
                .unwrap_or(0)
                .checked_mul(16)
                .zip(digit)
                .and_then(|(high, low)| high.checked_add(low));
            if size.is_none() {
                return Err(chunk("its size is not a size"));
            }
            return Ok(State::ChunkLine { size, part, len });
        }
        _ if size.is_none() => return Err(chunk("its size is not a size")),
        (ChunkLine::Size | ChunkLine::Space, b' ' | b'\t') => ChunkLine::Space,
        (ChunkLine::Size | ChunkLine::Space, b';') => ChunkLine::Extension,
        (ChunkLine::Size | ChunkLine::Space | ChunkLine::Extension, b'\r') => ChunkLine::Cr,
        (ChunkLine::Extension, b'\t' | b' '..=b'~' | 0x80..) => ChunkLine::Extension,
        (ChunkLine::Cr, b'\n') => {
            return Ok(match size {
                Some(left @ 1..) => State::ChunkData { left },
                _ => State::Trailers,
            });
        }
        _ => return Err(chunk("its size is not a size")),
    };
    Ok(State::ChunkLine { size, part, len })
}

/// What `input` has of a body of which `left` bytes are to come, and what is left then.
fn take_body<'i>(input: &mut &'i [u8], left: u64) -> (Option<ResponsePart<'i>>, u64) {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    match input.split_at_checked(len) {
        Some((piece, rest)) if !piece.is_empty() => {
            *input = rest;
            (
                Some(ResponsePart::Body(piece)),
                left.saturating_sub(piece.len() as u64),
            )
        }
        _ => (None, left),
    }
}

fn trailers(lines: &[u8]) -> Result<HeaderMap, Http1Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if len == lines.len() => header_map(fields),
        Ok(_) => Err(head("it does not end where its lines do")),
        Err(error) => Err(malformed(error)),
    }
}

fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Http1Error> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| head("a field name"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| head("a field value"))?;
        map.append(name, value);
    }
    Ok(map)
}

fn malformed(error: httparse::Error) -> Http1Error {
    head(match error {
        httparse::Error::HeaderName => "a field name",
        httparse::Error::HeaderValue => "a field value",
        httparse::Error::NewLine => "a line's end",
        httparse::Error::Status => "its status is not a status",
        httparse::Error::TooManyHeaders => "more than 128 fields",
        httparse::Error::Version => return Http1Error::NotHttp,
        _ => "it cannot be parsed",
    })
}

fn head(problem: &'static str) -> Http1Error {
    Http1Error::Head { problem }
}

fn chunk(problem: &'static str) -> Http1Error {
    Http1Error::Chunk { problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq, Clone)]
    struct Outcome {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        trailers: Option<Vec<(String, String)>>,
        reusable: bool,
        surplus: usize,
        error: Option<Http1Error>,
    }

    fn list(map: &HeaderMap) -> Vec<(String, String)> {
        let value = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        map.iter()
            .map(|(name, text)| (name.to_string(), value(text)))
            .collect()
    }

    /// Everything that the decoder says about a connection that sends this and closes.
    fn decode<'c>(
        method: &Method,
        limit: usize,
        chunks: impl IntoIterator<Item = &'c [u8]>,
    ) -> Outcome {
        let mut decoder = ResponseDecoder::new(method).with_max_head(limit);
        let mut outcome = Outcome::default();
        fn note(outcome: &mut Outcome, part: ResponsePart<'_>) {
            match part {
                ResponsePart::Head(head) => {
                    assert_eq!(outcome.status, 0);
                    outcome.status = head.status.as_u16();
                    outcome.headers = list(&head.headers);
                }
                ResponsePart::Body(piece) => {
                    assert!(!piece.is_empty() && outcome.status > 0 && outcome.trailers.is_none());
                    outcome.body.extend_from_slice(piece);
                }
                ResponsePart::End(trailers) => {
                    assert!(outcome.status > 0 && outcome.trailers.is_none());
                    outcome.trailers = Some(list(&trailers));
                }
            }
        }
        for chunk in chunks {
            let mut rest = chunk;
            loop {
                match decoder.next(&mut rest) {
                    Ok(Some(part)) => note(&mut outcome, part),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(
                            decoder
                                .next(&mut &b"HTTP/1.1 200 OK\r\n\r\n"[..])
                                .unwrap_err(),
                            error
                        );
                        assert_eq!(decoder.finish().unwrap_err(), error);
                        assert!(!decoder.is_reusable() && !decoder.is_complete());
                        outcome.error = Some(error);
                        return outcome;
                    }
                }
            }
            assert_eq!(decoder.is_complete(), outcome.trailers.is_some());
            assert!(rest.is_empty() || decoder.is_complete());
            outcome.surplus += rest.len();
        }
        outcome.reusable = decoder.is_reusable();
        match decoder.finish() {
            Ok(part) => {
                part.into_iter().for_each(|part| note(&mut outcome, part));
                assert!(decoder.is_complete() && !decoder.is_reusable());
            }
            Err(error) => outcome.error = Some(error),
        }
        outcome
    }

    fn decode_every_way(method: &Method, limit: usize, stream: &[u8]) -> Outcome {
        let whole = decode(method, limit, [stream]);
        assert_eq!(
            decode(method, limit, stream.chunks(1)),
            whole,
            "byte by byte"
        );
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode(method, limit, [head, tail]), whole, "split at {at}");
        }
        whole
    }

    fn get(stream: &[u8]) -> Outcome {
        decode_every_way(&Method::GET, MAX_HEAD, stream)
    }

    #[test]
    fn bodies() {
        let cases: &[(&str, &[u8], bool, usize)] = &[
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                b"hello",
                true,
                0,
            ),
            (
                "HTTP/1.1 200\r\ncontent-length: 5, 5\r\ncontent-length: 05\r\n\r\nhello",
                b"hello",
                true,
                0,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", true, 0),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP",
                b"ok",
                false,
                4,
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nuntil the end",
                b"until the end",
                false,
                0,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", b"", false, 0),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
                b"ok",
                false,
                0,
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: Keep-Alive\r\n\r\nok",
                b"ok",
                true,
                0,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: foo, Close\r\n\r\nok",
                b"ok",
                false,
                0,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\n\r\n",
                b"hello!",
                true,
                0,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00a \t;x\r\n0123456789\r\n000;e\r\n\r\n",
                b"0123456789",
                true,
                0,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", b"", true, 0),
            (
                "HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc",
                b"",
                false,
                3,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n",
                b"",
                true,
                0,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
                b"x",
                true,
                0,
            ),
            (
                "HTTP/1.1 200 OK\r\nx-a:\t b \t\r\nx-a: c\r\nx-empty:\r\ncontent-length: 0\r\n\r\n",
                b"",
                true,
                0,
            ),
        ];
        for (stream, body, reusable, surplus) in cases {
            let outcome = get(stream.as_bytes());
            assert_eq!(outcome.error, None, "{stream:?}");
            assert_eq!(outcome.body, *body, "{stream:?}");
            assert_eq!(
                (outcome.reusable, outcome.surplus),
                (*reusable, *surplus),
                "{stream:?}"
            );
            assert_eq!(outcome.trailers, Some(vec![]), "{stream:?}");
        }
        let outcome = get(cases.last().unwrap().0.as_bytes());
        let headers = outcome
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(
            headers.collect::<Vec<_>>(),
            [
                ("x-a", "b"),
                ("x-a", "c"),
                ("x-empty", ""),
                ("content-length", "0")
            ]
        );
    }

    #[test]
    fn a_response_to_head_has_no_body() {
        for framing in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
            let stream = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
            let outcome = decode_every_way(&Method::HEAD, MAX_HEAD, stream.as_bytes());
            assert_eq!((outcome.error, outcome.reusable), (None, true));
        }
    }

    #[test]
    fn trailers_are_given_with_the_end() {
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
    fn malformed_responses_are_errors() {
        let head = |problem| Http1Error::Head { problem };
        let chunk = |problem| Http1Error::Chunk { problem };
        let ok = "HTTP/1.1 200 OK\r\n";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
            ("", "garbage\n", Http1Error::NotHttp),
            ("", "\r\nHTTP/1.1 200 OK\r\n\r\n", Http1Error::NotHttp),
            ("", "HTTP/2 200\r\n\r\n", Http1Error::NotHttp),
            ("", "HTTP/1.2 200 OK\r\n\r\n", Http1Error::NotHttp),
            ("", "\x15\x03\x01", Http1Error::NotHttp),
            (
                "",
                "HTTP/1.1 20 OK\r\n\r\n",
                head("its status is not a status"),
            ),
            (
                "",
                "HTTP/1.1 099 OK\r\n\r\n",
                head("its status is not a status"),
            ),
            (
                "",
                "HTTP/1.1 101 Switching\r\n\r\n",
                head("it switches to a protocol that nobody asked for"),
            ),
            ("", "HTTP/1.1 200 OK\n\n", head("a line ends without a CR")),
            (ok, "a: b\nc: d\r\n\r\n", head("a line ends without a CR")),
            (ok, "a: b\rc: d\r\n\r\n", head("a field value")),
            (ok, "a: b\r\n c\r\n\r\n", head("a field name")),
            (ok, "a : b\r\n\r\n", head("a field name")),
            (ok, "a\r\n\r\n", head("a field name")),
            (ok, ": b\r\n\r\n", head("a field name")),
            (ok, "a: \0\r\n\r\n", head("a field value")),
            (ok, "\ra: b\r\n\r\n", head("a line's end")),
            (
                ok,
                "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                head("both a content-length and a transfer-encoding"),
            ),
            (
                ok,
                "content-length: 5\r\ncontent-length: 6\r\n\r\n",
                head("two different content-lengths"),
            ),
            (
                ok,
                "content-length: 5, 6\r\n\r\n",
                head("two different content-lengths"),
            ),
            (
                ok,
                "content-length: +5\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "content-length: -5\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "content-length: 5 5\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "content-length:\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "content-length: 5,\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "content-length: 18446744073709551616\r\n\r\n",
                head("a content-length that is not a length"),
            ),
            (
                ok,
                "transfer-encoding: gzip, chunked\r\n\r\n",
                head("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: chunked, chunked\r\n\r\n",
                head("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
                head("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: xchunked\r\n\r\n",
                head("an unknown transfer-encoding"),
            ),
            (
                "",
                "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                head("a transfer-encoding in HTTP/1.0"),
            ),
            (chunked, "\r\n", chunk("its size is not a size")),
            (chunked, ";a\r\n", chunk("its size is not a size")),
            (chunked, "g\r\n", chunk("its size is not a size")),
            (chunked, "-1\r\n", chunk("its size is not a size")),
            (chunked, "0x1\r\n", chunk("its size is not a size")),
            (chunked, "1 1\r\n", chunk("its size is not a size")),
            (chunked, "1\n", chunk("its size is not a size")),
            (chunked, "1\rx", chunk("its size is not a size")),
            (chunked, "1;a\n", chunk("its size is not a size")),
            (
                chunked,
                "10000000000000000\r\n",
                chunk("its size is not a size"),
            ),
            (
                chunked,
                "1\r\nxy\r\n",
                chunk("its data is longer than its size"),
            ),
            (
                chunked,
                "1\r\nx\n",
                chunk("its data is longer than its size"),
            ),
            (
                chunked,
                "1\r\nx\rx",
                chunk("its data is longer than its size"),
            ),
            (chunked, "0\r\na\r\n\r\n", head("a field name")),
            (chunked, "0\r\na: b\n\r\n", head("a line ends without a CR")),
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let too_large = Some(Http1Error::HeadTooLarge { limit: 100 });
        let with = |len: usize| {
            let start = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: ";
            format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
        };
        assert_eq!(
            decode_every_way(&Method::GET, 100, with(100).as_bytes()).error,
            None
        );
        assert_eq!(
            decode_every_way(&Method::GET, 100, with(101).as_bytes()).error,
            too_large
        );
        for (len, error) in [
            (65_536, None),
            (65_537, Some(Http1Error::HeadTooLarge { limit: 65_536 })),
        ] {
            let head = with(len);
            assert_eq!(
                decode(&Method::GET, MAX_HEAD, [head.as_bytes()]).error,
                error
            );
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_every_way(&Method::GET, 100, endless.as_bytes()).error,
            too_large
        );
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
        assert_eq!(
            decode_every_way(&Method::GET, 100, interim.as_bytes()).error,
            too_large
        );

        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let trailers = format!("{chunked}0\r\na: {}", "x".repeat(100));
        assert_eq!(
            decode_every_way(&Method::GET, 100, trailers.as_bytes()).error,
            too_large
        );
        let problem = "its size line is too long";
        for line in ["0".repeat(5000), format!("1;{}", "x".repeat(5000))] {
            let stream = [chunked, &line].concat();
            assert_eq!(
                decode(&Method::GET, 100, [stream.as_bytes()]).error,
                Some(Http1Error::Chunk { problem })
            );
        }
        for (len, fits) in [(4096, true), (4097, false)] {
            let line = format!("1;{}\r\n", "x".repeat(len - 4));
            let stream = [chunked, &line, "x\r\n0\r\n\r\n"].concat();
            let outcome = decode(&Method::GET, MAX_HEAD, [stream.as_bytes()]);
            assert_eq!(outcome.error.is_none(), fits);
        }
        let fields = |count| format!("HTTP/1.1 204 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(
            decode(&Method::GET, MAX_HEAD, [fields(128).as_bytes()]).error,
            None
        );
        let problem = "more than 128 fields";
        assert_eq!(
            decode(&Method::GET, MAX_HEAD, [fields(129).as_bytes()]).error,
            Some(Http1Error::Head { problem })
        );
    }

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
                let outcome = decode(&Method::GET, MAX_HEAD, [&stream.as_bytes()[..at]]);
                let whole = close_delimited && at >= head;
                assert_eq!(outcome.error.is_none(), whole, "{stream:?} cut at {at}");
                assert!(whole || matches!(outcome.error, Some(Http1Error::Truncated { .. })));
                assert!(!outcome.reusable);
            }
        }
    }

    #[test]
    fn an_end_too_early_says_where_it_was() {
        for (stream, place) in [
            ("", "before the answer"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "before the answer"),
            ("HTTP/1.1 2", "within the answer's head"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
                "within the answer's body",
            ),
        ] {
            let error = Http1Error::Truncated { within: place };
            assert_eq!(get(stream.as_bytes()).error, Some(error), "{stream:?}");
        }
    }

    fn request(
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Request<Bytes> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
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
        fn any_bytes_are_split_alike(
            head in prop::sample::select(vec![
                "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            ]),
            stream in pieces(),
            chunk in 1_usize..20,
            limit in prop_oneof![Just(MAX_HEAD), 0_usize..100],
        ) {
            let stream = [head.as_bytes(), &stream].concat();
            let whole = decode(&Method::GET, limit, [&stream[..]]);
            prop_assert_eq!(decode(&Method::GET, limit, stream.chunks(chunk)), whole);
        }

        #[test]
        fn what_is_chunked_is_joined(
            body in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6),
            chunk in 1_usize..100,
        ) {
            let mut stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for piece in &body {
                stream.extend(format!("{:X}\r\n", piece.len()).bytes());
                stream.extend(piece);
                stream.extend(b"\r\n");
            }
            stream.extend(b"0\r\n\r\n");
            let outcome = decode(&Method::GET, MAX_HEAD, stream.chunks(chunk));
            prop_assert_eq!((outcome.body, outcome.error, outcome.reusable), (body.concat(), None, true));
        }
    }
}
