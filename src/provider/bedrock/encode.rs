//! Encodes a request as the body of Converse.

use super::{
    BLOCK_PROVIDER, hosted,
    messages::{Conversation, conversation},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, Tool, ToolChoice,
    chat::{Param, ParamVisitor, ServiceTier, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self as hosted_tools, HostedWire},
        request::UnsupportedParams,
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};
use std::{borrow::Cow, collections::BTreeMap};

/// The fields of a Converse request, which refuses others. The model is in the path.
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

/// The body, and warnings about dropped or changed content.
pub(super) fn body(request: &ChatRequest) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut fitted = hosted_tools::fit(
        request,
        HostedWire {
            provider: BLOCK_PROVIDER,
            names: &[BLOCK_PROVIDER],
            block_provider: BLOCK_PROVIDER,
            mappings: hosted::TOOLS,
            hint: "",
        },
    )?;
    let mut omissions = UnsupportedParams::new(BLOCK_PROVIDER, request.drop_unsupported);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let request = &*fitted.request;
    let mut encoder = Encoder {
        request,
        sections: BTreeMap::new(),
        omissions,
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
    /// Object fields that are merged with those of the same name in `extra`.
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
                format!("`{name}` cannot be serialised as JSON: {e}"),
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

    /// The tools, unless the tool choice is `none`. Converse lacks that choice, so the tools are omitted, which it
    /// accepts if the conversation has no calls.
    fn tools(&mut self, tools: Tools<'_>, conversation: &Conversation<'_>) -> Result<(), Error> {
        let unwanted = self.request.tool_choice == Some(ToolChoice::None);
        if self.overridden("toolConfig") && tools.tools.is_empty() {
            return Ok(());
        }
        if conversation.has_tools && tools.tools.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the conversation contains tool calls or results, so Bedrock requires `tools` to be set on the request",
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

    /// Checks the extra fields.
    fn extra(&mut self) -> Result<(), Error> {
        let request = self.request;
        let unknown = request.extra.iter().map(|(name, _)| name.as_str());
        for name in unknown.filter(|name| !MEMBERS.contains(name)) {
            self.omissions.refuse(&format!(
                "the field `{name}` (parameters of a model that Converse lacks go into `additionalModelRequestFields`)"
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
            // The streaming mode of a guardrail, which a request without streaming refuses.
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

    /// Whether `extra` has a field with this name.
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
            // Bedrock's default behaviour.
            Param::ServiceTier if request.service_tier == Some(ServiceTier::Auto) => Ok(()),
            Param::ServiceTier => self.set("serviceTier", "type", value),
            Param::Metadata => {
                let labels = request.metadata.iter().flatten();
                if labels.clone().count() > MAX_LABELS {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        format!(
                            "`metadata` has more than the {MAX_LABELS} labels that Bedrock accepts"
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
            // A stream always ends with the usage.
            Param::IncludeUsage if request.include_usage == Some(true) => Ok(()),
            Param::TopK | Param::ReasoningMaxTokens => self.omissions.refuse(&format!(
                "the parameter `{}` (models with this parameter accept it in `additionalModelRequestFields`)",
                param.name()
            )),
            other => self
                .omissions
                .refuse(&format!("the parameter `{}`", other.name())),
        }
    }
}

/// The limit for `requestMetadata` in the service model.
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
            "`metadata` has `{}`: Bedrock accepts up to 256 letters, digits, spaces and `:_@$#=/+,-.`",
            text.escape_debug()
        ),
    ))
}

/// The typed fields of an object and the extra ones, which have precedence.
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

/// The fields of an object; none for any other value.
fn members(value: &Json) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(value.as_str()).unwrap_or_default()
}

/// The schema is sent as a JSON string.
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

/// Sufficient for most requests, so that the body is not moved while it grows.
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

// `toolConfig`.

/// The tools and the tool choice.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub(super) tools: Vec<EncodedTool<'a>>,
    pub(super) choice: Option<EncodedToolChoice<'a>>,
}

/// Encodes a request's tools, before it is known whether the conversation has calls.
pub(super) fn tools<'a>(
    request: &'a ChatRequest,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Tools<'a>, Error> {
    let known = omissions.tools(&request.tools, &[BLOCK_PROVIDER])?;
    let tools: Vec<_> = known
        .into_iter()
        .filter_map(|known| tool(known).transpose())
        .collect::<Result<_, _>>()?;
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::None) => None,
        Some(ToolChoice::Auto) if tools.is_empty() => None,
        Some(_) if tools.is_empty() => {
            return Err(refuse(
                "`tool_choice` requires a tool, but `tools` is empty".to_owned(),
            ));
        }
        Some(choice) => Some(EncodedToolChoice(choice)),
    };
    Ok(Tools { tools, choice })
}

fn tool(tool: &Tool) -> Result<Option<EncodedTool<'_>>, Error> {
    Ok(Some(match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            check_name(name)?;
            EncodedTool::ToolSpec {
                name,
                // An empty description is refused.
                description: description
                    .as_deref()
                    .filter(|text| !text.trim().is_empty()),
                input_schema: ToolSchema {
                    json: parameters.as_ref(),
                },
                strict: *strict,
            }
        }
        Tool::Provider { definition, .. } => EncodedTool::Raw(definition),
        // `UnsupportedParams::tools` returns none.
        Tool::Hosted(_) => return Ok(None),
    }))
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(refuse(format!(
        "`{}` is not a valid tool name: Bedrock accepts 1 to 64 letters, digits, `_` and `-`",
        name.escape_debug()
    )))
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum EncodedTool<'a> {
    ToolSpec {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: ToolSchema<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
    #[serde(untagged)]
    Raw(&'a Json),
}

/// A tool without arguments needs a schema too.
#[derive(Debug)]
pub(super) struct ToolSchema<'a> {
    json: Option<&'a Json>,
}

impl Serialize for ToolSchema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Nothing {
            r#type: &'static str,
            properties: Empty,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self.json {
            Some(json) => map.serialize_entry("json", json)?,
            None => map.serialize_entry(
                "json",
                &Nothing {
                    r#type: "object",
                    properties: Empty {},
                },
            )?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Empty {}

#[derive(Debug)]
pub(super) struct EncodedToolChoice<'a>(&'a ToolChoice);

impl Serialize for EncodedToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            ToolChoice::Required => map.serialize_entry("any", &Empty {})?,
            ToolChoice::Function(name) => map.serialize_entry("tool", &Named { name })?,
            ToolChoice::Auto | ToolChoice::None => map.serialize_entry("auto", &Empty {})?,
        }
        map.end()
    }
}

// Settings that only Converse has.

/// Settings of Bedrock's Converse API that no other provider has. [`apply`](ConverseOptions::apply) adds them to a
/// request.
///
/// ```
/// use unifiedai::{ChatRequest, provider::bedrock::{ConverseOptions, Guardrail}};
/// # fn main() -> Result<(), unifiedai::Error> {
/// let request = ConverseOptions::new()
///     .guardrail(Guardrail::new("abcd1234", "DRAFT").trace("enabled"))
///     .model_field("top_k", &40)?
///     .apply(ChatRequest::new("us.anthropic.claude-sonnet-4-20250514-v1:0").user("Hello"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConverseOptions {
    guardrail: Option<Guardrail>,
    model_fields: BTreeMap<String, Json>,
    response_paths: Vec<String>,
    latency: Option<String>,
    prompt_variables: BTreeMap<String, Variable>,
}

impl ConverseOptions {
    /// Creates options without settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the guardrail for request and response (`guardrailConfig`).
    #[must_use]
    pub fn guardrail(mut self, guardrail: Guardrail) -> Self {
        self.guardrail = Some(guardrail);
        self
    }

    /// Adds a parameter of the model itself, such as Anthropic's `top_k` or `thinking` (a field of
    /// `additionalModelRequestFields`).
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn model_field<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self, Error> {
        self.model_fields.insert(name.into(), Json::new(value)?);
        Ok(self)
    }

    /// Adds a JSON pointer, such as `/stop_sequence`, to a field of the model's own response that is returned in
    /// `additionalModelResponseFields` (at most 10).
    #[must_use]
    pub fn response_path(mut self, pointer: impl Into<String>) -> Self {
        self.response_paths.push(pointer.into());
        self
    }

    /// Sets the latency: `standard` or `optimized` (`performanceConfig.latency`).
    #[must_use]
    pub fn latency(mut self, latency: impl Into<String>) -> Self {
        self.latency = Some(latency.into());
        self
    }

    /// Sets a variable of a managed prompt, whose ARN is the request's model (`promptVariables`).
    #[must_use]
    pub fn prompt_variable(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let variable = Variable { text: text.into() };
        self.prompt_variables.insert(name.into(), variable);
        self
    }

    /// Adds the settings to a request, as fields of [`ChatRequest::extra`].
    ///
    /// # Errors
    /// None for options made with this type's methods.
    pub fn apply(&self, mut request: ChatRequest) -> Result<ChatRequest, Error> {
        if let Some(guardrail) = &self.guardrail {
            request = request.extra("guardrailConfig", guardrail)?;
        }
        if !self.model_fields.is_empty() {
            request = request.extra("additionalModelRequestFields", &self.model_fields)?;
        }
        if !self.response_paths.is_empty() {
            request = request.extra("additionalModelResponseFieldPaths", &self.response_paths)?;
        }
        if let Some(latency) = &self.latency {
            request = request.extra("performanceConfig", &Performance { latency })?;
        }
        if !self.prompt_variables.is_empty() {
            request = request.extra("promptVariables", &self.prompt_variables)?;
        }
        Ok(request)
    }
}

#[derive(Serialize)]
struct Performance<'a> {
    latency: &'a str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Variable {
    text: String,
}

/// A guardrail of Amazon Bedrock. If it intervenes, the response is the guardrail's own text, with the finish reason
/// `content_filter` and the native one `guardrail_intervened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    guardrail_identifier: String,
    guardrail_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_processing_mode: Option<String>,
}

impl Guardrail {
    /// Creates a guardrail by its id or ARN and its version: a number or `DRAFT`.
    #[must_use]
    pub fn new(identifier: impl Into<String>, version: impl Into<String>) -> Self {
        Guardrail {
            guardrail_identifier: identifier.into(),
            guardrail_version: version.into(),
            trace: None,
            stream_processing_mode: None,
        }
    }

    /// Sets the detail of the field `trace` in [`ProviderMetadata::extra`](crate::chat::ProviderMetadata::extra):
    /// `enabled`, `disabled` or `enabled_full`.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<String>) -> Self {
        self.trace = Some(trace.into());
        self
    }

    /// Sets whether a stream waits for the guardrail (`sync`) or is checked concurrently (`async`). It is not sent
    /// for a request without streaming.
    #[must_use]
    pub fn stream_processing_mode(mut self, mode: impl Into<String>) -> Self {
        self.stream_processing_mode = Some(mode.into());
        self
    }
}
