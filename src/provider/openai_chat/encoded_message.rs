//! A message as it is on the wire.

use super::part::{EncodedCall, EncodedPart};
use crate::{Error, Json, json::ObjectWriter, provider::kit::json_object::JsonObject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Default)]
pub(super) struct EncodedMessage<'a> {
    pub(super) role: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) content: Content<'a>,
    pub(super) refusal: Option<&'a str>,
    pub(super) reasoning: Option<(&'static str, Vec<&'a str>)>,
    pub(super) tool_calls: Vec<EncodedCall<'a>>,
    pub(super) tool_call_id: Option<&'a str>,
    pub(super) details: Vec<&'a Json>,
    pub(super) extra_content: Option<&'a RawValue>,
    /// Members without a place in the model, as they came.
    pub(super) others: Vec<(String, Json)>,
}

#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    /// A single part that is text: what most messages have.
    Text(Cow<'a, str>),
    Parts(Vec<EncodedPart<'a>>),
}

impl<'a> EncodedMessage<'a> {
    pub(super) fn new(role: &'a str) -> Self {
        EncodedMessage {
            role,
            ..EncodedMessage::default()
        }
    }

    /// A block that came with an answer: the message's `extra_content` (Gemini), members without a place in the model, or
    /// else one of its `reasoning_details`.
    pub(super) fn provider_block(&mut self, block: &'a Json) {
        #[derive(Deserialize)]
        struct Extra<'a> {
            #[serde(borrow)]
            extra_content: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Kept {
            message: JsonObject,
        }
        if let Ok(extra) = serde_json::from_str::<Extra<'a>>(block.as_str()) {
            self.extra_content = Some(extra.extra_content);
        } else if let Ok(kept) = block.decode::<Kept>() {
            for (name, value) in kept.message.iter() {
                self.kept(name, value);
            }
        } else {
            self.details.push(block);
        }
    }

    fn kept(&mut self, name: &str, value: &Json) {
        #[derive(Deserialize, Serialize)]
        struct Reference {
            id: String,
        }
        let list = || value.decode::<Vec<Json>>().unwrap_or_default();
        match name {
            "content" => list()
                .into_iter()
                .for_each(|part| self.content.push(EncodedPart::Raw(part))),
            "tool_calls" => self
                .tool_calls
                .extend(list().into_iter().map(EncodedCall::Raw)),
            // OpenAI takes its own sound back by its id alone.
            "audio" => {
                let id = value.decode::<Reference>().ok();
                let id = id.and_then(|id| Json::new(&id).ok());
                self.others
                    .push((name.to_owned(), id.unwrap_or_else(|| value.clone())));
            }
            name => self.others.push((name.to_owned(), value.clone())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.content, Content::None)
            && self.refusal.is_none()
            && self.reasoning.is_none()
            && self.tool_calls.is_empty()
            && self.details.is_empty()
            && self.extra_content.is_none()
            && self.others.is_empty()
    }

    /// Without any reasoning, `text` is in its place.
    pub(super) fn require_reasoning(&mut self, name: &'static str, text: &'static str) {
        let texts = &mut self.reasoning.get_or_insert((name, Vec::new())).1;
        if texts.iter().all(|text| text.is_empty()) {
            *texts = vec![text];
        }
    }

    /// Takes the pictures, sounds and documents out of the content.
    pub(super) fn take_media(&mut self) -> Vec<EncodedPart<'a>> {
        let Content::Parts(parts) = &mut self.content else {
            return Vec::new();
        };
        let parts = std::mem::take(parts);
        self.content = Content::None;
        let (media, rest) = parts.into_iter().partition(EncodedPart::is_media);
        for part in rest {
            self.content.push(part);
        }
        media
    }

    /// Adds a further message of the same role to this one.
    pub(super) fn join(&mut self, other: EncodedMessage<'a>) {
        match (&mut self.content, other.content) {
            (_, Content::None) => {}
            (Content::Text(text), Content::Text(more)) => {
                let text = text.to_mut();
                text.push_str("\n\n");
                text.push_str(&more);
            }
            (content, Content::Text(text)) => content.push(EncodedPart::Text(text)),
            (content, Content::Parts(parts)) => {
                parts.into_iter().for_each(|part| content.push(part));
            }
        }
        self.tool_calls.extend(other.tool_calls);
        self.details.extend(other.details);
        self.others.extend(other.others);
        self.name = self.name.or(other.name);
        self.refusal = self.refusal.or(other.refusal);
        self.extra_content = self.extra_content.or(other.extra_content);
        match (&mut self.reasoning, other.reasoning) {
            (Some((_, texts)), Some((_, more))) => texts.extend(more),
            (own, more) => *own = own.take().or(more),
        }
    }

    /// `never_null`: the server wants a text even beside calls.
    pub(super) fn write(&self, object: &mut ObjectWriter, never_null: bool) -> Result<(), Error> {
        object.text("role", self.role);
        match &self.content {
            Content::None if !never_null && self.may_lack_content() => {
                object.member("content", &None::<&str>)?;
            }
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
        for (name, value) in &self.others {
            object.member(name, value)?;
        }
        Ok(())
    }

    /// Without calls, a refusal or sound a turn of the model needs a text, possibly empty.
    fn may_lack_content(&self) -> bool {
        self.role == "assistant"
            && (!self.tool_calls.is_empty() || self.refusal.is_some() || !self.others.is_empty())
    }
}

impl<'a> Content<'a> {
    pub(super) fn push(&mut self, part: EncodedPart<'a>) {
        *self = match (std::mem::take(self), part) {
            (Content::None, EncodedPart::Text(text)) => Content::Text(text),
            (Content::None, part) => Content::Parts(vec![part]),
            (Content::Text(text), part) => Content::Parts(vec![EncodedPart::Text(text), part]),
            (Content::Parts(mut parts), part) => {
                parts.push(part);
                Content::Parts(parts)
            }
        };
    }

    /// Makes several texts one. With anything else among them the list stays.
    pub(super) fn join_texts(&mut self, separator: &str) {
        let Content::Parts(parts) = self else {
            return;
        };
        let text = |part: &EncodedPart<'a>| match part {
            EncodedPart::Text(text) => Some(text.clone()),
            _ => None,
        };
        let texts: Option<Vec<Cow<'a, str>>> = parts.iter().map(text).collect();
        if let Some(texts) = texts {
            *self = Content::Text(texts.join(separator).into());
        }
    }
}
