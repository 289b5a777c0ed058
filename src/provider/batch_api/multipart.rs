//! `multipart/form-data` (RFC 7578), as file uploads want it.

use crate::{Error, ErrorKind, provider_batch::NewFile};
use bytes::Bytes;
use http::HeaderValue;
use std::{
    io,
    task::{Context, Poll, ready},
};
use unifiedai_transport::{BodyPieces, BodySource, PollPieces, RequestBody};

/// A form of fields and a file, and its media type with the boundary. The file's bytes are not copied.
pub(crate) fn form(
    fields: &[(&str, &str)],
    file: Option<&NewFile>,
) -> Result<(HeaderValue, RequestBody), Error> {
    let boundary = boundary(fields, file)?;
    let mut body = Vec::with_capacity(1024);
    let mut parts = Vec::new();
    for (name, value) in fields {
        let head = [
            "--",
            &boundary,
            "\r\ncontent-disposition: form-data; name=\"",
            name,
            "\"\r\n\r\n",
            value,
            "\r\n",
        ];
        body.extend_from_slice(head.concat().as_bytes());
    }
    if let Some(file) = file {
        let head = [
            "--",
            &boundary,
            "\r\ncontent-disposition: form-data; name=\"file\"; filename=\"",
            &file_name(&file.name),
            "\"\r\ncontent-type: ",
            media_type(file)?,
            "\r\n\r\n",
        ];
        body.extend_from_slice(head.concat().as_bytes());
        parts.push(std::mem::take(&mut body).into());
        parts.push(match file.content.is_streamed() {
            true => without(&boundary, &file.content),
            false => file.content.clone(),
        });
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(["--", &boundary, "--\r\n"].concat().as_bytes());
    parts.push(body.into());
    let media_type = ["multipart/form-data; boundary=", &boundary].concat();
    let media_type = HeaderValue::from_str(&media_type)
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the boundary is no header value"))?;
    Ok((media_type, RequestBody::concat(parts)))
}

/// A file's media type as the value of a header.
pub(crate) fn media_type(file: &NewFile) -> Result<&str, Error> {
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if is_plain(&file.media_type) {
        return Ok(&file.media_type);
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "the media type `{}` of the file `{}` is empty or has characters other than visible ASCII",
            file.media_type.escape_debug(),
            file.name.escape_debug()
        ),
    ))
}

/// The name as browsers write it: quotes and line breaks are percent-encoded (HTML standard, multipart/form-data encoding).
fn file_name(name: &str) -> String {
    let name = if name.is_empty() { "file" } else { name };
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A text that is nowhere in what is between the boundaries. The same form has the same boundary, so that a repeated request
/// is the same. A streamed file cannot be searched beforehand: see [`without`].
fn boundary(fields: &[(&str, &str)], file: Option<&NewFile>) -> Result<String, Error> {
    let content = file.and_then(|file| file.content.as_bytes());
    let content: &[u8] = content.map_or(&[], |content| content);
    let candidates = (0..64_u32).map(|number| format!("unifiedai-form-boundary-{number:02}"));
    let is_free = |candidate: &String| {
        let finder = memchr::memmem::Finder::new(candidate.as_bytes());
        finder.find(content).is_none()
            && fields
                .iter()
                .all(|(_, value)| finder.find(value.as_bytes()).is_none())
    };
    candidates.into_iter().find(is_free).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the file has every text in it that could divide it from the rest of the form",
        )
    })
}

/// The same body, which fails if this boundary is in it: the server would take that for the end of the file.
fn without(boundary: &str, content: &RequestBody) -> RequestBody {
    let searched = Searched {
        content: content.clone(),
        boundary: boundary.to_owned(),
    };
    RequestBody::from_source(content.len(), searched)
}

struct Searched {
    content: RequestBody,
    boundary: String,
}

struct SearchedPieces {
    pieces: BodyPieces,
    boundary: String,
    /// The end of what was read, one byte shorter than the boundary.
    tail: Vec<u8>,
}

impl BodySource for Searched {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(SearchedPieces {
            pieces: self.content.open().map_err(io::Error::other)?,
            boundary: self.boundary.clone(),
            tail: Vec::new(),
        }))
    }

    fn is_repeatable(&self) -> bool {
        self.content.is_repeatable()
    }
}

impl SearchedPieces {
    fn has_boundary(&mut self, piece: &[u8]) -> bool {
        let boundary = self.boundary.as_bytes();
        let kept = boundary.len().saturating_sub(1);
        let start = piece.get(..kept).unwrap_or(piece);
        self.tail.extend_from_slice(start);
        let found = memchr::memmem::find(&self.tail, boundary)
            .or_else(|| memchr::memmem::find(piece, boundary));
        self.tail
            .extend_from_slice(piece.get(start.len()..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(kept);
        self.tail.drain(..surplus);
        found.is_some()
    }
}

impl PollPieces for SearchedPieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let piece = ready!(self.pieces.poll_piece(cx)).map_err(io::Error::other)?;
        if piece.as_ref().is_some_and(|piece| self.has_boundary(piece)) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the file contains `{}`, the boundary of its form: pass it as bytes in memory",
                    self.boundary
                ),
            )));
        }
        Poll::Ready(Ok(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_fields_and_the_file_between_boundaries() {
        let file = NewFile::new("a\"b\r\n.jsonl", "application/jsonl", "{}\n");
        let (media_type, body) = form(&[("purpose", "batch")], Some(&file)).unwrap();
        assert_eq!(
            media_type,
            "multipart/form-data; boundary=unifiedai-form-boundary-00"
        );
        let expected = "--unifiedai-form-boundary-00\r\n\
            content-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
            --unifiedai-form-boundary-00\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a%22b%0D%0A.jsonl\"\r\n\
            content-type: application/jsonl\r\n\r\n{}\n\r\n\
            --unifiedai-form-boundary-00--\r\n";
        let streamed = RequestBody::from_reader(3, || Ok(&b"{}\n"[..]));
        let file = NewFile::new("a\"b\r\n.jsonl", "application/jsonl", streamed);
        let (same_type, same) = form(&[("purpose", "batch")], Some(&file)).unwrap();
        assert!(same.is_streamed() && same_type == media_type);
        for body in [body, same] {
            assert_eq!(body.len(), expected.len() as u64);
            let body = body.collect(10_000).unwrap();
            assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        }
    }

    #[test]
    fn a_boundary_that_the_file_has_in_it_is_not_taken() {
        let file = NewFile::new("f", "text/plain", "unifiedai-form-boundary-00");
        let (media_type, _) = form(&[("a", "unifiedai-form-boundary-01")], Some(&file)).unwrap();
        assert!(media_type.to_str().unwrap().ends_with("-02"));
    }

    /// Gives one byte at a time.
    struct Bytewise(&'static [u8]);

    impl io::Read for Bytewise {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.0.len().min(1);
            self.0.read(&mut buffer[..size])
        }
    }

    #[test]
    fn a_streamed_file_with_the_boundary_in_it_fails_wherever_it_is_cut() {
        let text = "a unifiedai-form-boundary-00 b";
        let whole = RequestBody::from_reader(30, move || Ok(text.as_bytes()));
        let bytewise = RequestBody::from_reader(30, move || Ok(Bytewise(text.as_bytes())));
        for content in [whole, bytewise] {
            let file = NewFile::new("f", "text/plain", content);
            let (_, body) = form(&[], Some(&file)).unwrap();
            let error = body.collect(10_000).unwrap_err().to_string();
            assert!(error.contains("the boundary of its form"), "{error}");
        }
        let harmless = "a unifiedai-form-boundary-0 unifiedai-form-boundary-1";
        let length = harmless.len() as u64;
        let content = RequestBody::from_reader(length, move || Ok(Bytewise(harmless.as_bytes())));
        let (_, body) = form(&[], Some(&NewFile::new("f", "text/plain", content))).unwrap();
        assert!(body.collect(10_000).is_ok());
    }

    #[test]
    fn a_media_type_with_a_line_break_is_refused() {
        let file = NewFile::new("f", "text/plain\r\nx: y", "");
        let error = form(&[], Some(&file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}
