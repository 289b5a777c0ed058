//! Content blocks of a request.

use super::media::Source;
use crate::Json;
use serde::Serialize;
use serde_json::value::RawValue;

/// A block of a message. Unions are objects with one member, which is how `serde` writes an enum.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Block<'a> {
    Text(&'a str),
    Image {
        format: &'static str,
        source: Source<'a>,
    },
    Document {
        format: &'static str,
        name: String,
        source: Source<'a>,
    },
    Video {
        format: &'static str,
        source: Source<'a>,
    },
    Audio {
        format: &'static str,
        source: Source<'a>,
    },
    ToolUse {
        tool_use_id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
        /// Some models know only the absence of it, which stands for success.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent {
        reasoning_text: ReasoningText<'a>,
    },
    /// In Bedrock's own JSON.
    #[serde(untagged)]
    Raw(&'a Json),
}

#[derive(Debug, Serialize)]
pub(super) struct ReasoningText<'a> {
    pub(super) text: &'a str,
    pub(super) signature: &'a str,
}

impl Block<'_> {
    /// The call that a tool result answers, also one in Bedrock's own JSON.
    pub(super) fn answers(&self) -> Option<String> {
        match self {
            Block::ToolResult { tool_use_id, .. } => Some((*tool_use_id).to_owned()),
            Block::Raw(json) => {
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct ProviderToolResult {
                    tool_result: Result,
                }
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Result {
                    tool_use_id: String,
                }
                serde_json::from_str::<ProviderToolResult>(json.as_str())
                    .ok()
                    .map(|own| own.tool_result.tool_use_id)
            }
            _ => None,
        }
    }

    /// Whether this is a block of Bedrock's own JSON with this member.
    pub(super) fn is_raw(&self, member: &str) -> bool {
        let Block::Raw(json) = self else { return false };
        let members: Option<std::collections::BTreeMap<&str, &RawValue>> =
            serde_json::from_str(json.as_str()).ok();
        members.is_some_and(|members| members.contains_key(member))
    }
}
