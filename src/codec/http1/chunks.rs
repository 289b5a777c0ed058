//! The chunks of a body (RFC 9112, 7.1).

use super::{
    error::{Http1Error, chunk},
    framing::take_body,
};

/// The limit for a chunk's size line, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// Where in the chunks the next byte falls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunks {
    Line {
        size: Option<u64>,
        part: Part,
        len: usize,
    },
    Data {
        left: u64,
    },
    /// The CR and the LF after a chunk's data.
    End {
        cr: bool,
    },
    /// The last one was there: the trailers follow.
    Over,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Size,
    /// White space between the size and an extension.
    Space,
    Extension,
    Cr,
}

impl Chunks {
    pub(super) const START: Chunks = Chunks::Line {
        size: None,
        part: Part::Size,
        len: 0,
    };

    pub(super) fn are_over(&self) -> bool {
        matches!(self, Chunks::Over)
    }

    /// The next piece of data, unless `input` has none, or the last chunk is over.
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
                Chunks::Data { left } => return Ok(take_body(input, left)),
                Chunks::End { cr } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    *self = match (*cr, byte) {
                        (false, b'\r') => Chunks::End { cr: true },
                        (true, b'\n') => Chunks::START,
                        _ => return Err(chunk("its data is longer than its size")),
                    };
                }
                Chunks::Over => return Ok(None),
            }
        }
    }
}

fn line(byte: u8, size: Option<u64>, part: Part, len: usize) -> Result<Chunks, Http1Error> {
    let len = len.saturating_add(1);
    if len > MAX_CHUNK_LINE {
        return Err(chunk("its size line is too long"));
    }
    let part = match (part, byte) {
        (Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).map(u64::from);
            let size = size
                .unwrap_or(0)
                .checked_mul(16)
                .zip(digit)
                .and_then(|(high, low)| high.checked_add(low));
            if size.is_none() {
                return Err(chunk("its size is not a size"));
            }
            return Ok(Chunks::Line { size, part, len });
        }
        _ if size.is_none() => return Err(chunk("its size is not a size")),
        (Part::Size | Part::Space, b' ' | b'\t') => Part::Space,
        (Part::Size | Part::Space, b';') => Part::Extension,
        (Part::Size | Part::Space | Part::Extension, b'\r') => Part::Cr,
        (Part::Extension, b'\t' | b' '..=b'~' | 0x80..) => Part::Extension,
        (Part::Cr, b'\n') => {
            return Ok(match size {
                Some(left @ 1..) => Chunks::Data { left },
                _ => Chunks::Over,
            });
        }
        _ => return Err(chunk("its size is not a size")),
    };
    Ok(Chunks::Line { size, part, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::{
        decoder::MAX_HEAD,
        testing::{decode, get},
    };
    use http::Method;
    use proptest::prelude::*;

    #[test]
    fn malformed_chunks_are_errors() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let cases: &[(&str, &str, Http1Error)] = &[
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
        ];
        for (start, rest, error) in cases {
            let stream = [*start, *rest].concat();
            assert_eq!(get(stream.as_bytes()).error, Some(*error), "{stream:?}");
        }
    }

    #[test]
    fn size_lines_are_limited() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
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
    }

    proptest! {
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
