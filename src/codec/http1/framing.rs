//! The framing of the body: by a length, by chunks (RFC 9112, 7.1), or by the end of the connection.

use super::{Http1Error, chunk_error, header_error};
use http::{
    HeaderMap, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    response,
};

#[derive(Debug)]
pub(super) enum Framing {
    Fixed { left: u64 },
    UntilClose,
    Chunked(Chunks),
}

impl Framing {
    /// The framing according to the headers (RFC 9112, 6.3).
    pub(super) fn of(parts: &response::Parts, head_only: bool) -> Result<Self, Http1Error> {
        let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
        let coding = codings.next();
        let length = content_length(&parts.headers)?;
        if let Some(coding) = coding {
            if length.is_some() {
                return Err(header_error(
                    "both a content-length and a transfer-encoding",
                ));
            }
            if parts.version == Version::HTTP_10 {
                return Err(header_error("a transfer-encoding in HTTP/1.0"));
            }
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(header_error("an unknown transfer-encoding"));
            }
        }
        if head_only
            || matches!(
                parts.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            )
        {
            return Ok(Framing::Fixed { left: 0 });
        }
        Ok(match (coding, length) {
            (Some(_), _) => Framing::Chunked(Chunks::START),
            (None, Some(left)) => Framing::Fixed { left },
            (None, None) => Framing::UntilClose,
        })
    }
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
            let number: u64 = number.ok_or_else(|| header_error("invalid content-length"))?;
            if length.is_some_and(|length| length != number) {
                return Err(header_error("two different content-lengths"));
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// The next bytes of a body of which `left` bytes are missing.
pub(super) fn next_body<'i>(input: &mut &'i [u8], left: &mut u64) -> Option<&'i [u8]> {
    let len = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.len());
    let (piece, rest) = input.split_at_checked(len)?;
    if piece.is_empty() {
        return None;
    }
    *input = rest;
    *left = left.saturating_sub(piece.len() as u64);
    Some(piece)
}

/// The limit of a chunk's size line, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// The position of the next byte in the chunked encoding.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunks {
    Line {
        size: Option<u64>,
        part: SizeLinePart,
        len: usize,
    },
    Data {
        left: u64,
    },
    /// The CR and the LF after a chunk's data.
    End {
        cr: bool,
    },
    /// After the last chunk; the trailers follow.
    Over,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SizeLinePart {
    Size,
    /// White space between the size and an extension.
    Space,
    Extension,
    Cr,
}

impl Chunks {
    pub(super) const START: Chunks = Chunks::Line {
        size: None,
        part: SizeLinePart::Size,
        len: 0,
    };

    pub(super) fn are_over(&self) -> bool {
        matches!(self, Chunks::Over)
    }

    /// The next data; `None` if `input` has none, or after the last chunk.
    pub(super) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'i [u8]>, Http1Error> {
        loop {
            match self {
                Chunks::Line { size, part, len } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    *self = line(*byte, *size, *part, *len)?;
                }
                Chunks::Data { left: 0 } => *self = Chunks::End { cr: false },
                Chunks::Data { left } => return Ok(next_body(input, left)),
                Chunks::End { cr } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    *self = match (*cr, byte) {
                        (false, b'\r') => Chunks::End { cr: true },
                        (true, b'\n') => Chunks::START,
                        _ => return Err(chunk_error("chunk data exceeds the chunk size")),
                    };
                }
                Chunks::Over => return Ok(None),
            }
        }
    }
}

fn line(byte: u8, size: Option<u64>, part: SizeLinePart, len: usize) -> Result<Chunks, Http1Error> {
    let len = len.saturating_add(1);
    if len > MAX_CHUNK_LINE {
        return Err(chunk_error("the chunk size line is too long"));
    }
    let part = match (part, byte) {
        (SizeLinePart::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).map(u64::from);
            let size = size
                .unwrap_or(0)
                .checked_mul(16)
                .zip(digit)
                .and_then(|(high, low)| high.checked_add(low));
            if size.is_none() {
                return Err(chunk_error("invalid chunk size"));
            }
            return Ok(Chunks::Line { size, part, len });
        }
        _ if size.is_none() => return Err(chunk_error("invalid chunk size")),
        (SizeLinePart::Size | SizeLinePart::Space, b' ' | b'\t') => SizeLinePart::Space,
        (SizeLinePart::Size | SizeLinePart::Space, b';') => SizeLinePart::Extension,
        (SizeLinePart::Size | SizeLinePart::Space | SizeLinePart::Extension, b'\r') => {
            SizeLinePart::Cr
        }
        (SizeLinePart::Extension, b'\t' | b' '..=b'~' | 0x80..) => SizeLinePart::Extension,
        (SizeLinePart::Cr, b'\n') => {
            return Ok(match size {
                Some(left @ 1..) => Chunks::Data { left },
                _ => Chunks::Over,
            });
        }
        _ => return Err(chunk_error("invalid chunk size")),
    };
    Ok(Chunks::Line { size, part, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::{
        decoder::MAX_HEADER_BYTES,
        testing::{decode, decode_with_every_chunking, get},
    };
    use http::Method;
    use proptest::prelude::*;

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
    fn response_to_a_head_request_has_no_body() {
        for framing in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
            let stream = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
            let outcome =
                decode_with_every_chunking(&Method::HEAD, MAX_HEADER_BYTES, stream.as_bytes());
            assert_eq!((outcome.error, outcome.reusable), (None, true));
        }
    }

    // F104
    #[test]
    fn unclear_framing_is_an_error() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
            (
                ok,
                "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                header_error("both a content-length and a transfer-encoding"),
            ),
            (
                ok,
                "content-length: 5\r\ncontent-length: 6\r\n\r\n",
                header_error("two different content-lengths"),
            ),
            (
                ok,
                "content-length: 5, 6\r\n\r\n",
                header_error("two different content-lengths"),
            ),
            (
                ok,
                "content-length: +5\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "content-length: -5\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "content-length: 5 5\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "content-length:\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "content-length: 5,\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "content-length: 18446744073709551616\r\n\r\n",
                header_error("invalid content-length"),
            ),
            (
                ok,
                "transfer-encoding: gzip, chunked\r\n\r\n",
                header_error("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: chunked, chunked\r\n\r\n",
                header_error("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
                header_error("an unknown transfer-encoding"),
            ),
            (
                ok,
                "transfer-encoding: xchunked\r\n\r\n",
                header_error("an unknown transfer-encoding"),
            ),
            (
                "",
                "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                header_error("a transfer-encoding in HTTP/1.0"),
            ),
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn malformed_chunks_are_errors() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
            (chunked, "\r\n", chunk_error("invalid chunk size")),
            (chunked, ";a\r\n", chunk_error("invalid chunk size")),
            (chunked, "g\r\n", chunk_error("invalid chunk size")),
            (chunked, "-1\r\n", chunk_error("invalid chunk size")),
            (chunked, "0x1\r\n", chunk_error("invalid chunk size")),
            (chunked, "1 1\r\n", chunk_error("invalid chunk size")),
            (chunked, "1\n", chunk_error("invalid chunk size")),
            (chunked, "1\rx", chunk_error("invalid chunk size")),
            (chunked, "1;a\n", chunk_error("invalid chunk size")),
            (
                chunked,
                "10000000000000000\r\n",
                chunk_error("invalid chunk size"),
            ),
            (
                chunked,
                "1\r\nxy\r\n",
                chunk_error("chunk data exceeds the chunk size"),
            ),
            (
                chunked,
                "1\r\nx\n",
                chunk_error("chunk data exceeds the chunk size"),
            ),
            (
                chunked,
                "1\r\nx\rx",
                chunk_error("chunk data exceeds the chunk size"),
            ),
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn size_lines_are_limited() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let problem = "the chunk size line is too long";
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
            let outcome = decode(&Method::GET, MAX_HEADER_BYTES, [stream.as_bytes()]);
            assert_eq!(outcome.error.is_none(), fits);
        }
    }

    proptest! {
        #[test]
        fn chunked_bodies_are_joined(
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
            let outcome = decode(&Method::GET, MAX_HEADER_BYTES, stream.chunks(chunk));
            prop_assert_eq!((outcome.body, outcome.error, outcome.reusable), (body.concat(), None, true));
        }
    }
}
