//! What a step asks, as the library's own requests.

use super::case::{Member, Step};
use unifiedai::{
    ChatRequest, EmbedRequest, Error, Json, JsonSchema, Message, ResponseFormat, Tool, ToolChoice,
};

pub fn chat(step: &Step<'_>, messages: &[Message]) -> Result<ChatRequest, Error> {
    let mut request = ChatRequest::new(step.model()?).messages(messages.iter().cloned());
    request.stream = step.flag("stream")?;
    request.drop_unsupported = step.flag("lenient")?;
    if let Some(params) = step.get("params") {
        for (name, value) in params.members()?.iter() {
            param(&mut request, name, value)?;
        }
    }
    if let Some(tools) = step.get("tools") {
        let tools = tools.elements()?;
        request.tools = tools.iter().map(tool).collect::<Result<_, _>>()?;
    }
    if let Some(choice) = step.get("tool_choice") {
        request.tool_choice = Some(tool_choice(choice, &request.tools)?);
    }
    request.extra = extra(step)?;
    Ok(request)
}

pub fn embed(step: &Step<'_>) -> Result<EmbedRequest, Error> {
    let mut request = EmbedRequest::new(step.model()?);
    if let Some(texts) = step.get("texts") {
        request.input = texts.read()?;
    }
    if let Some(encoding) = step.get("encoding") {
        request.encoding = Some(encoding.read::<String>()?.as_str().into());
    }
    request.drop_unsupported = step.flag("lenient")?;
    if let Some(params) = step.get("params") {
        for (name, value) in params.members()?.iter() {
            match name {
                "dimensions" => request.dimensions = Some(value.read()?),
                "purpose" | "input_type" => {
                    request.input_type = Some(value.read::<String>()?.as_str().into())
                }
                "end_user" | "user_id" => request.user_id = Some(value.read()?),
                _ => return Err(value.wrong("a request for vectors has no such setting")),
            }
        }
    }
    request.extra = extra(step)?;
    Ok(request)
}

fn extra(step: &Step<'_>) -> Result<Vec<(String, Json)>, Error> {
    let Some(extra) = step.get("extra") else {
        return Ok(Vec::new());
    };
    let members = extra.members()?;
    let member =
        |(name, value): (&str, &Member<'_>)| Ok((name.to_owned(), Json::parse(value.text())?));
    members.iter().map(member).collect()
}

/// Sets what a method of [`ChatRequest`] of this name sets.
fn param(request: &mut ChatRequest, name: &str, value: &Member<'_>) -> Result<(), Error> {
    macro_rules! set {
        ($($method:ident)+) => {
            match name {
                $(stringify!($method) => request.$method = Some(value.read()?),)+
                // The names that cases use.
                "clear_thinking" => request.clear_reasoning = Some(value.read()?),
                "correlation_id" => request.client_request_id = Some(value.read()?),
                "end_user" => request.user_id = Some(value.read()?),
                "stream" => request.stream = value.read()?,
                "lenient" | "drop_unsupported" => request.drop_unsupported = value.read()?,
                "extract_think" | "parse_think_tags" => request.parse_think_tags = value.read()?,
                "raw_frames" | "include_raw_frames" => request.include_raw_frames = value.read()?,
                "header" => {
                    for (name, value) in value.members()?.iter() {
                        request.headers.push((name.to_owned(), value.read()?));
                    }
                }
                "stop" => {
                    request.stop = match value.text().starts_with('[') {
                        true => value.read()?,
                        false => vec![value.read()?],
                    }
                }
                "response_format" => request.response_format = Some(response_format(value)?),
                _ => return Err(value.wrong("`ChatRequest` has no such setting")),
            }
        };
    }
    set!(
        max_tokens min_tokens temperature top_p top_k min_p frequency_penalty presence_penalty
        repetition_penalty logit_bias logprobs top_logprobs n seed parallel_tool_calls reasoning_effort
        reasoning_format reasoning_max_tokens disable_reasoning clear_reasoning verbosity
        prompt_cache_key service_tier model_parameters user_id metadata store include_usage
        prediction client_request_id
    );
    Ok(())
}

/// A word, or an object as on OpenAI's wire.
fn response_format(value: &Member<'_>) -> Result<ResponseFormat, Error> {
    let (word, members) = match value.text().starts_with('"') {
        true => (value.read::<String>()?, None),
        false => {
            let members = value.members()?;
            let word = members.get("type").map_or_else(
                || Ok("json_schema".to_owned()),
                |word| word.read::<String>(),
            )?;
            (word, Some(members))
        }
    };
    match (word.as_str(), members) {
        ("text", _) => Ok(ResponseFormat::Text),
        ("json_object", _) => Ok(ResponseFormat::JsonObject),
        ("json_schema", Some(members)) => {
            let members = match members.get("json_schema") {
                Some(inner) => inner.members()?,
                None => members,
            };
            let name: String = members.need("name")?.read()?;
            let schema = Json::parse(members.need("schema")?.text())?;
            let mut format = JsonSchema::new(name, &schema)?;
            if let Some(strict) = members.get("strict") {
                format.strict = Some(strict.read()?);
            }
            format.description = members.get("description").map(Member::read).transpose()?;
            Ok(ResponseFormat::JsonSchema(format))
        }
        _ => Err(value.wrong(
            "known are `text`, `json_object` and an object with the `name` and `schema` of a JSON Schema",
        )),
    }
}

fn tool(tool: &Member<'_>) -> Result<Tool, Error> {
    let members = tool.members()?;
    if let Some(definition) = members.get("definition") {
        return Ok(Tool::Provider {
            provider: members.need("provider")?.read()?,
            definition: Json::parse(definition.text())?,
        });
    }
    let description = members.get("description").map(Member::read).transpose()?;
    let parameters = members.get("parameters");
    Ok(Tool::Function {
        name: members.need("name")?.read()?,
        description: Some(description.unwrap_or_else(|| "A tool.".to_owned())),
        parameters: parameters
            .map(|schema| Json::parse(schema.text()))
            .transpose()?,
        strict: members.get("strict").map(Member::read).transpose()?,
    })
}

/// `auto`, `none`, `required`, the name of a function, or an object with that name in `function`.
fn tool_choice(value: &Member<'_>, tools: &[Tool]) -> Result<ToolChoice, Error> {
    let offered = |wanted: &str| {
        tools
            .iter()
            .any(|tool| matches!(tool, Tool::Function { name, .. } if name == wanted))
    };
    if !value.text().starts_with('"') {
        let members = value.members()?;
        let mut function = members.need("function").or(members.need("name"))?.clone();
        if !function.text().starts_with('"') {
            function = function.members()?.need("name")?.clone();
        }
        return Ok(ToolChoice::Function(function.read()?));
    }
    match value.read::<String>()?.as_str() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        name if offered(name) => Ok(ToolChoice::Function(name.to_owned())),
        _ => Err(value.wrong(
            "known are `auto`, `none`, `required` and `{\"function\": name}`; no tool has this name",
        )),
    }
}
