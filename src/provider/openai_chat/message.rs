//! Messages as they are on the wire.

use super::{
    part::{WireCall, WirePart},
    profile::{Profile, ReasoningReplay},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Message, Role, ToolResult,
    json::{ListWriter, ObjectWriter},
    provider::{history::Takes, omissions::Omissions},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Turns messages into those of the wire.
pub(super) struct Messages<'p, 'r, 'n> {
    profile: &'p Profile,
    provider: &'p str,
    omissions: &'r mut Omissions<'n>,
}

impl<'p, 'r, 'n> Messages<'p, 'r, 'n> {
    pub(super) fn new(
        profile: &'p Profile,
        provider: &'p str,
        omissions: &'r mut Omissions<'n>,
    ) -> Self {
        Messages {
            profile,
            provider,
            omissions,
        }
    }

    pub(super) fn all(
        mut self,
        request: &ChatRequest,
        list: &mut ListWriter<'_>,
    ) -> Result<(), Error> {
        let takes = Takes {
            own: &[self.provider],
            signatures: false,
            errors: false,
        };
        self.omissions.history(&request.messages, takes);
        for message in &request.messages {
            self.message(message, list)?;
        }
        Ok(())
    }

    /// A message as one or more messages of the wire: each tool result is one of its own.
    fn message(&mut self, message: &Message, list: &mut ListWriter<'_>) -> Result<(), Error> {
        let mut own = WireMessage::new(self.role(&message.role));
        if let Some(name) = &message.name {
            if self.profile.message_name {
                own.name = Some(name);
            } else {
                self.omissions.refuse("the `name` of a message")?;
            }
        }
        for part in &message.content {
            match part {
                ContentPart::ToolResult(result) => {
                    list.object(|object| self.tool_result(result)?.write(object))?;
                }
                ContentPart::ToolCall(call) => {
                    own.tool_calls.push(WireCall::new(call, self.provider));
                }
                ContentPart::Refusal { text } if self.profile.message_refusal => {
                    own.refusal = Some(text);
                }
                ContentPart::Refusal { text } => own.content.push(WirePart::Text(text)),
                ContentPart::Reasoning { text, .. } => self.reasoning(text, &mut own),
                ContentPart::Opaque(block) if block.provider == self.provider => {
                    own.opaque(&block.block);
                }
                ContentPart::Opaque(_) => {}
                part => own.content.push(WirePart::new(part, self.provider)?),
            }
        }
        if !own.details.is_empty() {
            own.reasoning = None;
        }
        if own.is_empty() {
            return Ok(());
        }
        list.object(|object| own.write(object))
    }

    fn role<'m>(&self, role: &'m Role) -> &'m str {
        match role {
            Role::Developer if !self.profile.developer_role => Role::System.as_str(),
            role => role.as_str(),
        }
    }

    fn reasoning<'m>(&self, text: &'m str, own: &mut WireMessage<'m>) {
        let name = match self.profile.reasoning {
            ReasoningReplay::Never => return,
            ReasoningReplay::Thinking => return own.content.push(WirePart::Thinking(text)),
            ReasoningReplay::Field(name) => name,
            ReasoningReplay::Details => "reasoning",
        };
        own.reasoning.get_or_insert((name, Vec::new())).1.push(text);
    }

    fn tool_result<'m>(&self, result: &'m ToolResult) -> Result<WireMessage<'m>, Error> {
        let mut message = WireMessage::new("tool");
        message.tool_call_id = Some(&result.call_id);
        message.name = result.name.as_deref().filter(|_| self.profile.message_name);
        let is_foreign = |part: &&ContentPart| match part {
            ContentPart::Opaque(block) => block.provider != self.provider,
            _ => false,
        };
        for part in result.content.iter().filter(|part| !is_foreign(part)) {
            let part = WirePart::new(part, self.provider)?;
            message.content.push(part);
        }
        Ok(message)
    }
}

#[derive(Default)]
struct WireMessage<'a> {
    role: &'a str,
    name: Option<&'a str>,
    content: Content<'a>,
    refusal: Option<&'a str>,
    reasoning: Option<(&'static str, Vec<&'a str>)>,
    tool_calls: Vec<WireCall<'a>>,
    tool_call_id: Option<&'a str>,
    details: Vec<&'a Json>,
    extra_content: Option<&'a RawValue>,
}

#[derive(Default)]
enum Content<'a> {
    #[default]
    None,
    /// A single part that is text: what most messages have.
    Text(&'a str),
    Parts(Vec<WirePart<'a>>),
}

impl<'a> WireMessage<'a> {
    fn new(role: &'a str) -> Self {
        WireMessage {
            role,
            ..WireMessage::default()
        }
    }

    /// A block that came with an answer: the message's `extra_content` (Gemini), or else one of its `reasoning_details`.
    fn opaque(&mut self, block: &'a Json) {
        #[derive(Deserialize)]
        struct Extra<'a> {
            #[serde(borrow)]
            extra_content: &'a RawValue,
        }
        match serde_json::from_str::<Extra<'a>>(block.as_str()) {
            Ok(extra) => self.extra_content = Some(extra.extra_content),
            Err(_) => self.details.push(block),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self.content, Content::None)
            && self.refusal.is_none()
            && self.reasoning.is_none()
            && self.tool_calls.is_empty()
            && self.details.is_empty()
            && self.extra_content.is_none()
    }

    fn write(&self, object: &mut ObjectWriter) -> Result<(), Error> {
        object.text("role", self.role);
        match &self.content {
            Content::None if self.role == "assistant" => object.member("content", &None::<&str>)?,
            Content::None => object.text("content", ""),
            Content::Text(text) => object.text("content", text),
            Content::Parts(parts) => object.member("content", parts)?,
        }
        if let Some(name) = self.name {
            object.text("name", name);
        }
        if let Some(refusal) = self.refusal {
            object.text("refusal", refusal);
        }
        if let Some((name, texts)) = &self.reasoning {
            match texts.as_slice() {
                [text] => object.member(name, text)?,
                texts => object.member(name, &texts.concat())?,
            }
        }
        if !self.tool_calls.is_empty() {
            object.member("tool_calls", &self.tool_calls)?;
        }
        if let Some(id) = self.tool_call_id {
            object.text("tool_call_id", id);
        }
        if !self.details.is_empty() {
            object.member("reasoning_details", &self.details)?;
        }
        if let Some(extra) = self.extra_content {
            object.member("extra_content", extra)?;
        }
        Ok(())
    }
}

impl<'a> Content<'a> {
    fn push(&mut self, part: WirePart<'a>) {
        *self = match (std::mem::take(self), part) {
            (Content::None, WirePart::Text(text)) => Content::Text(text),
            (Content::None, part) => Content::Parts(vec![part]),
            (Content::Text(text), part) => Content::Parts(vec![WirePart::Text(text), part]),
            (Content::Parts(mut parts), part) => {
                parts.push(part);
                Content::Parts(parts)
            }
        };
    }
}
