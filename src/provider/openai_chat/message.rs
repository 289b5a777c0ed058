//! Messages as they are on the wire.

use super::{
    part::{WireCall, WirePart},
    profile::{Profile, ReasoningReplay},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Message, Role, ToolResult,
    provider::{history::Takes, omissions::Omissions},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
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

    pub(super) fn all<'m>(
        mut self,
        request: &'m ChatRequest,
    ) -> Result<Vec<WireMessage<'m>>, Error> {
        let takes = Takes {
            own: &[self.provider],
            signatures: false,
            errors: false,
        };
        self.omissions.history(&request.messages, takes);
        let mut wire = Vec::with_capacity(request.messages.len());
        for message in &request.messages {
            self.message(message, &mut wire)?;
        }
        Ok(wire)
    }

    /// A message as one or more messages of the wire: each tool result is one of its own.
    fn message<'m>(
        &mut self,
        message: &'m Message,
        wire: &mut Vec<WireMessage<'m>>,
    ) -> Result<(), Error> {
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
                ContentPart::ToolResult(result) => wire.push(self.tool_result(result)?),
                ContentPart::ToolCall(call) => {
                    own.tool_calls.push(WireCall::new(call, self.provider));
                }
                ContentPart::Refusal { text } if self.profile.message_refusal => {
                    own.refusal = Some(text);
                }
                ContentPart::Refusal { text } => own.parts.push(WirePart::Text(text)),
                ContentPart::Reasoning { text, .. } => self.reasoning(text, &mut own),
                ContentPart::Opaque(block) if block.provider == self.provider => {
                    own.opaque(&block.block);
                }
                ContentPart::Opaque(_) => {}
                part => own.parts.push(WirePart::new(part, self.provider)?),
            }
        }
        if !own.details.is_empty() {
            own.reasoning = None;
        }
        if !own.is_empty() {
            wire.push(own);
        }
        Ok(())
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
            ReasoningReplay::Thinking => return own.parts.push(WirePart::Thinking(text)),
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
            message.parts.push(part);
        }
        Ok(message)
    }
}

#[derive(Default)]
pub(super) struct WireMessage<'a> {
    role: &'a str,
    name: Option<&'a str>,
    parts: Vec<WirePart<'a>>,
    refusal: Option<&'a str>,
    reasoning: Option<(&'static str, Vec<&'a str>)>,
    tool_calls: Vec<WireCall<'a>>,
    tool_call_id: Option<&'a str>,
    details: Vec<&'a Json>,
    extra_content: Option<&'a RawValue>,
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
        self.parts.is_empty()
            && self.refusal.is_none()
            && self.reasoning.is_none()
            && self.tool_calls.is_empty()
            && self.details.is_empty()
            && self.extra_content.is_none()
    }
}

impl Serialize for WireMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", self.role)?;
        match self.parts.as_slice() {
            [] if self.role == "assistant" => map.serialize_entry("content", &None::<&str>)?,
            [] => map.serialize_entry("content", "")?,
            [WirePart::Text(text)] => map.serialize_entry("content", text)?,
            parts => map.serialize_entry("content", parts)?,
        }
        if let Some(name) = self.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(refusal) = self.refusal {
            map.serialize_entry("refusal", refusal)?;
        }
        if let Some((name, texts)) = &self.reasoning {
            match texts.as_slice() {
                [text] => map.serialize_entry(name, text)?,
                texts => map.serialize_entry(name, &texts.concat())?,
            }
        }
        if !self.tool_calls.is_empty() {
            map.serialize_entry("tool_calls", &self.tool_calls)?;
        }
        if let Some(id) = self.tool_call_id {
            map.serialize_entry("tool_call_id", id)?;
        }
        if !self.details.is_empty() {
            map.serialize_entry("reasoning_details", &self.details)?;
        }
        if let Some(extra) = self.extra_content {
            map.serialize_entry("extra_content", extra)?;
        }
        map.end()
    }
}
