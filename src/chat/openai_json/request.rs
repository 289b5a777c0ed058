use super::{Failure, Object, Read, decode, message::message, read_object};
use crate::{ChatRequest, Json, JsonSchema, ResponseFormat, Tool, ToolChoice};
use serde::{Deserialize, Deserializer, de::Error};

impl<'de> Deserialize<'de> for ChatRequest {
    /// Reads the body of a request to OpenAI's chat completions API. Parameters without a field go to
    /// [`extra`](ChatRequest::extra).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        request(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn request(json: &Json) -> Read<ChatRequest> {
    let mut object = Object::read(json)?;
    let mut request = ChatRequest::new(object.require::<String>("model")?);
    request.messages = object.take_list("messages", message)?;
    request.tools = object.take_list("tools", tool)?;
    request.tool_choice = read_member(&mut object, "tool_choice", tool_choice)?;
    request.response_format = read_member(&mut object, "response_format", response_format)?;
    request.prediction = read_member(&mut object, "prediction", prediction)?;
    request.stop = read_member(&mut object, "stop", one_or_more)?.unwrap_or_default();
    request.stream = object.take_as("stream")?.unwrap_or_default();
    let options = read_member(&mut object, "stream_options", |options| {
        read_object(options, |options| options.take_as("include_usage"))
    })?;
    request.include_usage = options.flatten();
    for (name, value) in object.0 {
        if value.as_str() == "null" {
            continue;
        }
        let field = match name.as_str() {
            "max_completion_tokens" => "max_tokens",
            "user" => "user_id",
            "clear_thinking" => "clear_reasoning",
            other => other,
        };
        let set = request
            .set_scalar(field, &value)
            .map_err(|e| Failure::new(e).in_member(&name))?;
        if !set {
            request.extra.push((name, value));
        }
    }
    Ok(request)
}

fn read_member<T>(object: &mut Object, name: &str, read: fn(&Json) -> Read<T>) -> Read<Option<T>> {
    object
        .take(name)
        .map(|value| read(&value).map_err(|failure| failure.in_member(name)))
        .transpose()
}

fn tool(json: &Json) -> Read<Tool> {
    read_object(json, |object| {
        only_kind(object, "function", "a tool")?;
        object.require_object("function", |function| {
            Ok(Tool::Function {
                name: function.require("name")?,
                description: function.take_as("description")?,
                parameters: function.take("parameters"),
                strict: function.take_as("strict")?,
            })
        })
    })
}

fn tool_choice(json: &Json) -> Read<ToolChoice> {
    if json.as_str().starts_with('"') {
        return match decode::<String>(json)?.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            other => Err(Failure::new(format_args!(
                "`{}` is not `auto`, `none` or `required`",
                other.escape_debug()
            ))),
        };
    }
    read_object(json, |object| {
        only_kind(object, "function", "a tool choice")?;
        object.require_object("function", |function| function.require("name"))
    })
    .map(ToolChoice::Function)
}

fn response_format(json: &Json) -> Read<ResponseFormat> {
    let mut object = Object::read(json)?;
    let kind: String = object.require("type")?;
    let format = match kind.as_str() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => {
            let schema = object.require_object("json_schema", json_schema)?;
            ResponseFormat::JsonSchema(schema)
        }
        _ => {
            let message = format!("unknown type `{}`", kind.escape_debug());
            return Err(Failure::new(message).in_member("type"));
        }
    };
    object.end()?;
    Ok(format)
}

fn json_schema(object: &mut Object) -> Read<JsonSchema> {
    Ok(JsonSchema {
        name: object.require("name")?,
        description: object.take_as("description")?,
        schema: object.require("schema")?,
        strict: object.take_as("strict")?,
    })
}

fn prediction(json: &Json) -> Read<String> {
    let mut object = Object::read(json)?;
    only_kind(&mut object, "content", "a prediction")?;
    let content: Json = object.require("content")?;
    object.end()?;
    if content.as_str().starts_with('"') {
        return decode(&content);
    }
    #[derive(Deserialize)]
    struct Text {
        text: String,
    }
    let texts: Vec<Text> = decode(&content).map_err(|failure| failure.in_member("content"))?;
    Ok(texts.into_iter().map(|part| part.text).collect())
}

fn one_or_more(json: &Json) -> Read<Vec<String>> {
    if json.as_str().starts_with('"') {
        return Ok(vec![decode(json)?]);
    }
    decode(json)
}

fn only_kind(object: &mut Object, expected: &str, what: &str) -> Read<()> {
    let kind: String = object.require("type")?;
    if kind == expected {
        return Ok(());
    }
    let kind = kind.escape_debug();
    let message =
        format!("{what} has the unsupported type `{kind}`: only `{expected}` is supported");
    Err(Failure::new(message).in_member("type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReasoningEffort, chat::Param};
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<ChatRequest, String> {
        serde_json::from_str(&value.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_request_in_openais_format_is_read() {
        let schema = json!({"type": "object", "properties": {}});
        let read = read(json!({
            "model": "gpt-5",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
            "tools": [{"type": "function", "function": {"name": "f", "description": "Does f.", "parameters": schema}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": true}},
            "prediction": {"type": "content", "content": "abc"},
            "stop": "END",
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_completion_tokens": 100,
            "temperature": 0.5,
            "reasoning_effort": "low",
            "logit_bias": {"7": -100},
            "user": "u1",
            "seed": null,
            "web_search_options": {"a": 1},
        }))
        .unwrap();
        let expected = ChatRequest::new("gpt-5")
            .system("Be brief.")
            .user("Hi.")
            .tool(Tool::function("f", "Does f.", &schema).unwrap())
            .tool_choice(ToolChoice::Function("f".into()))
            .response_format(ResponseFormat::JsonSchema(
                JsonSchema::new("A", &schema).unwrap(),
            ))
            .prediction("abc")
            .stop("END")
            .stream(true)
            .include_usage(true)
            .max_tokens(100_u64)
            .temperature(0.5)
            .reasoning_effort(ReasoningEffort::Low)
            .logit_bias([("7".to_owned(), -100.0)].into())
            .user_id("u1")
            .extra("web_search_options", &json!({"a": 1}))
            .unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn every_parameter_is_read_by_its_name() {
        let scalars = json!({
            "max_tokens": 1, "min_tokens": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 1, "min_p": 0.1,
            "frequency_penalty": 1.0, "presence_penalty": 1.0, "repetition_penalty": 1.0, "logit_bias": {},
            "logprobs": true, "top_logprobs": 1, "n": 1, "seed": 1, "parallel_tool_calls": true, "reasoning_effort": "low",
            "reasoning_format": "raw", "reasoning_max_tokens": 1, "disable_reasoning": true, "clear_thinking": true,
            "verbosity": "low", "prompt_cache_key": "a", "cached_content": "a", "service_tier": "auto", "model_parameters": {}, "user": "a",
            "metadata": {"a": "b"}, "store": true, "background": true, "compaction": {"trigger_tokens": 1000},
        });
        let mut body = scalars.as_object().unwrap().clone();
        body.insert("model".into(), "m".into());
        let request = read(body.into()).unwrap();
        assert!(request.extra.is_empty(), "{:?}", request.extra);
        let others = [
            Param::IncludeUsage,
            Param::Tools,
            Param::ToolChoice,
            Param::Stop,
            Param::ResponseFormat,
            Param::Prediction,
        ];
        let expected: Vec<_> = Param::ALL
            .iter()
            .copied()
            .filter(|param| !others.contains(param))
            .collect();
        assert_eq!(request.params(), expected);
    }

    #[test]
    fn an_error_names_the_path() {
        let cases = [
            (json!({"messages": []}), "`model`: is missing"),
            (
                json!({"model": "m", "temperature": "hot"}),
                "`temperature`: ",
            ),
            (
                json!({"model": "m", "tools": [{"type": "web_search"}]}),
                "`tools[0].type`: a tool has the unsupported type `web_search`",
            ),
            (
                json!({"model": "m", "tools": [{"type": "function", "function": {"name": "f", "args": {"a": 1}}}]}),
                "`tools[0].function.args`: unknown field",
            ),
            (
                json!({"model": "m", "tool_choice": {"type": "function", "function": {"name": "f", "strict": true}}}),
                "`tool_choice.function.strict`: unknown field",
            ),
            (
                json!({"model": "m", "tool_choice": "maybe"}),
                "`tool_choice`: `maybe` is not `auto`",
            ),
            (
                json!({"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": true}]}),
                "`messages[1].content`: must be a string",
            ),
            (
                json!({"model": "m", "response_format": {"type": "xml"}}),
                "`response_format.type`: unknown type `xml`",
            ),
        ];
        for (value, expected) in cases {
            let error = read(value).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
