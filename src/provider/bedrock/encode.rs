//! From a request to the body of Converse.

use super::{
    BLOCK_PROVIDER,
    messages::{Conversation, conversation},
    tools::{Tools, tools},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, ToolChoice,
    chat::{Param, ParamVisitor, ServiceTier, Warning},
    json::ObjectWriter,
    provider::kit::request::UnsupportedParams,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};
use std::{borrow::Cow, collections::BTreeMap};

/// The members of a Converse request, which refuses others. The model stands in the path.
const MEMBERS: [&str; 12] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "outputConfig",
    "serviceTier",
    "requestMetadata",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "promptVariables",
];

/// The body, and what was dropped from it or changed.
pub(super) fn body(request: &ChatRequest) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut encoder = Encoder {
        request,
        sections: BTreeMap::new(),
        omissions: UnsupportedParams::new(BLOCK_PROVIDER, request.drop_unsupported),
    };
    request.for_each_scalar(&mut encoder)?;
    encoder.encode_structured_output()?;
    let conversation = match encoder.overridden("messages") {
        true => Conversation::new(request.drop_unsupported),
        false => conversation(request)?,
    };
    let tools = tools(request, &mut encoder.omissions)?;
    encoder.tools(tools, &conversation)?;
    encoder.extra()?;
    encoder.write(conversation)
}

struct Encoder<'a> {
    request: &'a ChatRequest,
    /// Members that are objects, to be merged with those of the same name in `extra`.
    sections: BTreeMap<&'static str, Section<'a>>,
    omissions: UnsupportedParams<'a>,
}

type Section<'a> = Vec<(Cow<'a, str>, Box<RawValue>)>;

impl<'a> Encoder<'a> {
    fn set<T: Serialize + ?Sized>(
        &mut self,
        section: &'static str,
        name: impl Into<Cow<'a, str>>,
        value: &T,
    ) -> Result<(), Error> {
        let name = name.into();
        let value = to_raw_value(value).map_err(|e| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{name}` cannot be written as JSON: {e}"),
            )
        })?;
        self.sections
            .entry(section)
            .or_default()
            .push((name, value));
        Ok(())
    }

    fn encode_structured_output(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !request.stop.is_empty() {
            self.set("inferenceConfig", "stopSequences", &request.stop)?;
        }
        match &request.response_format {
            None | Some(ResponseFormat::Text) => {}
            Some(ResponseFormat::JsonObject) => {
                self.omissions
                    .refuse_value("response_format", &"json_object")?;
            }
            Some(ResponseFormat::JsonSchema(schema)) => {
                self.set("outputConfig", "textFormat", &TextFormat::new(schema))?;
            }
        }
        if request.prediction.is_some() {
            self.omissions.refuse("the parameter `prediction`")?;
        }
        Ok(())
    }

    /// The tools, unless none are wanted. Converse has no word for that: tools are left out then, which it allows as long
    /// as the conversation has no calls.
    fn tools(&mut self, tools: Tools<'_>, conversation: &Conversation<'_>) -> Result<(), Error> {
        let unwanted = self.request.tool_choice == Some(ToolChoice::None);
        if self.overridden("toolConfig") && tools.tools.is_empty() {
            return Ok(());
        }
        if conversation.has_tools && tools.tools.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the conversation has tool calls or results: Bedrock wants the tools of which they are with it",
            ));
        }
        if unwanted && conversation.has_tools {
            self.omissions
                .refuse("`tool_choice` `none` in a conversation with tool calls")?;
        } else if unwanted {
            return Ok(());
        }
        if !tools.tools.is_empty() {
            self.set("toolConfig", "tools", &tools.tools)?;
        }
        if let Some(choice) = &tools.choice {
            self.set("toolConfig", "toolChoice", choice)?;
        }
        Ok(())
    }

    /// Checks the members that are added.
    fn extra(&mut self) -> Result<(), Error> {
        let request = self.request;
        let unknown = request.extra.iter().map(|(name, _)| name.as_str());
        for name in unknown.filter(|name| !MEMBERS.contains(name)) {
            self.omissions.refuse(&format!(
                "the member `{name}` (what a model takes beyond Converse goes into `additionalModelRequestFields`)"
            ))?;
        }
        Ok(())
    }

    fn write(mut self, conversation: Conversation<'_>) -> Result<(Vec<u8>, Vec<Warning>), Error> {
        let mut out = ObjectWriter::with_capacity(estimate(self.request));
        if !self.overridden("messages") {
            out.member("messages", &conversation.turns)?;
        }
        if !conversation.system.is_empty() && !self.overridden("system") {
            out.member("system", &conversation.system)?;
        }
        for name in MEMBERS {
            let typed = self.sections.remove(name).unwrap_or_default();
            let added = self.request.extra.iter().find(|(other, _)| other == name);
            let added = added.map(|(_, value)| value);
            let mut merged = MergedSection {
                typed: &typed,
                added: added.map(members).unwrap_or_default(),
            };
            // How a guardrail goes along with a stream; a whole answer has no use for it and refuses it.
            let processing = match name {
                "guardrailConfig" if !self.request.stream => {
                    merged.added.remove("streamProcessingMode")
                }
                _ => None,
            };
            match added {
                None if typed.is_empty() => {}
                Some(value) if typed.is_empty() && processing.is_none() => {
                    out.member(name, value)?;
                }
                Some(value) if merged.added.is_empty() && processing.is_none() => {
                    out.member(name, value)?;
                }
                _ => out.member(name, &merged)?,
            }
        }
        let mut warnings = self.omissions.into_warnings();
        warnings.extend(conversation.omissions.into_warnings());
        Ok((out.finish(), warnings))
    }

    /// Whether `extra` has a member of this name.
    fn overridden(&self, name: &str) -> bool {
        self.request.extra.iter().any(|(other, _)| other == name)
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let request = self.request;
        match param {
            Param::MaxTokens => self.set("inferenceConfig", "maxTokens", value),
            Param::Temperature => self.set("inferenceConfig", "temperature", value),
            Param::TopP => self.set("inferenceConfig", "topP", value),
            Param::ReasoningEffort if request.reasoning_effort != Some(ReasoningEffort::None) => {
                self.set("outputConfig", "effort", value)
            }
            // What Bedrock does without the member.
            Param::ServiceTier if request.service_tier == Some(ServiceTier::Auto) => Ok(()),
            Param::ServiceTier => self.set("serviceTier", "type", value),
            Param::Metadata => {
                let labels = request.metadata.iter().flatten();
                if labels.clone().count() > MAX_LABELS {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        format!(
                            "`metadata` has more than the {MAX_LABELS} labels that Bedrock takes"
                        ),
                    ));
                }
                for (name, value) in labels {
                    check_label(name, 1)?;
                    check_label(value, 0)?;
                    self.set("requestMetadata", name.as_str(), value)?;
                }
                Ok(())
            }
            Param::N if request.n == Some(1) => Ok(()),
            // A stream always ends with it.
            Param::IncludeUsage if request.include_usage == Some(true) => Ok(()),
            Param::TopK | Param::ReasoningMaxTokens => self.omissions.refuse(&format!(
                "the parameter `{}` (models that have it take it in `additionalModelRequestFields`)",
                param.name()
            )),
            other => self
                .omissions
                .refuse(&format!("the parameter `{}`", other.name())),
        }
    }
}

/// The service model's limit for `requestMetadata`.
const MAX_LABELS: usize = 16;

fn check_label(text: &str, least: usize) -> Result<(), Error> {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c);
    if (least..=256).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`metadata` has `{}`: Bedrock takes up to 256 letters, digits, spaces and `:_@$#=/+,-.`",
            text.escape_debug()
        ),
    ))
}

/// The typed members of an object and those that were added, which count before them.
struct MergedSection<'s, 'a> {
    typed: &'s Section<'a>,
    added: BTreeMap<String, Box<RawValue>>,
}

impl Serialize for MergedSection<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.typed {
            if !self.added.contains_key(&**name) {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in &self.added {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The members of an object; none for anything else.
fn members(value: &Json) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(value.as_str()).unwrap_or_default()
}

/// The schema goes as a string of JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TextFormat<'a> {
    r#type: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    schema: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

impl<'a> TextFormat<'a> {
    fn new(format: &'a JsonSchema) -> Self {
        TextFormat {
            r#type: "json_schema",
            structure: Structure {
                json_schema: Schema {
                    schema: format.schema.as_str(),
                    name: &format.name,
                    description: format.description.as_deref(),
                },
            },
        }
    }
}

/// Enough for most requests, so that the body is not moved while it grows.
fn estimate(request: &ChatRequest) -> usize {
    let of_part = |part: &ContentPart| match part {
        ContentPart::Text { text, .. } => text.len(),
        _ => 128,
    };
    let of_message = |message: &Message| {
        let parts = message.content.iter().map(of_part);
        parts.fold(64_usize, usize::saturating_add)
    };
    let messages = request.messages.iter().map(of_message);
    messages.fold(512, usize::saturating_add)
}
