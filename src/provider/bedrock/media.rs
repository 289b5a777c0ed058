//! Pictures, films, sound and documents: Bedrock names their formats itself and fetches nothing but from S3.

use crate::{Error, ErrorKind, Media};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeSet};

/// What a medium is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Video,
    Audio,
}

/// Formats as Bedrock names them, by MIME type and by file extension.
type Formats = &'static [(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
)];

const IMAGES: Formats = &[
    ("png", &["image/png"], &["png"]),
    ("jpeg", &["image/jpeg", "image/jpg"], &["jpeg", "jpg"]),
    ("gif", &["image/gif"], &["gif"]),
    ("webp", &["image/webp"], &["webp"]),
];

const DOCUMENTS: Formats = &[
    ("pdf", &["application/pdf"], &["pdf"]),
    ("csv", &["text/csv"], &["csv"]),
    ("doc", &["application/msword"], &["doc"]),
    (
        "docx",
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        &["docx"],
    ),
    ("xls", &["application/vnd.ms-excel"], &["xls"]),
    (
        "xlsx",
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        &["xlsx"],
    ),
    ("html", &["text/html"], &["html", "htm"]),
    ("txt", &["text/plain"], &["txt"]),
    ("md", &["text/markdown", "text/x-markdown"], &["md"]),
];

const VIDEOS: Formats = &[
    ("mkv", &["video/x-matroska", "video/matroska"], &["mkv"]),
    ("mov", &["video/quicktime"], &["mov"]),
    ("mp4", &["video/mp4"], &["mp4"]),
    ("webm", &["video/webm"], &["webm"]),
    ("flv", &["video/x-flv"], &["flv"]),
    ("mpeg", &["video/mpeg"], &["mpeg"]),
    ("mpg", &["video/mpg"], &["mpg"]),
    ("wmv", &["video/x-ms-wmv"], &["wmv"]),
    ("three_gp", &["video/3gpp"], &["3gp"]),
];

const SOUNDS: Formats = &[
    ("mp3", &["audio/mp3"], &["mp3"]),
    ("opus", &["audio/opus"], &["opus"]),
    ("wav", &["audio/wav", "audio/x-wav", "audio/wave"], &["wav"]),
    ("aac", &["audio/aac"], &["aac"]),
    ("flac", &["audio/flac", "audio/x-flac"], &["flac"]),
    ("mp4", &["audio/mp4"], &["mp4"]),
    ("ogg", &["audio/ogg"], &["ogg"]),
    ("mkv", &["audio/x-matroska", "audio/matroska"], &["mkv"]),
    ("mka", &["audio/mka"], &["mka"]),
    ("x-aac", &["audio/x-aac"], &["x-aac"]),
    ("m4a", &["audio/m4a", "audio/x-m4a"], &["m4a"]),
    // The registered name of MP3, of which Bedrock also has `mpeg` and `mpga`.
    ("mp3", &["audio/mpeg"], &["mpeg", "mpga"]),
    ("pcm", &["audio/pcm", "audio/l16"], &["pcm"]),
    ("webm", &["audio/webm"], &["webm"]),
];

impl Kind {
    fn formats(self) -> Formats {
        match self {
            Kind::Image => IMAGES,
            Kind::Document => DOCUMENTS,
            Kind::Video => VIDEOS,
            Kind::Audio => SOUNDS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Image => "picture",
            Kind::Document => "document",
            Kind::Video => "video",
            Kind::Audio => "sound",
        }
    }
}

/// Where a medium is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source<'a> {
    Bytes(Cow<'a, str>),
    S3Location { uri: &'a str },
}

/// The format and the source of a medium.
pub(super) fn read(kind: Kind, media: &Media) -> Result<(&'static str, Source<'_>), Error> {
    match media {
        Media::Inline { mime_type, data } => {
            let format = by_mime(kind, mime_type)?;
            Ok((format, Source::Bytes(STANDARD.encode(data).into())))
        }
        Media::Url { url, mime_type } if url.starts_with("s3://") => {
            let format = match mime_type {
                Some(mime_type) => by_mime(kind, mime_type)?,
                None => by_extension(kind, url)?,
            };
            Ok((format, Source::S3Location { uri: url }))
        }
        Media::Url { url, .. } if url.starts_with("data:") => data_url(kind, url),
        Media::Url { .. } => Err(refuse(format!(
            "Bedrock does not fetch a {} from a web address: pass its bytes, or an address in S3",
            kind.name()
        ))),
        Media::File { .. } => Err(refuse(format!(
            "Bedrock keeps no files: pass the bytes of the {}, or its address in S3",
            kind.name()
        ))),
    }
}

fn data_url(kind: Kind, url: &str) -> Result<(&'static str, Source<'_>), Error> {
    let parts = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','))
        .and_then(|(kind, data)| Some((kind.strip_suffix(";base64")?, data)))
        .filter(|(_, data)| STANDARD.decode(data).is_ok_and(|bytes| !bytes.is_empty()));
    let Some((mime_type, data)) = parts else {
        return Err(refuse(format!(
            "the `data:` URL of a {} is not base64",
            kind.name()
        )));
    };
    Ok((by_mime(kind, mime_type)?, Source::Bytes(data.into())))
}

fn by_mime(kind: Kind, mime_type: &str) -> Result<&'static str, Error> {
    let bare = mime_type.split(';').next().unwrap_or(mime_type).trim();
    kind.formats()
        .iter()
        .find(|(_, types, _)| types.iter().any(|known| bare.eq_ignore_ascii_case(known)))
        .map(|(format, ..)| *format)
        .ok_or_else(|| unknown(kind, mime_type))
}

fn by_extension(kind: Kind, url: &str) -> Result<&'static str, Error> {
    let extension = url.rsplit('.').next().unwrap_or_default();
    kind.formats()
        .iter()
        .find(|(.., known)| {
            known
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
        .map(|(format, ..)| *format)
        .ok_or_else(|| unknown(kind, url))
}

fn unknown(kind: Kind, what: &str) -> Error {
    let formats: Vec<&str> = kind.formats().iter().map(|(format, ..)| *format).collect();
    refuse(format!(
        "`{}` is no {} that Bedrock takes; it takes {}",
        what.escape_debug(),
        kind.name(),
        formats.join(", ")
    ))
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

/// The longest name of a document, in characters.
const MAX_DOCUMENT_NAME_CHARS: usize = 200;

/// Names of documents as Bedrock accepts them: letters, digits, single spaces, hyphens, parentheses and brackets, none
/// twice in a request.
#[derive(Debug, Default)]
pub(super) struct DocumentNames(BTreeSet<String>);

impl DocumentNames {
    /// The name under which a document is sent, which is `name` itself if that is acceptable.
    pub(super) fn add(&mut self, name: Option<&str>) -> String {
        let mut wanted = clean(name.unwrap_or_default());
        if wanted.is_empty() {
            wanted = "document".to_owned();
        }
        let mut unique = wanted.clone();
        let mut number = 2_u32;
        while !self.0.insert(unique.clone()) {
            let suffix = format!(" ({number})");
            // All characters are ASCII by now.
            let room = MAX_DOCUMENT_NAME_CHARS.saturating_sub(suffix.len());
            unique = wanted.get(..room).unwrap_or(&wanted).to_owned() + &suffix;
            number = number.saturating_add(1);
        }
        unique
    }
}

fn clean(name: &str) -> String {
    let mut clean = String::new();
    for c in name.trim().chars() {
        let c = match c {
            c if c.is_ascii_alphanumeric() || "-()[]".contains(c) => c,
            c if c.is_whitespace() && clean.ends_with(' ') => continue,
            c if c.is_whitespace() => ' ',
            _ => '-',
        };
        if clean.len() == MAX_DOCUMENT_NAME_CHARS {
            break;
        }
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str, mime_type: Option<&str>) -> Media {
        Media::Url {
            url: url.into(),
            mime_type: mime_type.map(str::to_owned),
        }
    }

    fn json(kind: Kind, media: &Media) -> String {
        let (format, source) = read(kind, media).unwrap();
        format!("{format} {}", serde_json::to_string(&source).unwrap())
    }

    #[test]
    fn media_are_sent_as_bytes_or_named_in_s3() {
        let png = Media::inline("image/PNG; x=y", &b"a"[..]);
        assert_eq!(json(Kind::Image, &png), r#"png {"bytes":"YQ=="}"#);
        assert_eq!(
            json(Kind::Image, &url("data:image/jpeg;base64,YQ==", None)),
            r#"jpeg {"bytes":"YQ=="}"#
        );
        assert_eq!(
            json(Kind::Document, &url("s3://b/x.PDF", None)),
            r#"pdf {"s3Location":{"uri":"s3://b/x.PDF"}}"#
        );
        assert_eq!(
            json(Kind::Video, &url("s3://b/x", Some("video/3gpp"))),
            r#"three_gp {"s3Location":{"uri":"s3://b/x"}}"#
        );
        let mp3 = Media::inline("audio/mpeg", &b"a"[..]);
        assert_eq!(json(Kind::Audio, &mp3), r#"mp3 {"bytes":"YQ=="}"#);
    }

    #[test]
    fn requests_invalid_for_bedrock_are_refused_with_a_reason() {
        let cases = [
            (url("https://x/y.png", None), "does not fetch a picture"),
            (Media::File { id: "f".into() }, "keeps no files"),
            (
                Media::inline("image/tiff", &b"a"[..]),
                "png, jpeg, gif, webp",
            ),
            (url("s3://b/x", None), "no picture that Bedrock takes"),
            (url("data:image/png,raw", None), "not base64"),
            (url("data:image/png;base64,", None), "not base64"),
        ];
        for (media, what) in cases {
            let error = read(Kind::Image, &media).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn names_of_documents_are_made_acceptable_and_different() {
        let mut names = DocumentNames::default();
        for (name, sent) in [
            (
                Some("Annual report (2025) [draft]"),
                "Annual report (2025) [draft]",
            ),
            (Some("report.pdf"), "report-pdf"),
            (Some("report.pdf"), "report-pdf (2)"),
            (Some("report.pdf"), "report-pdf (3)"),
            (Some(" a \t  b/c\u{e9} "), "a b-c-"),
            (Some(""), "document"),
            (None, "document (2)"),
        ] {
            assert_eq!(names.add(name), sent);
        }
        let long = "x".repeat(300);
        assert_eq!(names.add(Some(&long)).len(), 200);
        let second = names.add(Some(&long));
        assert_eq!(second.len(), 200);
        assert!(second.ends_with("x (2)"));
    }
}
