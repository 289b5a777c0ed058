//! Encodes a request's body.

use super::{
    BLOCK_PROVIDER, Gemini, Hosting,
    contents::{Conversation, Generation, Translator},
    encoded_part::EncodedPart,
    hosted,
};
use crate::{
    ChatRequest, Error, ErrorKind, Json, ReasoningEffort, ResponseFormat, Tool, ToolChoice,
    chat::{Param, ParamVisitor, ReasoningFormat, ServiceTier, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self as hosted_tools, HostedWire},
        nested_params::NestedParams,
        request::UnsupportedParams,
    },
};
use serde::Serialize;

/// The body and the warnings.
pub(super) fn body(
    provider: &Gemini,
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
        has_hosted_tools: !fitted.tools.is_empty(),
        out: ObjectWriter::with_capacity(1024),
        config: Config::new(request),
        omissions,
    };
    encoder.conversation()?;
    encoder.tools()?;
    encoder.config()?;
    encoder.others()?;
    for (name, value) in &request.extra {
        if name != "generationConfig" {
            encoder.out.member(name, value)?;
        }
    }
    Ok((encoder.out.finish(), encoder.omissions.into_warnings()))
}

struct Encoder<'a> {
    provider: &'a Gemini,
    request: &'a ChatRequest,
    has_hosted_tools: bool,
    out: ObjectWriter,
    config: Config,
    omissions: UnsupportedParams<'a>,
}

impl<'a> Encoder<'a> {
    fn conversation(&mut self) -> Result<(), Error> {
        let mut translator = Translator {
            omissions: &mut self.omissions,
            base_url: self.provider.base_url().as_str(),
            generation: Generation::of(&self.request.model),
        };
        let conversation = Conversation::new(self.request, &mut translator)?;
        self.member("contents", &conversation.contents)?;
        if !conversation.system.is_empty() {
            let parts = &conversation.system;
            self.member("systemInstruction", &Instruction { parts })?;
        }
        Ok(())
    }

    fn tools(&mut self) -> Result<(), Error> {
        let request: &'a ChatRequest = self.request;
        let mut functions = Vec::new();
        let mut own = Vec::new();
        let mut is_strict = false;
        // Only these models and Google's own API take functions and hosted tools together, with this setting.
        let takes_both = matches!(self.provider.hosting, Hosting::Own)
            && Generation::of(&request.model) == Generation::Third;
        let known = [BLOCK_PROVIDER, self.provider.core.name()];
        for tool in self.omissions.tools(&request.tools, &known)? {
            match tool {
                Tool::Function {
                    name,
                    description,
                    parameters,
                    strict,
                } => {
                    is_strict |= *strict == Some(true);
                    functions.push(Function {
                        name,
                        description: description.as_deref(),
                        parameters_json_schema: parameters.as_ref(),
                    });
                }
                Tool::Provider { definition, .. } => own.push(EncodedTool::Own(definition)),
                Tool::Hosted(_) => {}
            }
        }
        let mixes = takes_both && self.has_hosted_tools && !functions.is_empty();
        if !functions.is_empty() {
            own.insert(
                0,
                EncodedTool::Functions {
                    function_declarations: functions,
                },
            );
        }
        if !own.is_empty() {
            self.member("tools", &own)?;
        }
        let (mode, name) = match request.needed_tool_choice() {
            // Only in this mode, and if a call is forced, does the API enforce the schema of the arguments.
            Some(ToolChoice::Auto) | None if is_strict || mixes => ("VALIDATED", None),
            Some(ToolChoice::Auto) => ("AUTO", None),
            Some(ToolChoice::None) => ("NONE", None),
            Some(ToolChoice::Required) => ("ANY", None),
            Some(ToolChoice::Function(name)) => ("ANY", Some([name.as_str()])),
            None => return Ok(()),
        };
        let function_calling_config = FunctionCallingConfig {
            mode,
            allowed_function_names: name,
        };
        self.member(
            "toolConfig",
            &ToolConfig {
                function_calling_config,
                include_server_side_tool_invocations: mixes,
            },
        )
    }

    fn config(&mut self) -> Result<(), Error> {
        let request = self.request;
        request.for_each_scalar(self)?;
        if !request.stop.is_empty() {
            self.config.0.set("stopSequences", &request.stop)?;
        }
        if let Some(format) = &request.response_format {
            self.config.format(format)?;
        }
        self.config.thinking(request, &mut self.omissions)?;
        if self.config.0.is_empty() {
            return Ok(());
        }
        self.out.member("generationConfig", &self.config.0)
    }

    fn others(&mut self) -> Result<(), Error> {
        let request = self.request;
        match (&request.service_tier, &self.provider.hosting) {
            // The default behaviour.
            (None | Some(ServiceTier::Auto), _) => {}
            (Some(ServiceTier::Default), Hosting::Own) => self.member("serviceTier", "standard")?,
            (Some(tier @ (ServiceTier::Flex | ServiceTier::Priority)), Hosting::Own) => {
                self.member("serviceTier", tier)?;
            }
            (Some(ServiceTier::Other(tier)), Hosting::Own) => self.member("serviceTier", tier)?,
            (Some(tier), _) => self.omissions.refuse_value("service_tier", tier)?,
        }
        match (&request.metadata, &self.provider.hosting) {
            (Some(labels), Hosting::Vertex(_)) => self.member("labels", labels)?,
            (Some(_), Hosting::Own) => self.omissions.refuse("the parameter `metadata`")?,
            (None, _) => {}
        }
        if let Some(name) = &request.cached_content {
            self.member("cachedContent", name)?;
            self.check_cached()?;
        }
        if request.prediction.is_some() {
            self.omissions.refuse("the parameter `prediction`")?;
        }
        Ok(())
    }

    /// The API refuses a request that names a cached content and has what only the content may have.
    fn check_cached(&self) -> Result<(), Error> {
        let request = self.request;
        let has_system = request
            .messages
            .iter()
            .any(|m| m.role == crate::Role::System);
        let what = match () {
            () if has_system => "system messages",
            () if !request.tools.is_empty() => "`tools`",
            () if request.needed_tool_choice().is_some() => "`tool_choice`",
            () => return Ok(()),
        };
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "a request with `cached_content` must not have {what}: put them into the cached content when it is created"
            ),
        ))
    }

    /// Writes a field, unless `extra` has one with this name, which has precedence.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.request.extra.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        self.out.member(name, value)
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let name = match param {
            Param::MaxTokens => "maxOutputTokens",
            Param::Temperature => "temperature",
            Param::TopP => "topP",
            Param::TopK => "topK",
            Param::FrequencyPenalty => "frequencyPenalty",
            Param::PresencePenalty => "presencePenalty",
            Param::Logprobs => "responseLogprobs",
            Param::TopLogprobs => "logprobs",
            Param::N => "candidateCount",
            Param::Seed => "seed",
            // Written by `thinking` and `others`.
            Param::ReasoningEffort
            | Param::ReasoningFormat
            | Param::ReasoningMaxTokens
            | Param::DisableReasoning
            | Param::ServiceTier
            | Param::CachedContent
            | Param::Metadata => return Ok(()),
            // The default behaviour.
            Param::IncludeUsage if self.request.include_usage == Some(true) => return Ok(()),
            Param::ParallelToolCalls if self.request.parallel_tool_calls == Some(true) => {
                return Ok(());
            }
            other => {
                return self
                    .omissions
                    .refuse(&format!("the parameter `{}`", other.name()));
            }
        };
        self.config.0.set(name, value)
    }
}

#[derive(Serialize)]
struct Instruction<'p, 'a> {
    parts: &'p [EncodedPart<'a>],
}

#[derive(Serialize)]
#[serde(untagged)]
enum EncodedTool<'a> {
    #[serde(rename_all = "camelCase")]
    Functions {
        function_declarations: Vec<Function<'a>>,
    },
    Own(&'a Json),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// JSON Schema unchanged; `parameters` would accept only a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Json>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: FunctionCallingConfig<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_server_side_tool_invocations: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

// `generationConfig`.

#[derive(Debug, Default)]
pub(super) struct Config(NestedParams);

impl Config {
    pub(super) fn new(request: &ChatRequest) -> Self {
        Config(NestedParams::new(request, "generationConfig"))
    }

    pub(super) fn format(&mut self, format: &ResponseFormat) -> Result<(), Error> {
        match format {
            ResponseFormat::Text => Ok(()),
            ResponseFormat::JsonObject => self.0.set("responseMimeType", "application/json"),
            // The API has no name and description of the schema, and always enforces it.
            ResponseFormat::JsonSchema(schema) => {
                self.0.set("responseMimeType", "application/json")?;
                self.0.set("responseJsonSchema", &schema.schema)
            }
        }
    }

    pub(super) fn thinking(
        &mut self,
        request: &ChatRequest,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<(), Error> {
        let shown = match &request.reasoning_format {
            Some(ReasoningFormat::Parsed) => Some(true),
            Some(ReasoningFormat::Hidden) => Some(false),
            Some(ReasoningFormat::None) | None => None,
            Some(other) => {
                omissions.refuse_value("reasoning_format", other)?;
                None
            }
        };
        let off = request.disable_reasoning == Some(true)
            || request.reasoning_effort == Some(ReasoningEffort::None)
            || request.reasoning_max_tokens == Some(0);
        let (mut budget, mut level) = (request.reasoning_max_tokens, None);
        if off {
            budget = Some(0);
        } else if let (None, Some(effort)) = (budget, &request.reasoning_effort) {
            if takes_budgets(&request.model) {
                budget = budget_of(effort);
            } else {
                level = level_of(effort);
            }
            if budget.is_none() && level.is_none() {
                omissions.refuse_value("reasoning_effort", effort)?;
            }
        } else if request.reasoning_effort.is_some() {
            omissions.refuse("`reasoning_effort` together with `reasoning_max_tokens`")?;
        }
        let thinks = level.is_some() || budget.is_some_and(|budget| budget > 0);
        let include_thoughts = shown.or(thinks.then_some(true));
        if include_thoughts.is_none() && budget.is_none() {
            return Ok(());
        }
        let config = ThinkingConfig {
            include_thoughts,
            thinking_budget: budget,
            thinking_level: level,
        };
        self.0.set("thinkingConfig", &config)
    }
}

/// Models before Gemini 3 limit reasoning in tokens, later ones by a level.
fn takes_budgets(model: &str) -> bool {
    model.contains("gemini-2") || model.contains("gemini-1")
}

/// The token budget of each effort in Google's own OpenAI-compatible API.
fn budget_of(effort: &ReasoningEffort) -> Option<u64> {
    Some(match effort {
        ReasoningEffort::Minimal | ReasoningEffort::Low => 1024,
        ReasoningEffort::Medium => 8192,
        ReasoningEffort::High => 24576,
        _ => return None,
    })
}

fn level_of(effort: &ReasoningEffort) -> Option<&str> {
    match effort {
        ReasoningEffort::XHigh | ReasoningEffort::None => None,
        effort => Some(effort.as_str()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'a str>,
}
