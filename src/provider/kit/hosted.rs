//! Hosted tools in requests: each API's form of them as data, and the encoding of the history's calls and results.
//!
//! [`fit`] replaces the neutral types by the API's own JSON, so that the encoders see only functions, provider tools and
//! provider blocks. What an API lacks is refused by name.

use super::{json_object::JsonObject, request::UnsupportedParams};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Message, Role, Tool,
    chat::{HostedTool, HostedToolKind, HostedToolSetting, SettingValue, Warning},
};
use serde::Serialize;
use std::borrow::Cow;

/// How an API writes one kind of hosted tool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostedToolMapping {
    /// The kind.
    pub kind: HostedToolKind,
    /// Where the definition is written.
    pub place: HostedToolPlace,
    /// The definition without settings, as JSON.
    pub definition: &'static str,
    /// The supported settings, and their paths in the definition: a dot leads into an object. A path that begins with `/` is
    /// a field of the body.
    pub settings: &'static [(HostedToolSetting, &'static str)],
    /// The value of `include` that requests the tool's results (Responses).
    pub include: Option<&'static str>,
}

/// Where the definition of a hosted tool is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostedToolPlace {
    /// An element of `tools`.
    Tools,
    /// A field of the body.
    Field(&'static str),
    /// An element of `tools`, and the server in `mcp_servers` (Anthropic).
    McpServers,
}

impl HostedToolMapping {
    /// A tool that is an element of `tools`.
    #[must_use]
    pub const fn tool(
        kind: HostedToolKind,
        definition: &'static str,
        settings: &'static [(HostedToolSetting, &'static str)],
    ) -> Self {
        HostedToolMapping {
            kind,
            place: HostedToolPlace::Tools,
            definition,
            settings,
            include: None,
        }
    }

    /// A tool that is a field of the body.
    #[must_use]
    pub const fn field(
        kind: HostedToolKind,
        name: &'static str,
        definition: &'static str,
        settings: &'static [(HostedToolSetting, &'static str)],
    ) -> Self {
        HostedToolMapping {
            kind,
            place: HostedToolPlace::Field(name),
            definition,
            settings,
            include: None,
        }
    }
}

/// The API of a request, as far as it concerns hosted tools.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct HostedWire<'a> {
    /// The provider's name, for errors.
    pub(in crate::provider) provider: &'a str,
    /// The names under which a program addresses provider tools and options to it. The first one owns the definitions.
    pub(in crate::provider) names: &'a [&'a str],
    /// The owner of its provider blocks.
    pub(in crate::provider) block_provider: &'a str,
    pub(in crate::provider) mappings: &'a [HostedToolMapping],
    /// What else a program can do about an unsupported tool. It ends the error.
    pub(in crate::provider) hint: &'static str,
}

impl<'a> HostedWire<'a> {
    /// An API without hosted tools.
    pub(in crate::provider) fn without_tools(provider: &'a str) -> Self {
        HostedWire {
            provider,
            names: &[],
            block_provider: provider,
            mappings: &[],
            hint: "",
        }
    }
}

/// A request without hosted tools, calls and results in their neutral form.
#[derive(Debug)]
pub(in crate::provider) struct FittedRequest<'r> {
    pub(in crate::provider) request: Cow<'r, ChatRequest>,
    pub(in crate::provider) warnings: Vec<Warning>,
    /// The hosted tools, by their kind, with their definitions.
    pub(in crate::provider) tools: Vec<(HostedToolKind, JsonObject)>,
    /// The values of `include` that request their results.
    pub(in crate::provider) includes: Vec<&'static str>,
    /// The functions whose definitions are deferred.
    deferred: Vec<String>,
}

impl FittedRequest<'_> {
    /// Whether the definition of a function is deferred.
    pub(in crate::provider) fn is_deferred(&self, function: &str) -> bool {
        self.deferred.iter().any(|name| name == function)
    }

    /// The definition of the hosted tool with this kind, for a tool choice.
    pub(in crate::provider) fn chosen(&self, kind: &str) -> Option<&JsonObject> {
        let mut tools = self.tools.iter();
        tools
            .find(|(other, _)| other.as_str() == kind)
            .map(|(_, definition)| definition)
    }
}

/// Replaces hosted tools, calls, results and compactions by the API's own JSON.
pub(in crate::provider) fn fit<'r>(
    request: &'r ChatRequest,
    wire: HostedWire<'_>,
) -> Result<FittedRequest<'r>, Error> {
    let mut fitted = FittedRequest {
        request: Cow::Borrowed(request),
        warnings: Vec::new(),
        tools: Vec::new(),
        includes: Vec::new(),
        deferred: Vec::new(),
    };
    if request.messages.iter().any(has_hosted_part) {
        let mut is_first = true;
        for message in &mut fitted.request.to_mut().messages {
            history(message, is_first, wire.block_provider);
            is_first &= matches!(message.role, Role::System | Role::Developer);
        }
    }
    if request
        .tools
        .iter()
        .any(|tool| matches!(tool, Tool::Hosted(_)))
    {
        let mut omissions =
            UnsupportedParams::new(wire.provider, request.drop_unsupported).with_hint(wire.hint);
        let mut tools = Vec::with_capacity(request.tools.len());
        let mut fields = Vec::new();
        for tool in &request.tools {
            match tool {
                Tool::Hosted(hosted) => {
                    let definition = fitted.add(hosted, wire, &mut fields, &mut omissions)?;
                    tools.extend(definition);
                }
                tool => tools.push(tool.clone()),
            }
        }
        fitted.warnings = omissions.into_warnings();
        let request = fitted.request.to_mut();
        request.tools = tools;
        for (name, value) in fields {
            if request.extra.iter().all(|(other, _)| *other != name) {
                request.extra.push((name, value));
            }
        }
    }
    Ok(fitted)
}

fn has_hosted_part(message: &Message) -> bool {
    message.content.iter().any(|part| {
        matches!(
            part,
            ContentPart::HostedToolCall(_)
                | ContentPart::HostedToolResult(_)
                | ContentPart::Compaction(_)
        )
    })
}

/// Calls and results become the provider blocks that they came from, which only their own API gets. A compaction that
/// begins the conversation replaces what the program removed, so another API gets its summary as text.
fn history(message: &mut Message, is_first: bool, own: &str) {
    let mut content = Vec::with_capacity(message.content.len());
    for part in std::mem::take(&mut message.content) {
        let raw = match part {
            ContentPart::HostedToolCall(call) => call.raw,
            ContentPart::HostedToolResult(result) => result.raw,
            ContentPart::Compaction(compaction) => {
                let is_own = compaction
                    .raw
                    .as_ref()
                    .is_some_and(|raw| raw.provider == own);
                match compaction.summary {
                    Some(summary) if !is_own && (is_first || compaction.raw.is_none()) => {
                        content.push(ContentPart::text(summary));
                        continue;
                    }
                    _ => compaction.raw,
                }
            }
            other => {
                content.push(other);
                continue;
            }
        };
        content.extend(raw.map(ContentPart::ProviderBlock));
    }
    message.content = content;
}

impl FittedRequest<'_> {
    /// Adds a hosted tool. Returns its element of `tools`, and adds its fields of the body to `fields`.
    fn add(
        &mut self,
        tool: &HostedTool,
        wire: HostedWire<'_>,
        fields: &mut Vec<(String, Json)>,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<Option<Tool>, Error> {
        let known = wire.mappings.iter().find(|known| known.kind == tool.kind);
        let Some(mapping) = known else {
            omissions.refuse(&format!("the hosted tool `{}` in `tools`", tool.kind))?;
            return Ok(None);
        };
        let mut definition = JsonObject::read(mapping.definition).unwrap_or_default();
        if mapping.place == HostedToolPlace::McpServers {
            mcp_toolset(tool, &mut definition, fields, omissions)?;
        } else {
            for (setting, value) in tool.settings() {
                let path = mapping.settings.iter().find(|(known, _)| *known == setting);
                match (setting, path) {
                    (HostedToolSetting::Deferred, _) if tool.kind == HostedToolKind::ToolSearch => {
                    }
                    (_, Some((_, path))) => write(&mut definition, path, setting, value, fields)?,
                    (_, None) => unsupported(setting, tool, omissions)?,
                }
            }
            if let Some(token) = tool.token() {
                let is_authorization =
                    |(setting, _): &&(_, _)| *setting == HostedToolSetting::Authorization;
                match mapping.settings.iter().find(is_authorization) {
                    Some((_, path)) => definition.set(path, Json::new(token.expose())?),
                    None => unsupported(HostedToolSetting::Authorization, tool, omissions)?,
                }
            }
        }
        self.deferred
            .extend_from_slice(tool.list(HostedToolSetting::Deferred));
        self.includes.extend(mapping.include);
        for options in tool.options_of(wire.names) {
            let members = JsonObject::read(options.as_str()).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "`provider_options` of the hosted tool `{}` are not a JSON object",
                        tool.kind
                    ),
                )
            })?;
            for (name, value) in members.iter() {
                definition.set(name, value.clone());
            }
        }
        let json = plain_or_object(mapping.definition, &definition)?;
        self.tools.push((tool.kind.clone(), definition));
        Ok(match mapping.place {
            HostedToolPlace::Field(name) => {
                fields.push((name.to_owned(), json));
                None
            }
            HostedToolPlace::Tools | HostedToolPlace::McpServers => Some(Tool::Provider {
                provider: wire.names.first().copied().unwrap_or_default().to_owned(),
                definition: json,
            }),
        })
    }
}

fn unsupported(
    setting: HostedToolSetting,
    tool: &HostedTool,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<(), Error> {
    omissions.refuse(&format!(
        "the setting `{}` of the hosted tool `{}`",
        setting.name(),
        tool.kind
    ))
}

/// A definition such as `true` is no object.
fn plain_or_object(definition: &str, object: &JsonObject) -> Result<Json, Error> {
    match definition.starts_with('{') {
        true => object.to_json(),
        false => Json::parse(definition),
    }
}

/// Writes a setting to its path.
fn write(
    definition: &mut JsonObject,
    path: &str,
    setting: HostedToolSetting,
    value: &SettingValue,
    fields: &mut Vec<(String, Json)>,
) -> Result<(), Error> {
    /// The form of a location in the Responses API, and in Anthropic's.
    #[derive(Serialize)]
    struct Approximate<'a> {
        r#type: &'static str,
        #[serde(flatten)]
        location: &'a SettingValue,
    }
    /// Its form in chat completions.
    #[derive(Serialize)]
    struct Nested<'a> {
        r#type: &'static str,
        approximate: &'a SettingValue,
    }
    let r#type = "approximate";
    let (path, value) = match (setting, value) {
        (HostedToolSetting::UserLocation, approximate) => match path.strip_suffix(".approximate") {
            Some(outer) => (
                outer,
                Json::new(&Nested {
                    r#type,
                    approximate,
                })?,
            ),
            None => {
                let location = approximate;
                (path, Json::new(&Approximate { r#type, location })?)
            }
        },
        (HostedToolSetting::RequireApproval, SettingValue::Flag(on)) => {
            (path, Json::new(if *on { "always" } else { "never" })?)
        }
        (_, value) => (path, Json::new(value)?),
    };
    match path.strip_prefix('/') {
        Some(field) => fields.push((field.to_owned(), value)),
        None => set(definition, path, value)?,
    }
    Ok(())
}

fn set(object: &mut JsonObject, path: &str, value: Json) -> Result<(), Error> {
    let Some((outer, inner)) = path.split_once('.') else {
        object.set(path, value);
        return Ok(());
    };
    let nested = object.get(outer).map(|json| json.as_str().to_owned());
    let mut nested = nested
        .and_then(|text| JsonObject::read(&text))
        .unwrap_or_default();
    set(&mut nested, inner, value)?;
    object.set(outer, nested.to_json()?);
    Ok(())
}

/// Anthropic's form of an MCP server: the server in `mcp_servers`, and its tools in `tools`.
fn mcp_toolset(
    tool: &HostedTool,
    definition: &mut JsonObject,
    fields: &mut Vec<(String, Json)>,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Server<'a> {
        r#type: &'static str,
        url: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        authorization_token: Option<&'a str>,
    }
    let text = |setting| tool.text(setting).unwrap_or_default();
    let server = Json::new(&Server {
        r#type: "url",
        url: text(HostedToolSetting::Url),
        name: text(HostedToolSetting::Server),
        authorization_token: tool.token().map(crate::Secret::expose),
    })?;
    match fields.iter_mut().find(|(name, _)| name == "mcp_servers") {
        Some((_, servers)) => {
            let all = servers.as_str();
            let inner = all.strip_suffix(']').unwrap_or(all);
            *servers = Json::parse([inner, ",", server.as_str(), "]"].concat())?;
        }
        None => fields.push(("mcp_servers".to_owned(), Json::new(&[server])?)),
    }
    definition.set(
        "mcp_server_name",
        Json::new(text(HostedToolSetting::Server))?,
    );
    let allowed = tool.list(HostedToolSetting::AllowedTools);
    if !allowed.is_empty() {
        set(definition, "default_config.enabled", Json::new(&false)?)?;
        let mut configs = JsonObject::default();
        for name in allowed {
            configs.set(name, Json::parse(r#"{"enabled":true}"#)?);
        }
        definition.set("configs", configs.to_json()?);
    }
    for (setting, value) in tool.settings() {
        match setting {
            HostedToolSetting::Url
            | HostedToolSetting::Server
            | HostedToolSetting::AllowedTools => {}
            // The API never asks.
            HostedToolSetting::RequireApproval if *value == SettingValue::Flag(false) => {}
            other => unsupported(other, tool, omissions)?,
        }
    }
    Ok(())
}

/// A text that is not empty.
pub(in crate::provider) fn owned(text: &super::lenient::Text<'_>) -> Option<String> {
    text.non_empty().map(str::to_owned)
}
