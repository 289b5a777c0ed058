//! Blocks that go back to Bedrock as they came. A stream cuts them into pieces, which are put together here.

use super::types::{Image, ToolResultStart, ToolUse};
use crate::{Error, Json, provider::kit::lenient::Raw};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

/// A block of a stream that is under way.
#[derive(Debug)]
pub(super) enum BlockBuffer {
    /// A call that the service runs itself.
    ServerTool {
        id: String,
        name: String,
        kind: String,
        input: String,
    },
    /// What such a call gave.
    ToolResult {
        id: String,
        status: Option<String>,
        kind: Option<String>,
        content: Vec<Json>,
    },
    /// Reasoning that is not shown.
    Redacted(Vec<String>),
    /// A picture that the model made.
    Image { format: String, bytes: Vec<String> },
}

impl BlockBuffer {
    pub(super) fn server_tool(start: &ToolUse<'_>) -> Self {
        BlockBuffer::ServerTool {
            id: start.tool_use_id.to_string_or_empty(),
            name: start.name.to_string_or_empty(),
            kind: start.kind.to_string_or_empty(),
            input: String::new(),
        }
    }

    pub(super) fn tool_result(start: Raw<'_>) -> Self {
        let start: ToolResultStart<'_> = start.read().unwrap_or_default();
        BlockBuffer::ToolResult {
            id: start.tool_use_id.to_string_or_empty(),
            status: start.status.non_empty().map(str::to_owned),
            kind: start.kind.non_empty().map(str::to_owned),
            content: Vec::new(),
        }
    }

    pub(super) fn image(start: &Image<'_>) -> Self {
        BlockBuffer::Image {
            format: start.format.to_string_or_empty(),
            bytes: Vec::new(),
        }
    }

    /// Whether nothing came of the block but its beginning, or only a part of a call's input.
    pub(super) fn is_announced(&self) -> bool {
        match self {
            BlockBuffer::ServerTool { input, .. } => Json::parse(input.trim()).is_err(),
            BlockBuffer::ToolResult { content, .. } => content.is_empty(),
            BlockBuffer::Image { bytes, .. } => bytes.is_empty(),
            BlockBuffer::Redacted(_) => false,
        }
    }

    /// The block as it would stand in a whole answer.
    pub(super) fn into_block(self) -> Result<Json, Error> {
        match self {
            BlockBuffer::ServerTool {
                id,
                name,
                kind,
                input,
            } => {
                let input = match input.trim() {
                    "" => "{}",
                    text => text,
                };
                // What is not JSON is kept as a string: the block is shown, and is the service's own.
                let input = Json::parse(input).or_else(|_| Json::new(input))?;
                Json::new(&Block::ToolUse {
                    tool_use_id: &id,
                    name: &name,
                    input,
                    kind: &kind,
                })
            }
            BlockBuffer::ToolResult {
                id,
                status,
                kind,
                content,
            } => Json::new(&Block::ToolResult {
                tool_use_id: &id,
                content: &content,
                status: status.as_deref(),
                kind: kind.as_deref(),
            }),
            BlockBuffer::Redacted(pieces) => Json::new(&Block::ReasoningContent {
                redacted_content: join_base64(pieces),
            }),
            BlockBuffer::Image { format, bytes } => Json::new(&Block::Image {
                format: &format,
                source: Source {
                    bytes: join_base64(bytes),
                },
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Block<'a> {
    ToolUse {
        tool_use_id: &'a str,
        name: &'a str,
        input: Json,
        #[serde(rename = "type")]
        kind: &'a str,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a [Json],
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a str>,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<&'a str>,
    },
    ReasoningContent {
        redacted_content: String,
    },
    Image {
        format: &'a str,
        source: Source,
    },
}

#[derive(Serialize)]
struct Source {
    bytes: String,
}

/// One text stays as it came, byte for byte; several are each complete base64, which cannot just be joined.
fn join_base64(mut pieces: Vec<String>) -> String {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let decoded: Result<Vec<_>, _> = pieces.iter().map(|piece| STANDARD.decode(piece)).collect();
    match decoded {
        Ok(bytes) => STANDARD.encode(bytes.concat()),
        Err(_) => pieces.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_deltas_are_joined_by_their_bytes() {
        let join = |pieces: &[&str]| join_base64(pieces.iter().map(|&p| p.to_owned()).collect());
        assert_eq!(join(&["YQ=="]), "YQ==");
        assert_eq!(join(&["YQ==", "Yg=="]), "YWI=");
        assert_eq!(join(&["not base64", "YQ=="]), "not base64YQ==");
        assert_eq!(join(&[]), "");
    }

    #[test]
    fn input_that_is_no_json_is_kept_as_text() {
        let tool = |input: &str| BlockBuffer::ServerTool {
            id: "1".into(),
            name: "n".into(),
            kind: "server_tool_use".into(),
            input: input.into(),
        };
        for (input, expected) in [
            ("", "{}"),
            (r#"{"a":1.0}"#, r#"{"a":1.0}"#),
            ("{", r#""{""#),
        ] {
            let block = tool(input).into_block().unwrap();
            let expected = format!(
                r#"{{"toolUse":{{"toolUseId":"1","name":"n","input":{expected},"type":"server_tool_use"}}}}"#
            );
            assert_eq!(block.as_str(), expected);
        }
    }
}
