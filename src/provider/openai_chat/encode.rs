//! From a request to the body that a server's profile allows.

use super::{
    message::Messages,
    profile::{ChatProfile, StreamUsage, StructuredOutput},
    tools::{EncodedFormat, EncodedToolChoice},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Message, ResponseFormat,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::request::{FunctionTool, UnsupportedParams},
};
use serde::Serialize;
use serde_json::value::RawValue;

/// The body, and what was dropped from it.
pub(super) fn body(
    profile: &ChatProfile,
    name: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut encoder = Encoder {
        profile,
        request,
        out: ObjectWriter::with_capacity(estimate(request)),
        nested: Vec::new(),
        provider: name,
        omissions: UnsupportedParams::new(name, request.drop_unsupported),
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
    /// Objects that gather parameters with a dot in their name.
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
            let tools: Vec<FunctionTool<'_>> =
                tools.into_iter().map(FunctionTool::with_strict).collect();
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
                let what = format!("`{name}` cannot be written as JSON: {e}");
                Error::new(ErrorKind::InvalidRequest, what)
            })?;
            self.out.member(name, raw)?;
        }
        for (name, value) in &self.request.extra {
            if self.profile.supports_member(name) {
                self.out.member(name, value)?;
            } else {
                self.omissions.refuse(&format!("the member `{name}`"))?;
            }
        }
        Ok((self.out.finish(), self.omissions.into_warnings()))
    }

    /// Whether a parameter that is set may be sent as it is.
    fn check_supported(&mut self, param: Param) -> Result<bool, Error> {
        if !self.profile.supports_any_value(param) {
            self.omissions
                .refuse(&format!("the parameter `{}`", param.name()))?;
            return Ok(false);
        }
        Ok(!self.overridden(self.profile.api_name(param)))
    }

    /// Whether `extra` has a member of this name, which counts before the typed one.
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

    /// Says a value in the server's own way; false if there is none for it.
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
        // Part of `stream_options`, written with the fixed members.
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

/// Enough for most requests, so that the body is not moved while it grows.
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
