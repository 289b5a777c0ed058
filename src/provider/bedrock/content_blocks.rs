//! Pieces of a conversation that only Bedrock has. Each is a [`ContentPart::ProviderBlock`] or a [`Tool::Provider`], which no
//! other provider is sent.

use super::{
    BLOCK_PROVIDER,
    media::{self, Kind},
};
use crate::{ContentPart, Error, Json, Media, Tool};
use serde::Serialize;

/// How long what stands before a cache point is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheTtl {
    /// Five minutes, the default.
    #[default]
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// Marks the end of what is to be cached: in a message, or in the instructions.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn cache_point(ttl: CacheTtl) -> Result<ContentPart, Error> {
    part(&ContentBlock::CachePoint(CachePoint::new(ttl)))
}

/// The same behind the tools.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn tool_cache_point(ttl: CacheTtl) -> Result<Tool, Error> {
    tool(&ContentBlock::CachePoint(CachePoint::new(ttl)))
}

/// A tool that the service runs itself, such as `nova_grounding` or `nova_code_interpreter`. Its calls and results come
/// back as opaque parts, not as tool calls.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn system_tool(name: &str) -> Result<Tool, Error> {
    tool(&ContentBlock::SystemTool { name })
}

/// Text that a guardrail is to look at. The qualifiers say as what: `grounding_source`, `query`, `guard_content`.
///
/// # Errors
/// None in practice: the block is always JSON.
pub fn guard_content_text(text: &str, qualifiers: &[&str]) -> Result<ContentPart, Error> {
    part(&ContentBlock::GuardContent(GuardedContent::Text {
        text,
        qualifiers,
    }))
}

/// A picture that a guardrail is to look at.
///
/// # Errors
/// `invalid_request` if Bedrock does not take pictures of this MIME type.
pub fn guard_content_image(media: &Media) -> Result<ContentPart, Error> {
    let (format, source) = media::read(Kind::Image, media)?;
    part(&ContentBlock::GuardContent(GuardedContent::Image {
        format,
        source,
    }))
}

/// A result of a search of the program's own, which the model can cite: in a message, or in a tool's result.
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

/// A document that the model is to cite. The name must be acceptable to Bedrock: letters, digits, single spaces, hyphens,
/// parentheses and brackets, at most 200. `context` tells the model about the document and is not cited.
///
/// # Errors
/// `invalid_request` if Bedrock does not take documents of this MIME type.
pub fn cited_document(
    name: &str,
    media: &Media,
    context: Option<&str>,
) -> Result<ContentPart, Error> {
    let (format, source) = media::read(Kind::Document, media)?;
    part(&ContentBlock::Document {
        format,
        name,
        source,
        context,
        citations: Enabled { enabled: true },
    })
}

/// A JSON value as (a part of) a tool's result.
///
/// # Errors
/// `invalid_request` if `value` cannot be written as JSON.
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
        source: media::Source<'a>,
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
        source: media::Source<'a>,
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
    fn the_blocks_are_bedrock_s_own_json() {
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
