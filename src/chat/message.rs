use crate::{ContentPart, ToolCall, ToolResult, string_enum::wire_enum};
use serde::Serialize;
use std::borrow::Cow;

wire_enum! {
    /// Who speaks.
    Role {
        /// Instructions.
        System = "system",
        /// Instructions, in OpenAI's newer word.
        Developer = "developer",
        /// The person or program that asks.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool's result.
        Tool = "tool",
    }
}

/// One turn of a conversation. The message of a response has the same type, so it can be sent back as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<ContentPart>,
    /// The speaker's name, where a provider tells several apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A turn with these parts.
    #[must_use]
    pub fn new(role: Role, content: Vec<ContentPart>) -> Self {
        Message {
            role,
            content,
            name: None,
        }
    }

    /// Instructions.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Message::new(Role::System, vec![ContentPart::text(text)])
    }

    /// A question.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Message::new(Role::User, vec![ContentPart::text(text)])
    }

    /// An answer.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Message::new(Role::Assistant, vec![ContentPart::text(text)])
    }

    /// A tool's result in text.
    #[must_use]
    pub fn tool(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Message::new(
            Role::Tool,
            vec![ContentPart::ToolResult(ToolResult::new(call_id, text))],
        )
    }

    /// All text parts joined, with nothing between them; empty if there are none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.join(|part| match part {
            ContentPart::Text { text, .. } => Some(text),
            _ => None,
        })
    }

    /// All reasoning parts joined; empty if there are none.
    #[must_use]
    pub fn reasoning(&self) -> Cow<'_, str> {
        self.join(|part| match part {
            ContentPart::Reasoning { text, .. } => Some(text),
            _ => None,
        })
    }

    /// All refusals joined; empty if there are none.
    #[must_use]
    pub fn refusal(&self) -> Cow<'_, str> {
        self.join(|part| match part {
            ContentPart::Refusal { text } => Some(text),
            _ => None,
        })
    }

    /// The tool calls, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.content.iter().filter_map(|part| match part {
            ContentPart::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// Not copied where there is one part, as in most messages.
    fn join<'a>(&'a self, pick: impl Fn(&'a ContentPart) -> Option<&'a String>) -> Cow<'a, str> {
        let mut parts = self.content.iter().filter_map(pick);
        let mut joined = Cow::Borrowed(parts.next().map_or("", String::as_str));
        for part in parts {
            joined.to_mut().push_str(part);
        }
        joined
    }
}

impl Default for Message {
    fn default() -> Self {
        Message::new(Role::Assistant, Vec::new())
    }
}
