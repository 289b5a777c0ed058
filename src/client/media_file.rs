//! Media from files. This is part of the client because the core reads no files.

use crate::{ContentPart, Error, ErrorKind, Media};
use bytes::Bytes;
use std::path::Path;

impl Media {
    /// Reads a file, to be sent inline. The MIME type is detected from its first bytes; for text formats, which have
    /// no signature, from the name's extension.
    ///
    /// # Errors
    /// `invalid_request` if the file cannot be read, is empty, or has an unknown type. [`Media::inline`] takes any
    /// MIME type.
    #[expect(clippy::disallowed_methods, reason = "the caller named the file")]
    pub fn from_path(path: impl AsRef<Path>) -> Result<Media, Error> {
        let path = path.as_ref();
        let refuse = |what: String| {
            let message = format!("the file `{}` {what}", path.display());
            Error::new(ErrorKind::InvalidRequest, message)
        };
        let data = std::fs::read(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        if data.is_empty() {
            return Err(refuse("is empty".to_owned()));
        }
        let mime_type = mime_type(&data, path).ok_or_else(|| {
            refuse("has an unknown type: send it with `Media::inline` and its MIME type".to_owned())
        })?;
        Ok(Media::inline(mime_type, Bytes::from(data)))
    }
}

impl ContentPart {
    /// Reads a file as an image, audio, video or document, according to its MIME type. A document gets the file's
    /// name.
    ///
    /// ```no_run
    /// use unifiedai::{ChatRequest, ContentPart};
    /// let request = ChatRequest::new("gpt-5-mini")
    ///     .user_parts(vec!["What is in this picture?".into(), ContentPart::from_path("cat.png")?]);
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Media::from_path`].
    pub fn from_path(path: impl AsRef<Path>) -> Result<ContentPart, Error> {
        let path = path.as_ref();
        let media = Media::from_path(path)?;
        let kind = match &media {
            Media::Inline { mime_type, .. } => mime_type.split('/').next().unwrap_or_default(),
            _ => "",
        };
        Ok(match kind {
            "image" => ContentPart::Image {
                media,
                detail: None,
            },
            "audio" => ContentPart::Audio { media },
            "video" => ContentPart::Video { media },
            _ => ContentPart::Document {
                media,
                name: path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            },
        })
    }
}

fn mime_type(data: &[u8], path: &Path) -> Option<&'static str> {
    if let Some(kind) = infer::get(data) {
        // The registered MIME types, which every provider accepts.
        return Some(match kind.mime_type() {
            "audio/x-wav" => "audio/wav",
            "audio/x-flac" => "audio/flac",
            other => other,
        });
    }
    let is_text = std::str::from_utf8(data).is_ok_and(|text| !text.contains('\0'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    is_text.then(|| match extension.unwrap_or_default() {
        "md" | "markdown" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "xml" => "text/xml",
        "json" => "application/json",
        _ => "text/plain",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mime_type_is_detected_from_the_first_bytes() {
        let cases: [(&[u8], &str, &str); 9] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.jpg", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a", "image/jpeg"),
            (b"GIF89a\x01\0", "a", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "a", "image/webp"),
            (b"%PDF-1.7\n", "a.txt", "application/pdf"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "a", "audio/wav"),
            (b"# Title\n", "a.md", "text/markdown"),
            (b"plain", "a", "text/plain"),
            ("h\u{e9}".as_bytes(), "a.csv", "text/csv"),
        ];
        for (data, name, expected) in cases {
            assert_eq!(mime_type(data, Path::new(name)), Some(expected), "{name}");
        }
        assert_eq!(mime_type(b"\0\x01\x02\xff", Path::new("a.png")), None);
    }

    #[test]
    fn a_file_becomes_a_part_of_its_media_kind() {
        let folder = std::env::temp_dir().join(format!("unifiedai-media-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, data: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, data).unwrap();
            path
        };
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let picture = ContentPart::from_path(file("cat.bin", png)).unwrap();
        assert_eq!(picture, ContentPart::image("image/png", png.as_slice()));
        let pdf = b"%PDF-1.7\n";
        let document = ContentPart::from_path(file("a.pdf", pdf)).unwrap();
        let expected = ContentPart::document("a.pdf", "application/pdf", pdf.as_slice());
        assert_eq!(document, expected);
        for (path, what) in [
            (folder.join("missing.png"), "cannot be read"),
            (file("empty.png", b""), "is empty"),
            (file("odd", b"\0\x01\xff"), "has an unknown type"),
        ] {
            let error = Media::from_path(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.message().contains(what), "{error}");
            assert!(error.message().contains(&path.display().to_string()));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
