//! Amazon Bedrock: Converse, ConverseStream in binary event frames, CountTokens, and the lists of models.

use serde_json::{Value, json};

use super::embed::{self, Shape};
use super::{Call, Content, EventsMut, Reply, Wire, letters, list, sigv4, strings, text_of, uuid};
use crate::answer::{self, Answer, Ask, Choice, Finish, Tool};
use crate::fault::split_mix;

const RUNTIME: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";
const FRONT: &str = "http://internal.amazon.com/coral/com.amazon.coral.service/";

const MODELS: [(&str, &str, bool); 3] = [
    ("amazon.nova-lite-v1:0", "Amazon", true),
    (
        "anthropic.claude-loopback-20250101-v1:0",
        "Anthropic",
        false,
    ),
    ("openai.gpt-oss-120b-1:0", "OpenAI", true),
];

/// The wire itself.
pub(crate) struct Bedrock;

impl Wire for Bedrock {
    fn model(&self, path: &str, _: Option<&Value>) -> Option<String> {
        let id = path.strip_prefix("/model/")?.rsplit_once('/')?.0;
        String::from_utf8(sigv4::decode(id)).ok()
    }

    fn respond(&self, call: &Call<'_>) -> Reply {
        let mut reply = refused(call).unwrap_or_else(|| operate(call));
        reply
            .headers
            .push(("x-amzn-requestid", uuid(&mut call.number.clone())));
        reply
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let (usual_code, usual) = match status {
            403 => (
                "AccessDeniedException",
                "There is no access to this model with these credentials.",
            ),
            404 => ("ResourceNotFoundException", "There is no such model here."),
            408 => ("ModelTimeoutException", "The model took too long."),
            424 => ("ModelErrorException", "The model failed at this request."),
            429 => (
                "ThrottlingException",
                "Too many requests, please wait before trying again.",
            ),
            503 => (
                "ServiceUnavailableException",
                "Too many connections, please wait before trying again.",
            ),
            status if status < 500 => (
                "ValidationException",
                "The request cannot be served as it is.",
            ),
            _ => (
                "InternalServerException",
                "Something broke on the way to an answer.",
            ),
        };
        exception(
            status,
            RUNTIME,
            code.unwrap_or(usual_code),
            message.unwrap_or(usual),
        )
    }

    fn overflow(&self) -> Reply {
        self.error(400, None, Some("Input is too long for requested model."))
    }

    fn error_in_200(&self) -> String {
        r#"{"Output":{"__type":"com.amazon.coral.service#InternalFailure"},"Version":"1.0"}"#
            .to_owned()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        let payload = r#"{"message":"Too many tokens, please wait before trying again."}"#;
        let headers = [
            (":exception-type", code.unwrap_or("throttlingException")),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        frame(&headers, payload.as_bytes())
    }

    fn filler(&self) -> Vec<u8> {
        event("loopbackFiller", &json!({"p": "abc"}))
    }

    fn half(&self, event: &[u8]) -> Vec<u8> {
        let headers = event[4..8]
            .iter()
            .fold(0, |n, byte| n << 8 | usize::from(*byte));
        let payload = &event[12 + headers..event.len() - 4];
        raw_frame(&event[12..12 + headers], &payload[..payload.len() / 2])
    }

    fn endless(&self) -> Vec<u8> {
        let mut prelude = vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
        prelude
    }

    fn is_text(&self) -> bool {
        false
    }
}

fn refused(call: &Call<'_>) -> Option<Reply> {
    match &call.state.aws {
        Some(keys) => {
            let refused = sigv4::verify(call.request, keys).err()?;
            Some(exception(403, FRONT, refused.exception, &refused.message))
        }
        None => (!call.key_is_right("authorization")).then(|| Bedrock.error(403, None, None)),
    }
}

fn operate(call: &Call<'_>) -> Reply {
    let path = call.path;
    let last = path.rsplit_once('/').map(|(_, last)| last);
    match (call.request.method.as_str(), last) {
        ("POST", Some("converse")) => converse(call, false),
        ("POST", Some("converse-stream")) => converse(call, true),
        ("POST", Some("count-tokens")) => count_tokens(call),
        ("POST", Some("invoke")) => invoke(call),
        ("GET", Some("foundation-models")) => {
            let models: Vec<Value> = MODELS.iter().map(summary).collect();
            whole(&json!({"modelSummaries": models, "enableAccessToAllModelsByDefault": false}))
        }
        ("GET", Some("inference-profiles")) => profiles(call),
        ("GET", Some(id)) if path.starts_with("/foundation-models/") => {
            let id = sigv4::decode(id);
            match MODELS.iter().find(|(model, ..)| model.as_bytes() == id) {
                Some(model) => whole(&json!({"modelDetails": summary(model)})),
                None => Bedrock.error(404, None, None),
            }
        }
        _ => exception(
            404,
            FRONT,
            "UnknownOperationException",
            "There is no such operation.",
        ),
    }
}

/// Vectors: the body is that of the model's maker.
fn invoke(call: &Call<'_>) -> Reply {
    let shape = match call.model.as_str() {
        model if model.contains("titan-embed") => Shape::Titan,
        model if model.contains("cohere.embed") => Shape::Cohere,
        _ => return Bedrock.error(404, None, None),
    };
    let answer = match &call.json {
        Ok(body) => embed::answer(shape, &call.model, body),
        Err(error) => Err(format!("The body is not JSON: {error}")),
    };
    match answer {
        Ok(answer) => whole(&answer),
        Err(wrong) => invalid(&wrong),
    }
}

fn whole(body: &Value) -> Reply {
    let content = Content::Whole(body.to_string().into());
    Reply {
        wire: &Bedrock,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn exception(status: u16, space: &str, code: &str, message: &str) -> Reply {
    let headers = vec![("x-amzn-errortype", format!("{code}:{space}"))];
    Reply {
        status,
        headers,
        ..whole(&json!({"message": message}))
    }
}

fn invalid(message: &str) -> Reply {
    Bedrock.error(400, None, Some(message))
}

/// A message of the event-stream framing.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    const STRING: u8 = 7;
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(STRING);
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    raw_frame(&bytes, payload)
}

fn raw_frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = (headers.len() + payload.len() + 16) as u32;
    let mut bytes = Vec::with_capacity(total as usize);
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    let headers = [
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    frame(&headers, payload.to_string().as_bytes())
}

fn summary((id, provider, on_demand): &(&str, &str, bool)) -> Value {
    json!({
        "modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"), "modelId": id, "modelName": id,
        "providerName": provider, "inputModalities": ["TEXT"], "outputModalities": ["TEXT"],
        "responseStreamingSupported": true, "customizationsSupported": [],
        "inferenceTypesSupported": if *on_demand { &["ON_DEMAND"] } else { &["INFERENCE_PROFILE"] },
        "modelLifecycle": {"status": "ACTIVE"}, "description": null,
    })
}

/// One profile a page, unless more are asked for.
fn profiles(call: &Call<'_>) -> Reply {
    let query = call
        .request
        .path
        .split_once('?')
        .map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| {
            pair.strip_prefix(name)?
                .strip_prefix('=')?
                .parse::<usize>()
                .ok()
        })
    };
    let (from, count) = (
        parameter("nextToken").unwrap_or(0),
        parameter("maxResults").unwrap_or(1).max(1),
    );
    let profile = |(id, ..): &(&str, &str, bool)| {
        json!({
            "inferenceProfileId": format!("us.{id}"), "inferenceProfileName": format!("US {id}"),
            "inferenceProfileArn": format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{id}"),
            "status": "ACTIVE", "type": "SYSTEM_DEFINED",
            "models": [{"modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}")}],
        })
    };
    let page: Vec<Value> = MODELS.iter().skip(from).take(count).map(profile).collect();
    let mut body = json!({"inferenceProfileSummaries": page});
    if from + count < MODELS.len() {
        body["nextToken"] = (from + count).to_string().into();
    }
    whole(&body)
}

fn count_tokens(call: &Call<'_>) -> Reply {
    match call
        .json
        .as_ref()
        .ok()
        .and_then(|body| body.pointer("/input/converse"))
    {
        Some(input) => whole(&json!({"inputTokens": ask(call, input).prompt_tokens})),
        None => invalid("The input must be that of Converse."),
    }
}

fn converse(call: &Call<'_>, streaming: bool) -> Reply {
    let Ok(body) = &call.json else {
        return exception(
            400,
            FRONT,
            "SerializationException",
            "The body is not JSON.",
        );
    };
    if let Err(message) = check(body) {
        return invalid(&message);
    }
    if call.model.starts_with("missing") {
        return invalid("The provided model identifier is invalid.");
    }
    let ask = ask(call, body);
    let load = ask
        .load
        .filter(|_| body.get("toolConfig").is_none() && body.get("inferenceConfig").is_none());
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("bedrock", streaming, load, || {
        let mut answer = Answer::new(&ask, 0, call.number);
        if call.faults.think_tags {
            answer.tag_reasoning();
        }
        tokens = answer.tokens();
        let latency = 30 + tokens;
        if streaming {
            Content::Stream(events(&answer, &call.model, latency).freeze())
        } else {
            Content::Whole(message(&answer, latency).to_string().into())
        }
    });
    let content_type = if streaming {
        "application/vnd.amazon.eventstream"
    } else {
        "application/json"
    };
    Reply {
        content_type,
        content,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
        ..whole(&Value::Null)
    }
}

fn check(body: &Value) -> Result<(), String> {
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err("The messages must not be empty.".to_owned());
    }
    if text_of(&messages[0], "role") != "user" {
        return Err("A conversation must start with a message of the user.".to_owned());
    }
    let mut tools = false;
    for (at, message) in messages.iter().enumerate() {
        if !["user", "assistant", "system"].contains(&text_of(message, "role")) {
            return Err(format!("messages.{at}.role must be user or assistant."));
        }
        let blocks = list(message, "content");
        if blocks.is_empty() {
            return Err(format!("The content of messages.{at} is empty."));
        }
        for block in blocks {
            if block.as_object().is_none_or(|block| block.len() != 1) {
                return Err(format!(
                    "A content block of messages.{at} must have exactly one member."
                ));
            }
            if block
                .get("text")
                .is_some_and(|text| text.as_str().is_none_or(|text| text.trim().is_empty()))
            {
                return Err(format!(
                    "The text of a content block of messages.{at} is blank."
                ));
            }
            tools |= block.get("toolUse").is_some() || block.get("toolResult").is_some();
        }
    }
    if tools && body.get("toolConfig").is_none() {
        return Err("The toolConfig must be given where messages use tools.".to_owned());
    }
    if body
        .get("toolConfig")
        .is_some_and(|config| list(config, "tools").is_empty())
    {
        return Err("The toolConfig must have at least one tool.".to_owned());
    }
    for (name, least, most) in [
        ("temperature", 0.0, 1.0),
        ("topP", 0.0, 1.0),
        ("maxTokens", 1.0, 1e9),
    ] {
        let value = body
            .get("inferenceConfig")
            .and_then(|config| config.get(name));
        if value.is_some_and(|value| {
            value
                .as_f64()
                .is_none_or(|value| !(least..=most).contains(&value))
        }) {
            return Err(format!(
                "The value of {name} must be from {least} to {most}."
            ));
        }
    }
    Ok(())
}

fn ask(call: &Call<'_>, body: &Value) -> Ask {
    let messages = list(body, "messages");
    let texts = |message: &Value| {
        let texts = list(message, "content")
            .iter()
            .filter_map(|block| block.get("text")?.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    let result = |message: &Value| {
        let block = list(message, "content")
            .iter()
            .find_map(|block| block.get("toolResult"))?;
        let parts = list(block, "content").iter().map(|part| {
            part.get("text")
                .and_then(Value::as_str)
                .map_or_else(|| part.to_string(), str::to_owned)
        });
        Some(parts.collect::<Vec<_>>().join(" "))
    };
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user" && !texts(message).is_empty());
    let tool = |tool: &Value| {
        let tool = tool.get("toolSpec")?;
        let schema = tool
            .pointer("/inputSchema/json")
            .cloned()
            .unwrap_or_default();
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let config = body.get("toolConfig").unwrap_or(&Value::Null);
    let inference = body.get("inferenceConfig").unwrap_or(&Value::Null);
    let schema = body
        .pointer("/outputConfig/textFormat/structure/jsonSchema/schema")
        .and_then(Value::as_str);
    let asked = ["thinking", "reasoning_config", "reasoningConfig"];
    let asked = asked.iter().find_map(|name| {
        body.pointer(&format!("/additionalModelRequestFields/{name}/type"))?
            .as_str()
    });
    let load = call.load();
    Ask {
        prompt: last_user.map(texts).unwrap_or_default(),
        prompt_tokens: messages
            .iter()
            .map(|message| 4 + answer::count(&texts(message)))
            .sum::<usize>()
            + 2,
        tool_result: messages.last().and_then(result),
        tools: list(config, "tools").iter().filter_map(tool).collect(),
        choice: match (
            config.pointer("/toolChoice/any"),
            config
                .pointer("/toolChoice/tool/name")
                .and_then(Value::as_str),
        ) {
            (Some(_), _) => Choice::Required,
            (_, Some(name)) => Choice::Named(name.to_owned()),
            _ => Choice::Auto,
        },
        one_call: false,
        schema: schema.and_then(|schema| serde_json::from_str(schema).ok()),
        reason: load.is_none() && asked.map_or(call.thinks(), |kind| kind != "disabled"),
        max_tokens: inference
            .get("maxTokens")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        stop: strings(inference.get("stopSequences")),
        load,
    }
}

fn tool_use_id(id: &str) -> String {
    let mut seed = u64::from_str_radix(id, 16).unwrap_or_default();
    format!("tooluse_{}", letters(&mut seed, 22))
}

fn signature(answer: &Answer) -> String {
    letters(&mut (answer.reasoning.len() as u64), 64)
}

fn message(answer: &Answer, latency: usize) -> Value {
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        let text = answer.reasoning.concat();
        content.push(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature(answer)}}}));
    }
    if !answer.content.is_empty() {
        content.push(json!({"text": answer.content.concat()}));
    }
    for call in &answer.calls {
        let input: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
        content.push(json!({"toolUse": {"toolUseId": tool_use_id(&call.id), "name": call.name, "input": input}}));
    }
    json!({
        "metrics": {"latencyMs": latency},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer.finish),
        "usage": usage(answer),
    })
}

fn usage(answer: &Answer) -> Value {
    let (input, output) = (answer.prompt_tokens, answer.tokens());
    json!({
        "inputTokens": input, "outputTokens": output, "totalTokens": input + output, "serverToolUsage": {},
        "cacheReadInputTokens": 0, "cacheReadInputTokenCount": 0, "cacheWriteInputTokens": 0, "cacheWriteInputTokenCount": 0,
    })
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}

fn events(answer: &Answer, model: &str, latency: usize) -> EventsMut {
    const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut events = EventsMut::default();
    let mut seed = 0;
    let mut push = |name: &str, mut payload: Value| {
        payload["p"] = PADDING[..(split_mix(&mut seed) % 62) as usize + 1].into();
        events.push(&event(name, &payload));
    };
    push("messageStart", json!({"role": "assistant"}));
    let mut index = 0;
    if !answer.reasoning.is_empty() {
        for text in &answer.reasoning {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"reasoningContent": {"text": text}}}),
            );
        }
        let signed = json!({"contentBlockIndex": index, "delta": {"reasoningContent": {"signature": signature(answer)}}});
        push("contentBlockDelta", signed);
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    if !answer.content.is_empty() {
        for text in &answer.content {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"text": text}}),
            );
        }
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    for call in &answer.calls {
        let start = json!({"toolUse": {"toolUseId": tool_use_id(&call.id), "name": call.name}});
        push(
            "contentBlockStart",
            json!({"contentBlockIndex": index, "start": start}),
        );
        // Some models give a call at once, others begin with nothing.
        let whole = call.arguments.concat();
        let pieces = if model.contains("nova") {
            vec![whole.as_str()]
        } else {
            call.arguments.iter().map(String::as_str).collect()
        };
        let pieces = if model.contains("nova") {
            pieces
        } else {
            [&[""], &pieces[..]].concat()
        };
        for piece in pieces {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}}),
            );
        }
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    push(
        "messageStop",
        json!({"stopReason": stop_reason(answer.finish)}),
    );
    push(
        "metadata",
        json!({"usage": usage(answer), "metrics": {"latencyMs": latency}}),
    );
    events
}
