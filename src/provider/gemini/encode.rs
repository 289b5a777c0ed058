//! From a request to the body.

use super::{
    BLOCK_PROVIDER, Gemini, Hosting,
    config::Config,
    encode_contents::{Conversation, Generation, Translator},
    encode_part::EncodedPart,
};
use crate::{
    ChatRequest, Error, Json, Tool, ToolChoice,
    chat::{Param, ParamVisitor, ServiceTier, Warning},
    json::ObjectWriter,
    provider::kit::request::UnsupportedParams,
};
use serde::Serialize;

/// The body, and what was dropped from it.
pub(super) fn body(
    provider: &Gemini,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut encoder = Encoder {
        provider,
        request,
        out: ObjectWriter::with_capacity(1024),
        config: Config::new(request),
        omissions: UnsupportedParams::new(provider.core.name(), request.drop_unsupported),
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
            }
        }
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
            // Only in this mode, and where a call is forced, does the wire hold the arguments to their schema.
            Some(ToolChoice::Auto) | None if is_strict => ("VALIDATED", None),
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
            },
        )
    }

    fn config(&mut self) -> Result<(), Error> {
        let request = self.request;
        request.for_each_scalar(self)?;
        if !request.stop.is_empty() {
            self.config.set("stopSequences", &request.stop)?;
        }
        if let Some(format) = &request.response_format {
            self.config.format(format)?;
        }
        self.config.thinking(request, &mut self.omissions)?;
        if self.config.is_empty() {
            return Ok(());
        }
        self.out.member("generationConfig", &self.config)
    }

    fn others(&mut self) -> Result<(), Error> {
        let request = self.request;
        match (&request.service_tier, &self.provider.hosting) {
            // What it does by itself.
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
        if request.prediction.is_some() {
            self.omissions.refuse("the parameter `prediction`")?;
        }
        Ok(())
    }

    /// Writes a member, unless `extra` has one of this name: that counts.
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
            | Param::Metadata => return Ok(()),
            // What the wire does anyway.
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
        self.config.set(name, value)
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
    /// JSON Schema as it is; `parameters` would take only a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Json>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}
