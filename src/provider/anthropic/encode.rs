//! Encodes a request's body.

use super::{
    Anthropic, BLOCK_PROVIDER, Hosting, hosted,
    messages::{Content, Conversation},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, ReasoningEffort, ResponseFormat, Tool, ToolChoice,
    chat::{
        CompactionSettings, Param, ParamVisitor, ProviderBlock, ReasoningFormat, ServiceTier,
        Warning,
    },
    json::ObjectWriter,
    provider::{
        BaseUrl,
        kit::{
            hosted::{self as hosted_tools, FittedRequest, HostedWire},
            json_object::JsonObject,
            request::UnsupportedParams,
        },
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The body and the warnings.
pub(super) fn body(
    provider: &Anthropic,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let name = provider.core.name();
    let mut fitted = hosted_tools::fit(
        request,
        HostedWire {
            provider: name,
            names: &[BLOCK_PROVIDER, name],
            block_provider: BLOCK_PROVIDER,
            mappings: match provider.hosting {
                Hosting::Own | Hosting::Azure(_) => hosted::TOOLS,
                Hosting::Vertex(_) => hosted::VERTEX_TOOLS,
            },
            hint: "",
        },
    )?;
    let mut omissions = UnsupportedParams::new(name, request.drop_unsupported);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let mut encoder = Encoder {
        provider: name,
        request: &fitted.request,
        fitted: &fitted,
        out: ObjectWriter::with_capacity(1024),
        omissions,
    };
    let request = encoder.request;
    encoder.fixed_fields(provider)?;
    request.for_each_scalar(&mut encoder)?;
    encoder.encode_structured_output()?;
    for (name, value) in &request.extra {
        encoder.out.member(name, value)?;
    }
    Ok((encoder.out.finish(), encoder.omissions.into_warnings()))
}

/// The token limit for requests without one, which the API requires. Reasoning counts towards it.
pub(super) fn chosen_limit(request: &ChatRequest, default: u64) -> Option<u64> {
    let set =
        request.max_tokens.is_some() || request.extra.iter().any(|(name, _)| name == "max_tokens");
    let thinking = request.reasoning_max_tokens.unwrap_or(0);
    (!set).then(|| default.saturating_add(thinking))
}

struct Encoder<'a> {
    provider: &'a str,
    request: &'a ChatRequest,
    fitted: &'a FittedRequest<'a>,
    out: ObjectWriter,
    omissions: UnsupportedParams<'a>,
}

impl<'a> Encoder<'a> {
    fn fixed_fields(&mut self, provider: &Anthropic) -> Result<(), Error> {
        let request = self.request;
        match &provider.hosting {
            Hosting::Own | Hosting::Azure(_) => self.member("model", &request.model)?,
            Hosting::Vertex(_) => self.member("anthropic_version", super::VERTEX_VERSION)?,
        }
        let limit = request
            .max_tokens
            .or_else(|| chosen_limit(request, provider.default_max_tokens));
        if let Some(limit) = limit {
            self.member("max_tokens", &limit)?;
        }
        if request.stream {
            self.member("stream", &true)?;
        }
        let conversation = Conversation::new(request, &provider.server, &mut self.omissions)?;
        if !conversation.system.is_empty() {
            self.member("system", &Content(&conversation.system))?;
        }
        self.member("messages", &conversation.messages)
    }

    fn encode_structured_output(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !request.stop.is_empty() {
            self.member("stop_sequences", &request.stop)?;
        }
        if !request.tools.is_empty() {
            let tools = self.tools()?;
            if !tools.is_empty() {
                self.member("tools", &tools)?;
            }
        }
        if let Some(choice) = self.tool_choice() {
            self.member("tool_choice", &choice)?;
        }
        if let Some(thinking) = self.thinking()? {
            self.member("thinking", &thinking)?;
        }
        let effort = self.effort()?;
        let format = self.format()?;
        if effort.is_some() || format.is_some() {
            self.member("output_config", &OutputConfig { effort, format })?;
        }
        if let Some(tier) = &request.service_tier {
            match tier {
                ServiceTier::Default => self.member("service_tier", "standard_only")?,
                ServiceTier::Auto | ServiceTier::Other(_) => {
                    self.member("service_tier", tier)?;
                }
                other => self.omissions.refuse_value("service_tier", other)?,
            }
        }
        if let Some(user_id) = &request.user_id {
            self.member("metadata", &Metadata { user_id })?;
        }
        if let Some(settings) = &request.compaction {
            self.member("context_management", &ContextManagement::new(settings))?;
        }
        if request.prediction.is_some() {
            self.omissions.refuse("the parameter `prediction`")?;
        }
        Ok(())
    }

    /// Writes a field, unless `extra` has one with this name, which has precedence.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.request.extra.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        self.out.member(name, value)
    }

    fn tools(&mut self) -> Result<Vec<EncodedTool<'a>>, Error> {
        let request: &'a ChatRequest = self.request;
        let own = [super::BLOCK_PROVIDER, self.provider];
        let mut wire = Vec::with_capacity(request.tools.len());
        for tool in self.omissions.tools(&request.tools, &own)? {
            wire.push(match tool {
                Tool::Function {
                    name,
                    description,
                    parameters,
                    strict,
                } => EncodedTool::Function {
                    name,
                    description: description.as_deref(),
                    input_schema: match parameters {
                        Some(schema) => schema.clone(),
                        None => Json::parse(r#"{"type":"object"}"#)?,
                    },
                    strict: *strict,
                    defer_loading: self.fitted.is_deferred(name),
                },
                Tool::Provider { definition, .. } => EncodedTool::Raw(definition),
                Tool::Hosted(_) => continue,
            });
        }
        Ok(wire)
    }

    /// Parallel tool calls are part of the tool choice.
    fn tool_choice(&self) -> Option<EncodedToolChoice<'a>> {
        let request: &'a ChatRequest = self.request;
        let single = request.parallel_tool_calls.map(|parallel| !parallel);
        let choice = |kind, name| EncodedToolChoice {
            kind,
            name,
            disable_parallel_tool_use: single.filter(|_| kind != "none"),
        };
        Some(match request.needed_tool_choice() {
            Some(ToolChoice::Auto) => choice("auto", None),
            Some(ToolChoice::None) => choice("none", None),
            Some(ToolChoice::Required) => choice("any", None),
            Some(ToolChoice::Function(name)) => {
                let hosted = self.fitted.chosen(name).and_then(|tool| tool.get("name"));
                let own =
                    hosted.and_then(|name| name.as_str().strip_prefix('"')?.strip_suffix('"'));
                choice("tool", Some(own.unwrap_or(name)))
            }
            None if single == Some(true) && !request.tools.is_empty() => choice("auto", None),
            None => return None,
        })
    }

    fn thinking(&mut self) -> Result<Option<Thinking>, Error> {
        let request = self.request;
        let display = match &request.reasoning_format {
            Some(ReasoningFormat::Parsed) => Some("summarized"),
            Some(ReasoningFormat::Hidden) => Some("omitted"),
            Some(ReasoningFormat::None) | None => None,
            Some(other) => {
                self.omissions.refuse_value("reasoning_format", other)?;
                None
            }
        };
        let thinking = |kind, budget_tokens, display| Thinking {
            kind,
            budget_tokens,
            display,
        };
        let off = request.disable_reasoning == Some(true)
            || request.reasoning_effort == Some(ReasoningEffort::None)
            || request.reasoning_max_tokens == Some(0);
        Ok(
            match (request.reasoning_max_tokens, &request.reasoning_effort) {
                _ if off => Some(thinking("disabled", None, None)),
                (Some(budget), _) => Some(thinking("enabled", Some(budget), display)),
                // An effort that the API lacks.
                (None, Some(ReasoningEffort::Minimal)) => None,
                // Without it the newest models do not reason at all, whatever the effort.
                (None, Some(_)) => Some(thinking("adaptive", None, display)),
                (None, None) => None,
            },
        )
    }

    fn effort(&mut self) -> Result<Option<&'a str>, Error> {
        let request: &'a ChatRequest = self.request;
        match &request.reasoning_effort {
            Some(effort @ ReasoningEffort::Minimal) => {
                self.omissions.refuse_value("reasoning_effort", effort)?;
                Ok(None)
            }
            Some(ReasoningEffort::None) | None => Ok(None),
            Some(effort) => Ok(Some(effort.as_str())),
        }
    }

    /// The API has no name and description of the schema, and always enforces it.
    fn format(&mut self) -> Result<Option<Format<'a>>, Error> {
        let request: &'a ChatRequest = self.request;
        match &request.response_format {
            Some(ResponseFormat::JsonSchema(schema)) => Ok(Some(Format {
                kind: "json_schema",
                schema: &schema.schema,
            })),
            Some(ResponseFormat::JsonObject) => {
                self.omissions
                    .refuse_value("response_format", &"json_object")?;
                Ok(None)
            }
            Some(ResponseFormat::Text) | None => Ok(None),
        }
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let request = self.request;
        let is_default = match param {
            Param::N => request.n == Some(1),
            Param::Logprobs => request.logprobs == Some(false),
            Param::IncludeUsage => request.include_usage == Some(true),
            _ => false,
        };
        match param {
            Param::Temperature | Param::TopP | Param::TopK => self.member(param.name(), value),
            // Written by `fixed_fields` and `encode_structured_output`.
            Param::MaxTokens
            | Param::ParallelToolCalls
            | Param::ReasoningEffort
            | Param::ReasoningFormat
            | Param::ReasoningMaxTokens
            | Param::DisableReasoning
            | Param::ServiceTier
            | Param::Compaction
            | Param::UserId => Ok(()),
            _ if is_default => Ok(()),
            _ => self
                .omissions
                .refuse(&format!("the parameter `{}`", param.name())),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum EncodedTool<'a> {
    Function {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Json,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        defer_loading: bool,
    },
    Raw(&'a Json),
}

#[derive(Serialize)]
struct EncodedToolChoice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'static str>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a Json,
}

#[derive(Serialize)]
struct ContextManagement<'a> {
    edits: [Compact<'a>; 1],
}

#[derive(Serialize)]
struct Compact<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<Trigger>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pause_after_compaction: bool,
}

#[derive(Serialize)]
struct Trigger {
    r#type: &'static str,
    value: u64,
}

impl<'a> ContextManagement<'a> {
    fn new(settings: &'a CompactionSettings) -> Self {
        ContextManagement {
            edits: [Compact {
                r#type: "compact_20260112",
                trigger: settings.trigger_tokens.map(|value| Trigger {
                    r#type: "input_tokens",
                    value,
                }),
                instructions: settings.instructions.as_deref(),
                pause_after_compaction: settings.pause,
            }],
        }
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

// Which servers sign reasoning, and the origin of unsigned reasoning.
//
// Anthropic refuses reasoning without its signature. Other servers with this API sign nothing, and refuse a turn with
// calls but without its reasoning. An unknown server is judged by its responses: a message with unsigned reasoning ends
// with a provider block that names the server, and the reasoning is sent back only to that server.

/// The field of a provider block that names the server of a message's unsigned reasoning.
const ORIGIN: &str = "unsigned_thinking_of";

/// The server, as far as it concerns signatures.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// The provider's name and URL. Behind one URL a gateway can have several servers.
    identity: String,
    signing: Signing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signing {
    /// Reasoning without a signature is refused.
    Always,
    /// Reasoning has no signature and is sent back without one.
    Never,
    Unknown,
}

/// Hosts, or suffixes that begin with a dot. Sources: Anthropic's documentation of extended thinking; for the others
/// NousResearch/hermes-agent#17510 and #67391, earendil-works/pi#4003 and #4464, leookun/cursor-byok#276.
const HOSTS: [(&str, Signing); 8] = [
    ("api.anthropic.com", Signing::Always),
    (".services.ai.azure.com", Signing::Always),
    ("aiplatform.googleapis.com", Signing::Always),
    ("-aiplatform.googleapis.com", Signing::Always),
    ("api.kimi.com", Signing::Never),
    ("api.moonshot.ai", Signing::Never),
    ("api.moonshot.cn", Signing::Never),
    ("api.deepseek.com", Signing::Never),
];

impl Server {
    /// The server of the provider `name` at this URL.
    pub(super) fn at(name: &str, base_url: &BaseUrl) -> Self {
        let host = base_url.host().to_ascii_lowercase();
        let is_named = |name: &str| match name.starts_with(['.', '-']) {
            true => host.ends_with(name),
            false => host == name,
        };
        let known = HOSTS.iter().find(|(name, _)| is_named(name));
        Server {
            identity: [name, " ", base_url.as_str()].concat().to_ascii_lowercase(),
            signing: known.map_or(Signing::Unknown, |(_, signing)| *signing),
        }
    }

    /// Whether the server accepts the unsigned reasoning in a message of these parts.
    pub(super) fn takes_unsigned(&self, parts: &[ContentPart]) -> bool {
        match self.signing {
            Signing::Always => false,
            Signing::Never => true,
            Signing::Unknown => parts.iter().any(|part| match part {
                ContentPart::ProviderBlock(block) => {
                    origin(block).is_some_and(|origin| origin == self.identity)
                }
                _ => false,
            }),
        }
    }

    /// The block that ends a message with unsigned reasoning.
    pub(super) fn origin_block(&self) -> Result<Option<ProviderBlock>, Error> {
        if self.signing != Signing::Unknown {
            return Ok(None);
        }
        let block = Json::new(&BTreeMap::from([(ORIGIN, &self.identity)]))?;
        Ok(Some(ProviderBlock::new(BLOCK_PROVIDER, block)))
    }
}

/// Whether a block only names a server.
pub(super) fn is_origin(block: &ProviderBlock) -> bool {
    origin(block).is_some()
}

fn origin(block: &ProviderBlock) -> Option<String> {
    let members =
        JsonObject::read(block.block.as_str()).filter(|_| block.provider == BLOCK_PROVIDER)?;
    members.get(ORIGIN)?.decode().ok()
}

#[cfg(test)]
mod signing_tests {
    use super::*;

    #[test]
    fn server_is_matched_by_full_host_name() {
        for (url, signing) in [
            ("https://api.anthropic.com/v1", Signing::Always),
            ("https://API.Anthropic.com:443/v1", Signing::Always),
            (
                "https://x.services.ai.azure.com/anthropic/v1",
                Signing::Always,
            ),
            (
                "https://us-east5-aiplatform.googleapis.com/v1",
                Signing::Always,
            ),
            ("https://api.kimi.com/coding/v1", Signing::Never),
            ("https://api.deepseek.com/anthropic/v1", Signing::Never),
            ("https://api.anthropic.com.example/v1", Signing::Unknown),
            ("https://notapi.kimi.com/v1", Signing::Unknown),
            ("http://127.0.0.1:9/v1", Signing::Unknown),
        ] {
            let server = Server::at("anthropic", &BaseUrl::parse(url).unwrap());
            assert_eq!(server.signing, signing, "{url}");
        }
    }

    #[test]
    fn unsigned_reasoning_is_sent_back_only_to_the_named_server() {
        let at = |name, url| Server::at(name, &BaseUrl::parse(url).unwrap());
        let server = |url| at("local", url);
        let local = server("http://127.0.0.1:9/v1");
        let block = ContentPart::ProviderBlock(local.origin_block().unwrap().unwrap());
        assert!(local.takes_unsigned(std::slice::from_ref(&block)));
        assert!(!local.takes_unsigned(&[]));
        for other in [
            server("http://127.0.0.1:8/v1"),
            server("http://127.0.0.1:9/other/v1"),
            at("anthropic", "http://127.0.0.1:9/v1"),
        ] {
            assert!(
                !other.takes_unsigned(std::slice::from_ref(&block)),
                "{other:?}"
            );
        }
        assert!(
            !server("https://api.anthropic.com/v1").takes_unsigned(std::slice::from_ref(&block))
        );
        let kimi = server("https://api.kimi.com/coding/v1");
        assert!(kimi.takes_unsigned(&[]) && kimi.origin_block().unwrap().is_none());
    }
}
