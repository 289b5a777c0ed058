//! Content blocks that only Bedrock has, and media in its formats.

use super::BLOCK_PROVIDER;
use crate::{ContentPart, Error, ErrorKind, Json, Media, Tool, provider::kit::request::data_url};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeSet};

/// How long the content before a cache point is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheTtl {
    /// Five minutes, the default.
    #[default]
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// Marks the end of the content to cache: in a message, or in the system messages.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn cache_point(ttl: CacheTtl) -> Result<ContentPart, Error> {
    part(&ContentBlock::CachePoint(CachePoint::new(ttl)))
}

/// Marks the end of the tools to cache.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn tool_cache_point(ttl: CacheTtl) -> Result<Tool, Error> {
    tool(&ContentBlock::CachePoint(CachePoint::new(ttl)))
}

/// Creates a tool that the service runs, such as `nova_grounding` or `nova_code_interpreter`. Its calls and results
/// are provider blocks, not tool calls.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn system_tool(name: &str) -> Result<Tool, Error> {
    tool(&ContentBlock::SystemTool { name })
}

/// Creates text for a guardrail to examine. Qualifiers: `grounding_source`, `query`, `guard_content`.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn guard_content_text(text: &str, qualifiers: &[&str]) -> Result<ContentPart, Error> {
    part(&ContentBlock::GuardContent(GuardedContent::Text {
        text,
        qualifiers,
    }))
}

/// Creates an image for a guardrail to examine.
///
/// # Errors
/// `invalid_request` if Bedrock does not accept images of this MIME type.
pub fn guard_content_image(media: &Media) -> Result<ContentPart, Error> {
    let (format, source) = read_media(Kind::Image, media)?;
    part(&ContentBlock::GuardContent(GuardedContent::Image {
        format,
        source,
    }))
}

/// Creates a result of the program's own search, which the model can cite: in a message, or in a tool result.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn search_result(source: &str, title: &str, texts: &[&str]) -> Result<ContentPart, Error> {
    part(&ContentBlock::SearchResult {
        source,
        title,
        content: texts.iter().map(|text| Text { text }).collect(),
        citations: Enabled { enabled: true },
    })
}

/// Creates a document that the model can cite. The name must have Bedrock's form: letters, digits, single spaces,
/// hyphens, parentheses and brackets, at most 200 characters. `context` describes the document for the model and is
/// not cited.
///
/// # Errors
/// `invalid_request` if Bedrock does not accept documents of this MIME type.
pub fn cited_document(
    name: &str,
    media: &Media,
    context: Option<&str>,
) -> Result<ContentPart, Error> {
    let (format, source) = read_media(Kind::Document, media)?;
    part(&ContentBlock::Document {
        format,
        name,
        source,
        context,
        citations: Enabled { enabled: true },
    })
}

/// Creates a JSON value as (a part of) a tool result.
///
/// # Errors
/// `invalid_request` if `value` cannot be serialised as JSON.
pub fn json_result<T: Serialize + ?Sized>(value: &T) -> Result<ContentPart, Error> {
    let value = Json::new(value)?;
    part(&ContentBlock::Json(&value))
}

fn part(block: &ContentBlock<'_>) -> Result<ContentPart, Error> {
    Ok(ContentPart::provider_block(
        BLOCK_PROVIDER,
        Json::new(block)?,
    ))
}

fn tool(definition: &ContentBlock<'_>) -> Result<Tool, Error> {
    Ok(Tool::Provider {
        provider: BLOCK_PROVIDER.to_owned(),
        definition: Json::new(definition)?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ContentBlock<'a> {
    CachePoint(CachePoint),
    SystemTool {
        name: &'a str,
    },
    GuardContent(GuardedContent<'a>),
    SearchResult {
        source: &'a str,
        title: &'a str,
        content: Vec<Text<'a>>,
        citations: Enabled,
    },
    Document {
        format: &'static str,
        name: &'a str,
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a str>,
        citations: Enabled,
    },
    Json(&'a Json),
}

#[derive(Serialize)]
struct CachePoint {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl CachePoint {
    fn new(ttl: CacheTtl) -> Self {
        CachePoint {
            r#type: "default",
            ttl: match ttl {
                CacheTtl::FiveMinutes => None,
                CacheTtl::OneHour => Some("1h"),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum GuardedContent<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        qualifiers: &'a [&'a str],
    },
    Image {
        format: &'static str,
        source: Source<'a>,
    },
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

// Images, video, audio and documents. Bedrock has its own format names, and fetches only from S3.

/// The use of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Video,
    Audio,
}

/// Bedrock's format names, with MIME types and file extensions.
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
    // The registered MIME type of MP3, for which Bedrock also has `mpeg` and `mpga`.
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
            Kind::Image => "image",
            Kind::Document => "document",
            Kind::Video => "video",
            Kind::Audio => "audio",
        }
    }
}

/// The source of a medium.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source<'a> {
    Bytes(Cow<'a, str>),
    S3Location { uri: &'a str },
}

/// The format and the source of a medium.
pub(super) fn read_media(kind: Kind, media: &Media) -> Result<(&'static str, Source<'_>), Error> {
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
        Media::Url { url, .. } if url.starts_with("data:") => from_data_url(kind, url),
        Media::Url { .. } => Err(refuse(format!(
            "Bedrock does not fetch web URLs: pass the bytes of the {}, or an S3 URL",
            kind.name()
        ))),
        Media::File { .. } => Err(refuse(format!(
            "Bedrock has no uploaded files: pass the bytes of the {}, or its S3 URL",
            kind.name()
        ))),
    }
}

fn from_data_url(kind: Kind, url: &str) -> Result<(&'static str, Source<'_>), Error> {
    let parts = data_url(url)
        .filter(|(_, data)| STANDARD.decode(data).is_ok_and(|bytes| !bytes.is_empty()));
    let Some((mime_type, data)) = parts else {
        return Err(refuse(format!(
            "the `data:` URL of the {} is not base64",
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
        "`{}` is not among the {} formats that Bedrock accepts: {}",
        what.escape_debug(),
        kind.name(),
        formats.join(", ")
    ))
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

/// Maximum length of a document's name, in characters.
const MAX_DOCUMENT_NAME_CHARS: usize = 200;

/// Document names in Bedrock's form: letters, digits, single spaces, hyphens, parentheses and brackets, unique in a
/// request.
#[derive(Debug, Default)]
pub(super) struct DocumentNames(BTreeSet<String>);

impl DocumentNames {
    /// The name under which a document is sent: `name` itself if it is valid and unused.
    pub(super) fn add(&mut self, name: Option<&str>) -> String {
        let mut wanted = clean(name.unwrap_or_default());
        if wanted.is_empty() {
            wanted = "document".to_owned();
        }
        let mut unique = wanted.clone();
        let mut number = 2_u32;
        while !self.0.insert(unique.clone()) {
            let suffix = format!(" ({number})");
            // All characters are ASCII at this point.
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

    fn json(part: Result<ContentPart, Error>) -> String {
        match part.unwrap() {
            ContentPart::ProviderBlock(block) => {
                assert_eq!(block.provider, "bedrock");
                block.block.to_string()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_blocks_are_bedrocks_own_json() {
        let png = Media::inline("image/png", &b"a"[..]);
        let pdf = Media::inline("application/pdf", &b"a"[..]);
        let cases = [
            (
                cache_point(CacheTtl::default()),
                r#"{"cachePoint":{"type":"default"}}"#,
            ),
            (
                cache_point(CacheTtl::OneHour),
                r#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
            ),
            (
                guard_content_text("t", &["query"]),
                r#"{"guardContent":{"text":{"text":"t","qualifiers":["query"]}}}"#,
            ),
            (
                guard_content_text("t", &[]),
                r#"{"guardContent":{"text":{"text":"t"}}}"#,
            ),
            (
                guard_content_image(&png),
                r#"{"guardContent":{"image":{"format":"png","source":{"bytes":"YQ=="}}}}"#,
            ),
            (
                search_result("s", "t", &["a"]),
                r#"{"searchResult":{"source":"s","title":"t","content":[{"text":"a"}],"citations":{"enabled":true}}}"#,
            ),
            (
                cited_document("n", &pdf, Some("c")),
                r#"{"document":{"format":"pdf","name":"n","source":{"bytes":"YQ=="},"context":"c","citations":{"enabled":true}}}"#,
            ),
            (json_result(&[1]), r#"{"json":[1]}"#),
        ];
        for (part, expected) in cases {
            assert_eq!(json(part), expected);
        }
        for (made, expected) in [
            (
                system_tool("nova_grounding"),
                r#"{"systemTool":{"name":"nova_grounding"}}"#,
            ),
            (
                tool_cache_point(CacheTtl::FiveMinutes),
                r#"{"cachePoint":{"type":"default"}}"#,
            ),
        ] {
            match made.unwrap() {
                Tool::Provider {
                    provider,
                    definition,
                } => assert_eq!(
                    (provider.as_str(), definition.as_str()),
                    ("bedrock", expected)
                ),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[cfg(test)]
mod media_tests {
    use super::*;

    fn url(url: &str, mime_type: Option<&str>) -> Media {
        Media::Url {
            url: url.into(),
            mime_type: mime_type.map(str::to_owned),
        }
    }

    fn json(kind: Kind, media: &Media) -> String {
        let (format, source) = read_media(kind, media).unwrap();
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
            (url("https://x/y.png", None), "does not fetch web URLs"),
            (Media::File { id: "f".into() }, "has no uploaded files"),
            (
                Media::inline("image/tiff", &b"a"[..]),
                "png, jpeg, gif, webp",
            ),
            (
                url("s3://b/x", None),
                "not among the image formats that Bedrock accepts",
            ),
            (url("data:image/png,raw", None), "not base64"),
            (url("data:image/png;base64,", None), "not base64"),
        ];
        for (media, what) in cases {
            let error = read_media(Kind::Image, &media).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn document_names_are_made_valid_and_unique() {
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
