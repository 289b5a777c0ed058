//! `multipart/form-data` (RFC 7578), as file uploads want it.

use crate::{Error, ErrorKind, provider_batch::NewFile};
use bytes::Bytes;
use http::HeaderValue;

/// A form of fields and a file, and its media type with the boundary.
pub(crate) fn form(
    fields: &[(&str, &str)],
    file: Option<&NewFile>,
) -> Result<(HeaderValue, Bytes), Error> {
    let content = file.map_or(&[][..], |file| &file.content);
    let boundary = boundary(fields, content)?;
    let size = content.len().saturating_add(1024);
    let mut body = Vec::with_capacity(size);
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
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(["--", &boundary, "--\r\n"].concat().as_bytes());
    let media_type = ["multipart/form-data; boundary=", &boundary].concat();
    let media_type = HeaderValue::from_str(&media_type)
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the boundary is no header value"))?;
    Ok((media_type, body.into()))
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
/// is the same.
fn boundary(fields: &[(&str, &str)], content: &[u8]) -> Result<String, Error> {
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
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn a_boundary_that_the_file_has_in_it_is_not_taken() {
        let file = NewFile::new("f", "text/plain", "unifiedai-form-boundary-00");
        let (media_type, _) = form(&[("a", "unifiedai-form-boundary-01")], Some(&file)).unwrap();
        assert!(media_type.to_str().unwrap().ends_with("-02"));
    }

    #[test]
    fn a_media_type_with_a_line_break_is_refused() {
        let file = NewFile::new("f", "text/plain\r\nx: y", "");
        let error = form(&[], Some(&file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}
