//! Encodes a request's body as a server's profile allows.

use super::{
    ChatProfile, StreamUsage, StructuredOutput,
    message::{EncodedCall, EncodedPart, Messages},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, JsonSchema, Message, ResponseFormat,
    ToolChoice,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self, HostedWire},
        json_object::JsonObject,
        request::{FunctionTool, UnsupportedParams},
    },
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The body and the warnings.
pub(super) fn body(
    profile: &ChatProfile,
    name: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut fitted = hosted::fit(
        request,
        HostedWire {
            provider: name,
            names: &[name],
            block_provider: name,
            mappings: profile.hosted_tools,
            hint: profile.unsupported_hint,
        },
    )?;
    let mut omissions =
        UnsupportedParams::new(name, request.drop_unsupported).with_hint(profile.unsupported_hint);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let request = &*fitted.request;
    let mut encoder = Encoder {
        profile,
        request,
        out: ObjectWriter::with_capacity(estimate(request)),
        nested: Vec::new(),
        provider: name,
        omissions,
    };
    encoder.fixed_fields()?;
    request.for_each_scalar(&mut encoder)?;
    encoder.encode_structured_output()?;
    encoder.finish()
}

struct Encoder<'a> {
    profile: &'a ChatProfile,
    request: &'a ChatRequest,
    out: ObjectWriter,
    /// Objects that collect parameters with a dot in their name.
    nested: Vec<(&'static str, ObjectWriter)>,
    provider: &'a str,
    omissions: UnsupportedParams<'a>,
}

impl Encoder<'_> {
    fn fixed_fields(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !self.overridden("model") {
            self.out.text("model", &request.model);
        }
        if !self.overridden("messages") {
            let messages = Messages::new(self.profile, self.provider, request, &mut self.omissions);
            self.out
                .list("messages", |list| messages.all(request, list))?;
        }
        if !request.stream {
            return Ok(());
        }
        if !self.overridden("stream") {
            self.out.member("stream", &true)?;
        }
        let wanted = match self.profile.stream_usage {
            StreamUsage::Requested => request.include_usage.unwrap_or(true),
            StreamUsage::OnRequest => request.include_usage == Some(true),
            StreamUsage::Always | StreamUsage::Unknown => false,
        };
        if wanted && !self.overridden("stream_options") {
            let options = StreamOptions {
                include_usage: true,
            };
            self.out.member("stream_options", &options)?;
        }
        Ok(())
    }

    fn encode_structured_output(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !request.stop.is_empty() && self.check_supported(Param::Stop)? {
            self.out
                .member(self.profile.api_name(Param::Stop), &request.stop)?;
        }
        if !request.tools.is_empty() && self.check_supported(Param::Tools)? {
            let tools = self.omissions.tools(&request.tools, &[self.provider])?;
            let tools: Vec<FunctionTool<'_>> = tools
                .into_iter()
                .filter_map(FunctionTool::with_strict)
                .collect();
            if !tools.is_empty() {
                self.out.member("tools", &tools)?;
            }
        }
        if let Some(choice) = request.needed_tool_choice() {
            if self.check_supported(Param::ToolChoice)? {
                let choice = EncodedToolChoice(choice, self.profile.tool_choice_required);
                self.out.member("tool_choice", &choice)?;
            }
        }
        if let Some(format) = &request.response_format {
            self.response_format(format)?;
        }
        if let Some(text) = &request.prediction {
            if self.check_supported(Param::Prediction)? {
                let prediction = Prediction {
                    r#type: "content",
                    content: text,
                };
                self.out.member("prediction", &prediction)?;
            }
        }
        Ok(())
    }

    fn response_format(&mut self, format: &ResponseFormat) -> Result<(), Error> {
        let schema = matches!(format, ResponseFormat::JsonSchema(_));
        if schema && self.profile.structured == StructuredOutput::Object {
            return self
                .omissions
                .refuse_value("response_format", &"json_schema");
        }
        if self.check_supported(Param::ResponseFormat)? {
            self.out.member("response_format", &EncodedFormat(format))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Vec<u8>, Vec<Warning>), Error> {
        for (name, object) in std::mem::take(&mut self.nested) {
            let bytes = object.finish();
            let raw: &RawValue = serde_json::from_slice(&bytes).map_err(|e| {
                let what = format!("`{name}` cannot be serialised as JSON: {e}");
                Error::new(ErrorKind::InvalidRequest, what)
            })?;
            self.out.member(name, raw)?;
        }
        for (name, value) in &self.request.extra {
            if self.profile.supports_member(name) {
                self.out.member(name, value)?;
            } else {
                self.omissions.refuse(&format!("the field `{name}`"))?;
            }
        }
        Ok((self.out.finish(), self.omissions.into_warnings()))
    }

    /// Whether a set parameter may be sent unchanged.
    fn check_supported(&mut self, param: Param) -> Result<bool, Error> {
        if !self.profile.supports_any_value(param) {
            self.omissions
                .refuse(&format!("the parameter `{}`", param.name()))?;
            return Ok(false);
        }
        Ok(!self.overridden(self.profile.api_name(param)))
    }

    /// Whether `extra` has a field with this name, which has precedence over the typed one.
    fn overridden(&self, name: &str) -> bool {
        let mut extra = self.request.extra.iter();
        extra.any(|(other, _)| Some(&**other) == name.split('.').next())
    }

    fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.overridden(name) {
            return Ok(());
        }
        let Some((object, inner)) = name.split_once('.') else {
            return self.out.member(name, value);
        };
        if let Some((_, open)) = self.nested.iter_mut().find(|(other, _)| *other == object) {
            return open.member(inner, value);
        }
        let mut open = ObjectWriter::with_capacity(64);
        open.member(inner, value)?;
        self.nested.push((object, open));
        Ok(())
    }

    /// Writes a value in the server's own form; returns false if it has none.
    fn renamed_value<T: Serialize>(&mut self, param: Param, value: &T) -> Result<bool, Error> {
        if !self.profile.renamed_values.iter().any(|s| s.param == param) {
            return Ok(false);
        }
        let text = crate::Json::new(value)?;
        let mut spelled = self.profile.renamed_values.iter();
        let Some(found) = spelled.find(|s| s.param == param && s.value == text.as_str()) else {
            return if self.profile.supports_any_value(param) {
                Ok(false)
            } else {
                self.omissions
                    .refuse_value(param.name(), &text.as_str())
                    .map(|()| true)
            };
        };
        let wire = crate::Json::parse(found.api_value)?;
        self.member(found.name, &wire).map(|()| true)
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        // Part of `stream_options`, written with the fixed fields.
        if param == Param::IncludeUsage && self.profile.supports(param) {
            let always = self.profile.stream_usage == StreamUsage::Always;
            if always && self.request.include_usage == Some(false) {
                return self.omissions.refuse_value(param.name(), &false);
            }
            return Ok(());
        }
        if self.renamed_value(param, value)? {
            return Ok(());
        }
        if self.check_supported(param)? {
            self.member(self.profile.api_name(param), value)?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Prediction<'a> {
    r#type: &'static str,
    content: &'a str,
}

/// Sufficient for most requests, so that the body is not moved while it grows.
fn estimate(request: &ChatRequest) -> usize {
    let text = |message: &Message| {
        message
            .content
            .iter()
            .fold(64_usize, |sum, part| match part {
                ContentPart::Text { text, .. } => sum.saturating_add(text.len()),
                _ => sum.saturating_add(128),
            })
    };
    request
        .messages
        .iter()
        .fold(512, |sum, message| sum.saturating_add(text(message)))
}

// Tool choice and response format.

/// A tool choice, and the server's value for "at least one".
pub(super) struct EncodedToolChoice<'a>(pub(super) &'a ToolChoice, pub(super) &'static str);

impl Serialize for EncodedToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        match self.0 {
            ToolChoice::Auto => serializer.serialize_str("auto"),
            ToolChoice::None => serializer.serialize_str("none"),
            ToolChoice::Required => serializer.serialize_str(self.1),
            ToolChoice::Function(name) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", &Named { name })?;
                map.end()
            }
        }
    }
}

pub(super) struct EncodedFormat<'a>(pub(super) &'a ResponseFormat);

impl Serialize for EncodedFormat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Schema<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            schema: &'a Json,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::Text => map.serialize_entry("type", "text")?,
            ResponseFormat::JsonObject => map.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema(JsonSchema {
                name,
                description,
                schema,
                strict,
            }) => {
                map.serialize_entry("type", "json_schema")?;
                let schema = Schema {
                    name,
                    description: description.as_deref(),
                    schema,
                    strict: *strict,
                };
                map.serialize_entry("json_schema", &schema)?;
            }
        }
        map.end()
    }
}

// Encoding of a message.

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
    /// Unknown fields, unchanged.
    pub(super) others: Vec<(String, Json)>,
}

#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    /// A single text part, the usual case.
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

    /// Adds a block of an earlier response: the message's `extra_content` (Gemini), unknown fields, or else one of
    /// its `reasoning_details`.
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
            // OpenAI accepts its own audio only by its id.
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

    /// Sets `text` as reasoning if there is none.
    pub(super) fn require_reasoning(&mut self, name: &'static str, text: &'static str) {
        let texts = &mut self.reasoning.get_or_insert((name, Vec::new())).1;
        if texts.iter().all(|text| text.is_empty()) {
            *texts = vec![text];
        }
    }

    /// Removes images, audio and documents from the content.
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

    /// Appends another message of the same role to this one.
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

    /// `never_null`: the server requires a text even with calls.
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

    /// Without calls, a refusal or audio, an assistant message needs a text, which may be empty.
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

    /// Joins several texts. A list with other content stays a list.
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
