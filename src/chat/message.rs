use crate::{
    ContentPart, ToolCall, ToolResult,
    chat::{HostedToolCall, HostedToolResult},
    string_enum::wire_enum,
};
use serde::Serialize;
use std::borrow::Cow;

wire_enum! {
    /// The author of a message.
    Role {
        /// System instructions.
        System = "system",
        /// System instructions under OpenAI's newer name.
        Developer = "developer",
        /// The user of the model.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// The result of a tool call.
        Tool = "tool",
    }
}

/// One message of a conversation. A response has the same type, so its message can be added to the next request.
///
/// ```
/// use unifiedai::{ChatRequest, ContentPart, Message, Role};
///
/// let history = [
///     Message::system("Answer in one sentence."),
///     Message::user("What is the capital of Portugal?"),
///     Message::assistant("Lisbon."),
/// ];
/// let question = Message::new(Role::User, vec![
///     "What is in this picture?".into(),
///     ContentPart::image_url("https://example.com/cat.png"),
/// ]);
/// let request = ChatRequest::new("gpt-5-mini").messages(history).message(question);
/// assert_eq!(request.messages[2].text(), "Lisbon.");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The content, in order.
    pub content: Vec<ContentPart>,
    /// The author's name, for providers that distinguish several participants of one role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// Creates a message of these parts.
    #[must_use]
    pub fn new(role: Role, content: Vec<ContentPart>) -> Self {
        Message {
            role,
            content,
            name: None,
        }
    }

    /// Creates a system message.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Message::new(Role::System, vec![ContentPart::text(text)])
    }

    /// Creates a user message.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Message::new(Role::User, vec![ContentPart::text(text)])
    }

    /// Creates an assistant message.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Message::new(Role::Assistant, vec![ContentPart::text(text)])
    }

    /// Creates the text result of a tool call.
    #[must_use]
    pub fn tool(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Message::new(
            Role::Tool,
            vec![ContentPart::ToolResult(ToolResult::new(call_id, text))],
        )
    }

    /// All text parts, concatenated; empty if there are none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.join(|part| match part {
            ContentPart::Text { text, .. } => Some(text),
            _ => None,
        })
    }

    /// All reasoning parts, concatenated; empty if there are none.
    #[must_use]
    pub fn reasoning(&self) -> Cow<'_, str> {
        self.join(|part| match part {
            ContentPart::Reasoning { text, .. } => Some(text),
            _ => None,
        })
    }

    /// All refusals, concatenated; empty if there are none.
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

    /// The calls of hosted tools, in order. The provider runs them; the program must not answer them.
    pub fn hosted_tool_calls(&self) -> impl Iterator<Item = &HostedToolCall> {
        self.content.iter().filter_map(|part| match part {
            ContentPart::HostedToolCall(call) => Some(&**call),
            _ => None,
        })
    }

    /// The results of hosted tools, in order.
    pub fn hosted_tool_results(&self) -> impl Iterator<Item = &HostedToolResult> {
        self.content.iter().filter_map(|part| match part {
            ContentPart::HostedToolResult(result) => Some(&**result),
            _ => None,
        })
    }

    /// A single part, the usual case, is not copied.
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
