//! Size limits of media: media that a server would refuse are refused before they are sent.

use super::request::data_url;
use crate::{ContentPart, Error, ErrorKind, Media, Message};

/// A server's size limit for a single image, audio, video or document.
///
/// A limit is set only if the server's documentation or a recorded error states it. Media that the server fetches itself
/// are not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaLimit {
    /// The kinds of media that it applies to.
    pub kinds: &'static [MediaKind],
    /// The maximum size in bytes.
    pub max_bytes: usize,
    /// Whether the size is that of the base64 text. Otherwise it is that of the decoded file.
    pub in_base64: bool,
    /// MIME types that it does not apply to.
    pub except: &'static [&'static str],
}

/// A kind of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaKind {
    /// [`ContentPart::Image`].
    Image,
    /// [`ContentPart::Audio`].
    Audio,
    /// [`ContentPart::Video`].
    Video,
    /// [`ContentPart::Document`].
    Document,
}

impl MediaKind {
    /// All kinds.
    pub const ALL: &'static [MediaKind] = &[
        MediaKind::Image,
        MediaKind::Audio,
        MediaKind::Video,
        MediaKind::Document,
    ];

    fn name(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Document => "document",
        }
    }
}

impl MediaLimit {
    /// Creates a limit for the size of the decoded file.
    #[must_use]
    pub const fn of_file(kinds: &'static [MediaKind], max_bytes: usize) -> Self {
        MediaLimit {
            kinds,
            max_bytes,
            in_base64: false,
            except: &[],
        }
    }

    /// Creates a limit for the size of the base64 text, which is a third larger than the file.
    #[must_use]
    pub const fn of_base64(kinds: &'static [MediaKind], max_bytes: usize) -> Self {
        MediaLimit {
            in_base64: true,
            ..Self::of_file(kinds, max_bytes)
        }
    }

    /// Excludes these MIME types from the limit.
    #[must_use]
    pub const fn except(self, mime_types: &'static [&'static str]) -> Self {
        MediaLimit {
            except: mime_types,
            ..self
        }
    }

    fn size(&self, media: &Media) -> Option<usize> {
        let (mime_type, encoded, bytes) = match media {
            Media::Inline { mime_type, data } => {
                let encoded = data.len().div_ceil(3).saturating_mul(4);
                (mime_type.as_str(), encoded, data.len())
            }
            Media::Url { url, .. } => {
                let (mime_type, text) = data_url(url)?;
                let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
                let digits = text.len().saturating_sub(padding);
                (mime_type, text.len(), digits.saturating_mul(3) / 4)
            }
            Media::File { .. } => return None,
        };
        let is_excepted = self.except.contains(&mime_type);
        (!is_excepted).then_some(if self.in_base64 { encoded } else { bytes })
    }
}

/// Checks all media of a conversation, including those in tool results.
///
/// # Errors
/// `invalid_request` with the code `media_too_large` that names the part, its size and the limit.
pub(crate) fn check(
    provider: &str,
    messages: &[Message],
    limits: &[MediaLimit],
) -> Result<(), Error> {
    if limits.is_empty() {
        return Ok(());
    }
    for (number, message) in messages.iter().enumerate() {
        for (part, content) in message.content.iter().enumerate() {
            let path = || format!("messages[{number}].content[{part}]");
            if let ContentPart::ToolResult(result) = content {
                for (inner, content) in result.content.iter().enumerate() {
                    let path = || format!("{}.content[{inner}]", path());
                    check_part(provider, content, limits, path)?;
                }
            } else {
                check_part(provider, content, limits, path)?;
            }
        }
    }
    Ok(())
}

/// Whether a conversation has a file by its id, also in tool results.
pub(crate) fn has_stored_file(messages: &[Message]) -> bool {
    fn is_one(part: &ContentPart) -> bool {
        match part {
            ContentPart::Image { media, .. }
            | ContentPart::Audio { media }
            | ContentPart::Video { media }
            | ContentPart::Document { media, .. } => matches!(media, Media::File { .. }),
            ContentPart::ToolResult(result) => result.content.iter().any(is_one),
            _ => false,
        }
    }
    messages
        .iter()
        .any(|message| message.content.iter().any(is_one))
}

fn check_part(
    provider: &str,
    part: &ContentPart,
    limits: &[MediaLimit],
    path: impl Fn() -> String,
) -> Result<(), Error> {
    let (kind, media) = match part {
        ContentPart::Image { media, .. } => (MediaKind::Image, media),
        ContentPart::Audio { media } => (MediaKind::Audio, media),
        ContentPart::Video { media } => (MediaKind::Video, media),
        ContentPart::Document { media, .. } => (MediaKind::Document, media),
        _ => return Ok(()),
    };
    for limit in limits.iter().filter(|limit| limit.kinds.contains(&kind)) {
        let Some(size) = limit.size(media).filter(|size| *size > limit.max_bytes) else {
            continue;
        };
        let unit = if limit.in_base64 {
            "bytes in base64"
        } else {
            "bytes"
        };
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "`{}` ({}) has {size} {unit}: `{provider}` accepts at most {}",
                path(),
                kind.name(),
                limit.max_bytes
            ),
        )
        .with_code("media_too_large"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, ToolResult};

    const PICTURES: MediaLimit = MediaLimit::of_base64(&[MediaKind::Image], 8);
    const DOCUMENTS: MediaLimit =
        MediaLimit::of_file(&[MediaKind::Document], 5).except(&["application/pdf"]);

    fn refusal(part: ContentPart) -> Option<String> {
        let message = Message::new(Role::User, vec!["look".into(), part]);
        let error = check(
            "here",
            &[Message::user("hi"), message],
            &[PICTURES, DOCUMENTS],
        )
        .err()?;
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.code(), Some("media_too_large"));
        Some(error.message().to_owned())
    }

    #[test]
    fn too_large_media_are_named_with_their_size() {
        let picture = |bytes: usize| ContentPart::image("image/png", vec![1; bytes]);
        assert_eq!(refusal(picture(6)), None);
        assert_eq!(
            refusal(picture(7)).as_deref(),
            Some(
                "`messages[1].content[1]` (image) has 12 bytes in base64: `here` accepts at most 8"
            )
        );
        let mut result = ToolResult::new("c", "see");
        result.content.push(picture(7));
        let inner = refusal(ContentPart::ToolResult(result)).unwrap();
        assert!(
            inner.starts_with("`messages[1].content[1].content[1]`"),
            "{inner}"
        );
        assert_eq!(refusal(ContentPart::image_url("https://x/large.png")), None);
        assert_eq!(
            refusal(ContentPart::image_url("data:image/png;base64,AQEBAQEB")),
            None
        );
        assert!(refusal(ContentPart::image_url("data:image/png;base64,AQEBAQEBAQ==")).is_some());
    }

    #[test]
    fn a_file_limit_counts_decoded_bytes_and_has_exceptions() {
        let document =
            |mime_type: &str, bytes: usize| ContentPart::document("a", mime_type, vec![1; bytes]);
        assert_eq!(refusal(document("text/csv", 5)), None);
        let large = refusal(document("text/csv", 6)).unwrap();
        assert!(large.contains("(document) has 6 bytes: "), "{large}");
        assert_eq!(refusal(document("application/pdf", 6)), None);
        let in_url = |mime_type: &str| {
            let url = format!("data:{mime_type};base64,AQEBAQEB");
            refusal(ContentPart::Document {
                media: Media::Url {
                    url,
                    mime_type: None,
                },
                name: None,
            })
        };
        assert!(in_url("text/csv;charset=utf-8").is_some());
        assert_eq!(in_url("application/pdf"), None);
        assert_eq!(in_url("application/pdf;name=a.pdf"), None);
    }
}
