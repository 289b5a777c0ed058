//! One JSON value per line, the framing of Ollama's own API.

use memchr::memchr;

use super::buffer;

/// Why a stream cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NdjsonError {
    /// A line exceeds the limit of [`NdjsonDecoder::new`].
    #[error("a line is larger than {limit} bytes")]
    #[non_exhaustive]
    LineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A line is not valid UTF-8; it is not repaired.
    #[error("a line is not valid UTF-8 after byte {valid_up_to}")]
    #[non_exhaustive]
    InvalidUtf8 {
        /// The number of valid bytes at the beginning of the line.
        valid_up_to: usize,
    },
}

/// Splits a byte stream at each LF, removes a CR before it, and skips blank lines.
#[derive(Debug)]
pub struct NdjsonDecoder {
    limit: usize,
    line: Vec<u8>,
    /// Whether the last call returned `line`.
    consumed: bool,
    failed: Option<NdjsonError>,
}

impl NdjsonDecoder {
    /// Creates a decoder for lines of at most `max_line_bytes` bytes, without the LF.
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            limit: max_line_bytes,
            line: Vec::new(),
            consumed: false,
            failed: None,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next line and returns the line. If the line is
    /// incomplete, it takes and stores all bytes and returns `None`.
    ///
    /// # Errors
    /// If the line is too long or not UTF-8. The error is final: later calls return it again.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a str>, NdjsonError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let line = match self.advance(input) {
            Ok(None) => return Ok(None),
            Ok(Some(Line::Borrowed(line))) => content(line),
            Ok(Some(Line::Kept)) => content(&self.line),
            Err(error) => {
                self.failed = Some(error);
                return Err(error);
            }
        };
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(error) => {
                let error = NdjsonError::InvalidUtf8 {
                    valid_up_to: error.valid_up_to(),
                };
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// True if the bytes so far end inside a line that is not blank.
    pub(crate) fn is_inside_line(&self) -> bool {
        !self.consumed && !content(&self.line).is_empty()
    }

    /// At the end of the body: returns the last line if it has no LF and is not blank. The line may be incomplete;
    /// the caller must check that. A line that ends inside a character is dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<&str>, NdjsonError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.consumed {
            buffer::clear(&mut self.line);
        }
        self.consumed = true;
        let line = content(&self.line);
        if line.is_empty() {
            return Ok(None);
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(error) => {
                let error = NdjsonError::InvalidUtf8 {
                    valid_up_to: error.valid_up_to(),
                };
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Line<'i>>, NdjsonError> {
        if self.consumed {
            self.consumed = false;
            buffer::clear(&mut self.line);
        }
        while let Some((line, rest)) =
            memchr(b'\n', input).and_then(|at| input.split_at_checked(at))
        {
            *input = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.check(line.len())?;
                if !content(line).is_empty() {
                    return Ok(Some(Line::Borrowed(line)));
                }
            } else {
                self.keep(line)?;
                if !content(&self.line).is_empty() {
                    self.consumed = true;
                    return Ok(Some(Line::Kept));
                }
                self.line.clear();
            }
        }
        self.keep(std::mem::take(input))?;
        Ok(None)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), NdjsonError> {
        self.check(self.line.len().saturating_add(bytes.len()))?;
        buffer::append(&mut self.line, bytes, self.limit);
        Ok(())
    }

    fn check(&self, len: usize) -> Result<(), NdjsonError> {
        if len > self.limit {
            return Err(NdjsonError::LineTooLong { limit: self.limit });
        }
        Ok(())
    }
}

enum Line<'i> {
    Borrowed(&'i [u8]),
    Kept,
}

/// The line without its CR; empty if it has only white space.
fn content(line: &[u8]) -> &[u8] {
    if line.trim_ascii().is_empty() {
        return &[];
    }
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = (Vec<String>, Option<NdjsonError>);

    fn decode<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
        let mut decoder = NdjsonDecoder::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut rest = chunk;
            loop {
                match decoder.next(&mut rest) {
                    Ok(Some(line)) => lines.push(line.to_owned()),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next(&mut &b"{}\n"[..]), Err(error));
                        assert_eq!(decoder.finish(), Err(error));
                        return (lines, Some(error));
                    }
                }
            }
        }
        match decoder.finish() {
            Ok(last) => lines.extend(last.map(str::to_owned)),
            Err(error) => return (lines, Some(error)),
        }
        assert_eq!(decoder.finish(), Ok(None));
        (lines, None)
    }

    #[test]
    fn any_chunking_gives_the_same_lines() {
        let cases: &[(&[u8], &[&str], Option<NdjsonError>)] = &[
            (b"", &[], None),
            (b"{}\n", &["{}"], None),
            (b"{}\r\n{ }\n\n \r\n\t\n[1]\n", &["{}", "{ }", "[1]"], None),
            (b"{}\n{\"a\"", &["{}", "{\"a\""], None),
            (b"{}\r", &["{}"], None),
            (b"{}\n  \r", &["{}"], None),
            ("\"\u{1F980}\"\n".as_bytes(), &["\"\u{1F980}\""], None),
            (b"{}\n\"\xE2\x82", &["{}"], None),
            (
                b"{}\n\"\xFF\"\n{}",
                &["{}"],
                Some(NdjsonError::InvalidUtf8 { valid_up_to: 1 }),
            ),
            (
                b"{}\n\"\xFF",
                &["{}"],
                Some(NdjsonError::InvalidUtf8 { valid_up_to: 1 }),
            ),
            (
                b"123456789\n1234567890\n",
                &["123456789", "1234567890"],
                None,
            ),
            (
                b"1\n12345678901\n2\n",
                &["1"],
                Some(NdjsonError::LineTooLong { limit: 10 }),
            ),
            (
                b"1\n12345678901",
                &["1"],
                Some(NdjsonError::LineTooLong { limit: 10 }),
            ),
            (
                b"1\n           ",
                &["1"],
                Some(NdjsonError::LineTooLong { limit: 10 }),
            ),
        ];
        for (stream, lines, error) in cases {
            let expected = (lines.iter().map(|line| line.to_string()).collect(), *error);
            assert_eq!(decode(10, [*stream]), expected, "{stream:?}");
            assert_eq!(
                decode(10, stream.chunks(1)),
                expected,
                "{stream:?} byte by byte"
            );
            for at in 0..=stream.len() {
                let (head, tail) = stream.split_at(at);
                assert_eq!(
                    decode(10, [head, tail]),
                    expected,
                    "{stream:?} split at {at}"
                );
            }
        }
    }

    #[test]
    fn a_line_in_one_chunk_is_borrowed_from_it() {
        let chunk = b"{\"a\":1}\r\n\n{}\n".to_vec();
        let mut decoder = NdjsonDecoder::new(100);
        let mut rest = &chunk[..];
        while let Some(line) = decoder.next(&mut rest).unwrap() {
            assert!(chunk.as_ptr_range().contains(&line.as_ptr()));
        }
        assert_eq!(decoder.line.capacity(), 0);
    }
}
