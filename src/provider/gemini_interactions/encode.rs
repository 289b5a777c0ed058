//! Encodes a request's body.

use super::{BLOCK_PROVIDER, GeminiInteractions, encode_steps, hosted};
use crate::{
    ChatRequest, Error, Json, ReasoningEffort, ResponseFormat, Tool, ToolChoice,
    chat::{Param, ParamVisitor, ReasoningFormat, ServiceTier, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self as hosted_tools, HostedWire},
        nested_params::NestedParams,
        request::UnsupportedParams,
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};

const CONFIG: &str = "generation_config";

/// The body and the warnings.
pub(super) fn body(
    provider: &GeminiInteractions,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let name = provider.core.name();
    let mut fitted = hosted_tools::fit(
        request,
        HostedWire {
            provider: name,
            names: &[BLOCK_PROVIDER, name],
            block_provider: BLOCK_PROVIDER,
            mappings: hosted::TOOLS,
            hint: "",
        },
    )?;
    let mut omissions = UnsupportedParams::new(name, request.drop_unsupported);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let request = &*fitted.request;
    let mut encoder = Encoder {
        provider,
        request,
        out: ObjectWriter::with_capacity(1024),
        config: NestedParams::new(request, CONFIG),
        omissions,
    };
    encoder.conversation()?;
    encoder.tools()?;
    encoder.format()?;
    encoder.config()?;
    for (name, value) in &request.extra {
        if name != CONFIG {
            encoder.out.member(name, value)?;
        }
    }
    Ok((encoder.out.finish(), encoder.omissions.into_warnings()))
}

struct Encoder<'a> {
    provider: &'a GeminiInteractions,
    request: &'a ChatRequest,
    out: ObjectWriter,
    config: NestedParams,
    omissions: UnsupportedParams<'a>,
}

impl Encoder<'_> {
    /// Writes a field, unless `extra` has one with this name, which has precedence.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.has_own(name) {
            return Ok(());
        }
        self.out.member(name, value)
    }

    fn has_own(&self, name: &str) -> bool {
        self.request.extra.iter().any(|(other, _)| other == name)
    }

    /// An agent stands in place of the model.
    fn conversation(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !self.has_own("agent") {
            self.member("model", &request.model)?;
        }
        let base_url = self.provider.base_url().as_str();
        let conversation = encode_steps::conversation(request, base_url, &mut self.omissions)?;
        if !conversation.system.is_empty() {
            let system = conversation.system.join("\n\n");
            self.member("system_instruction", &system)?;
        }
        self.member("input", &conversation.steps)?;
        if request.stream {
            self.member("stream", &true)?;
        }
        Ok(())
    }

    fn tools(&mut self) -> Result<(), Error> {
        let request = self.request;
        let known = [BLOCK_PROVIDER, self.provider.core.name()];
        let tools = self.omissions.tools(&request.tools, &known)?;
        let mut functions = tools
            .iter()
            .filter(|tool| matches!(tool, Tool::Function { .. }))
            .peekable();
        let has_functions = functions.peek().is_some() || self.has_own("tools");
        let is_strict = functions.any(|tool| {
            matches!(
                tool,
                Tool::Function {
                    strict: Some(true),
                    ..
                }
            )
        });
        if !tools.is_empty() {
            let tools: Vec<EncodedTool<'_>> = tools.into_iter().map(EncodedTool).collect();
            self.member("tools", &tools)?;
        }
        let choice = match request.needed_tool_choice() {
            // Only in this mode, and if a call is forced, does the API enforce the schema of the arguments.
            Some(ToolChoice::Auto) | None if is_strict => Choice::Mode("validated"),
            Some(ToolChoice::Auto) if has_functions => Choice::Mode("auto"),
            Some(ToolChoice::None) if has_functions => Choice::Mode("none"),
            Some(ToolChoice::Required) if has_functions => Choice::Mode("any"),
            Some(ToolChoice::Function(name)) => Choice::Allowed {
                allowed_tools: AllowedTools {
                    mode: "any",
                    tools: [name],
                },
            },
            // The API refuses a choice without a function. The default behaviour.
            Some(ToolChoice::Auto) | None => return Ok(()),
            Some(_) => {
                return self
                    .omissions
                    .refuse("the parameter `tool_choice` without a function in `tools`");
            }
        };
        self.config.set("tool_choice", &choice)
    }

    fn format(&mut self) -> Result<(), Error> {
        const JSON: &str = "application/json";
        let (mime_type, schema) = match &self.request.response_format {
            None | Some(ResponseFormat::Text) => return Ok(()),
            Some(ResponseFormat::JsonObject) => (JSON, None),
            // The API has no name and description of the schema, and always enforces it.
            Some(ResponseFormat::JsonSchema(schema)) => (JSON, Some(&schema.schema)),
        };
        let format = Format {
            r#type: "text",
            mime_type,
            schema,
        };
        self.member("response_format", &format)
    }

    fn config(&mut self) -> Result<(), Error> {
        let request = self.request;
        request.for_each_scalar(self)?;
        if !request.stop.is_empty() {
            self.config.set("stop_sequences", &request.stop)?;
        }
        self.thinking()?;
        if request.prediction.is_some() {
            self.omissions.refuse("the parameter `prediction`")?;
        }
        if self.config.is_empty() {
            return Ok(());
        }
        if self.has_own("agent") {
            return self
                .omissions
                .refuse("parameters of `generation_config` together with an `agent` in `extra`");
        }
        self.out.member(CONFIG, &self.config)
    }

    /// A model cannot be told not to reason, nor how many tokens it may reason. The reasoning is hidden unless a
    /// summary is requested.
    fn thinking(&mut self) -> Result<(), Error> {
        let request = self.request;
        match &request.reasoning_effort {
            None => {}
            Some(effort @ (ReasoningEffort::XHigh | ReasoningEffort::None)) => {
                self.omissions.refuse_value("reasoning_effort", effort)?;
            }
            Some(effort) => self.config.set("thinking_level", effort)?,
        }
        if request.disable_reasoning == Some(true) {
            self.omissions.refuse("the parameter `disable_reasoning`")?;
        }
        match &request.reasoning_format {
            Some(ReasoningFormat::Parsed) => self.config.set("thinking_summaries", "auto"),
            Some(ReasoningFormat::Hidden) => self.config.set("thinking_summaries", "none"),
            Some(ReasoningFormat::None) | None => Ok(()),
            Some(other) => self.omissions.refuse_value("reasoning_format", other),
        }
    }

    fn service_tier(&mut self, tier: &ServiceTier) -> Result<(), Error> {
        match tier {
            // The default behaviour.
            ServiceTier::Auto => Ok(()),
            ServiceTier::Default => self.member("service_tier", "standard"),
            other => self.member("service_tier", other),
        }
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let request = self.request;
        let name = match param {
            Param::MaxTokens => "max_output_tokens",
            Param::Temperature => "temperature",
            Param::TopP => "top_p",
            Param::TopK => "top_k",
            Param::Seed => "seed",
            Param::Store => return self.member("store", value),
            Param::Background => return self.member("background", value),
            Param::Metadata => return self.member("labels", value),
            Param::ServiceTier => {
                return match &request.service_tier {
                    Some(tier) => self.service_tier(tier),
                    None => Ok(()),
                };
            }
            // Written by `thinking`.
            Param::ReasoningEffort | Param::ReasoningFormat | Param::DisableReasoning => {
                return Ok(());
            }
            // The default behaviour.
            Param::IncludeUsage if request.include_usage == Some(true) => return Ok(()),
            Param::ParallelToolCalls if request.parallel_tool_calls == Some(true) => {
                return Ok(());
            }
            Param::N if request.n == Some(1) => return Ok(()),
            Param::Logprobs if request.logprobs == Some(false) => return Ok(()),
            other => {
                return self
                    .omissions
                    .refuse(&format!("the parameter `{}`", other.name()));
            }
        };
        self.config.set(name, value)
    }
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    mime_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Json>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Mode(&'static str),
    Allowed { allowed_tools: AllowedTools<'a> },
}

#[derive(Serialize)]
struct AllowedTools<'a> {
    mode: &'static str,
    tools: [&'a str; 1],
}

struct EncodedTool<'a>(&'a Tool);

impl Serialize for EncodedTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, description, parameters) = match self.0 {
            Tool::Provider { definition, .. } => return definition.serialize(serializer),
            // `UnsupportedParams::tools` returns none.
            Tool::Hosted(_) => return serializer.serialize_unit(),
            Tool::Function {
                name,
                description,
                parameters,
                ..
            } => (name, description, parameters),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        if let Some(parameters) = parameters {
            map.serialize_entry("parameters", parameters)?;
        }
        map.end()
    }
}
