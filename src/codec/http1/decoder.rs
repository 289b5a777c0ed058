//! Decodes the bytes of a response.

use super::{
    error::Http1Error,
    framing::{Framing, next_body},
    headers,
    lines::Lines,
};
use http::{HeaderMap, Method, response};

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
                    let Some(head) = headers::read(&self.lines.bytes)? else {
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
                    let trailers = headers::trailers(&self.lines.bytes)?;
                    return Ok(Some(self.end(trailers)));
                }
                State::Done { .. } => return Ok(None),
            }
        }
    }

    fn begin_body(&mut self, head: &response::Parts) -> Result<(), Http1Error> {
        let framing = Framing::of(head, self.head_only)?;
        self.keep_alive = headers::keeps_alive(head) && !matches!(framing, Framing::UntilClose);
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
