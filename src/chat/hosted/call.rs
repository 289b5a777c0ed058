use super::HostedToolKind;
use crate::{ContentPart, Error, ErrorKind, Json, chat::ProviderBlock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A call of a hosted tool by the model. The provider runs it; the program must not answer it.
///
/// It is sent back to its own provider unchanged, from [`raw`](Self::raw), and to no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostedToolCall {
    /// The provider's id of the call; empty if it sends none. The result has the same id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The provider's name of the tool, such as `web_search` or `bash_code_execution`. For an MCP server the name of the
    /// server's tool.
    pub name: String,
    /// What the model asks of the tool.
    pub input: HostedToolInput,
    /// The id of the hosted call whose code made this call (Anthropic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The call in the provider's own JSON. `None` if the API has no block for it and only reports its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<ProviderBlock>,
}

/// The input of a hosted tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostedToolInput {
    /// A search of the web.
    WebSearch {
        /// The queries; empty if the provider does not show them.
        #[serde(default)]
        queries: Vec<String>,
    },
    /// A request for web pages.
    WebFetch {
        /// Their URLs.
        #[serde(default)]
        urls: Vec<String>,
        /// The text that the model looks for in the page (OpenAI's `find_in_page`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// Code to run.
    CodeExecution {
        /// Source code, or commands of a shell, one a line.
        code: String,
    },
    /// A search of uploaded files.
    FileSearch {
        /// The queries.
        #[serde(default)]
        queries: Vec<String>,
    },
    /// A call of a tool of an MCP server.
    Mcp {
        /// The server's name in the request.
        #[serde(default)]
        server: String,
        /// The arguments, JSON as the model generated it.
        #[serde(default)]
        arguments: String,
    },
    /// The provider asks whether the model may call a tool of an MCP server. Answer with
    /// [`HostedToolCall::approve`] or [`HostedToolCall::deny`].
    McpApproval {
        /// The server's name in the request.
        #[serde(default)]
        server: String,
        /// The arguments, JSON as the model generated it.
        #[serde(default)]
        arguments: String,
    },
    /// The provider lists the tools of an MCP server.
    McpListTools {
        /// The server's name in the request.
        #[serde(default)]
        server: String,
    },
    /// A search for functions.
    ToolSearch {
        /// The queries: words, patterns or names.
        #[serde(default)]
        queries: Vec<String>,
    },
    /// An image to generate.
    ImageGeneration {
        /// The prompt as the provider revised it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
    },
    /// The input of another tool; [`HostedToolCall::name`] has its name.
    Other {
        /// The input in the provider's own JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Json>,
    },
}

impl HostedToolCall {
    pub(crate) fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        input: HostedToolInput,
    ) -> Self {
        HostedToolCall {
            id: id.into(),
            name: name.into(),
            input,
            caller: None,
            raw: None,
        }
    }

    /// The kind of the tool.
    #[must_use]
    pub fn kind(&self) -> HostedToolKind {
        match &self.input {
            HostedToolInput::WebSearch { .. } => HostedToolKind::WebSearch,
            HostedToolInput::WebFetch { .. } => HostedToolKind::WebFetch,
            HostedToolInput::CodeExecution { .. } => HostedToolKind::CodeExecution,
            HostedToolInput::FileSearch { .. } => HostedToolKind::FileSearch,
            HostedToolInput::Mcp { .. }
            | HostedToolInput::McpApproval { .. }
            | HostedToolInput::McpListTools { .. } => HostedToolKind::Mcp,
            HostedToolInput::ToolSearch { .. } => HostedToolKind::ToolSearch,
            HostedToolInput::ImageGeneration { .. } => HostedToolKind::ImageGeneration,
            HostedToolInput::Other { .. } => HostedToolKind::Other(self.name.clone()),
        }
    }

    /// Whether the provider waits for an approval of this call. The next request then repeats the message and adds a
    /// user message with [`approve`](Self::approve) or [`deny`](Self::deny).
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        matches!(self.input, HostedToolInput::McpApproval { .. })
    }

    /// The part of a user message that allows this call.
    ///
    /// # Errors
    /// `invalid_request` if the provider did not ask for an approval of this call.
    pub fn approve(&self) -> Result<ContentPart, Error> {
        self.approval(true, None)
    }

    /// The part of a user message that forbids this call. The model reads `reason`.
    ///
    /// # Errors
    /// `invalid_request` if the provider did not ask for an approval of this call.
    pub fn deny(&self, reason: &str) -> Result<ContentPart, Error> {
        self.approval(false, Some(reason))
    }

    fn approval(&self, is_allowed: bool, reason: Option<&str>) -> Result<ContentPart, Error> {
        let (true, Some(raw)) = (self.needs_approval(), &self.raw) else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the provider did not ask for an approval of the hosted tool call `{}` ({}): only a call whose input is `mcp_approval` can be approved",
                    self.id.escape_debug(),
                    self.name.escape_debug()
                ),
            ));
        };
        let mut members = BTreeMap::from([
            ("type", Json::new("mcp_approval_response")?),
            ("approval_request_id", Json::new(&self.id)?),
            ("approve", Json::new(&is_allowed)?),
        ]);
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            members.insert("reason", Json::new(reason)?);
        }
        Ok(ContentPart::provider_block(
            raw.provider.as_str(),
            Json::new(&members)?,
        ))
    }

    /// The bytes that it keeps, without those of `raw`.
    pub(crate) fn typed_bytes(&self) -> usize {
        let list = |texts: &[String]| {
            texts.iter().fold(0_usize, |sum, text| {
                sum.saturating_add(text.len())
                    .saturating_add(size_of::<String>())
            })
        };
        let input = match &self.input {
            HostedToolInput::WebSearch { queries }
            | HostedToolInput::FileSearch { queries }
            | HostedToolInput::ToolSearch { queries } => list(queries),
            HostedToolInput::WebFetch { urls, pattern } => {
                list(urls).saturating_add(pattern.as_ref().map_or(0, String::len))
            }
            HostedToolInput::CodeExecution { code } => code.len(),
            HostedToolInput::Mcp { server, arguments }
            | HostedToolInput::McpApproval { server, arguments } => {
                server.len().saturating_add(arguments.len())
            }
            HostedToolInput::McpListTools { server } => server.len(),
            HostedToolInput::ImageGeneration { prompt } => prompt.as_ref().map_or(0, String::len),
            HostedToolInput::Other { input } => {
                input.as_ref().map_or(0, |json| json.as_str().len())
            }
        };
        size_of::<Self>()
            .saturating_add(self.id.len())
            .saturating_add(self.name.len())
            .saturating_add(self.caller.as_ref().map_or(0, String::len))
            .saturating_add(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_requested_approval_can_be_given() {
        let mut call = HostedToolCall::new(
            "mcpr_1",
            "delete",
            HostedToolInput::McpApproval {
                server: "files".into(),
                arguments: "{}".into(),
            },
        );
        assert_eq!(call.kind(), HostedToolKind::Mcp);
        assert_eq!(
            call.approve().unwrap_err().kind(),
            ErrorKind::InvalidRequest
        );
        call.raw = Some(ProviderBlock::new(
            "openai-responses",
            Json::parse("{}").unwrap(),
        ));
        let json = |part| match part {
            ContentPart::ProviderBlock(block) => (block.provider, block.block.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            json(call.approve().unwrap()),
            (
                "openai-responses".into(),
                r#"{"approval_request_id":"mcpr_1","approve":true,"type":"mcp_approval_response"}"#
                    .into()
            )
        );
        assert!(
            json(call.deny("not today").unwrap())
                .1
                .contains(r#""approve":false,"reason":"not today""#)
        );
        call.input = HostedToolInput::Other { input: None };
        let error = call.deny("").unwrap_err();
        assert!(error.message().contains("`mcpr_1`"), "{error}");
        assert_eq!(call.kind(), HostedToolKind::Other("delete".into()));
    }
}
