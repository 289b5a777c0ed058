//! Encodes every recorded request to Bedrock's Converse API from the library's types: the body must be equal.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use support::corpus::{self, Recording};
use unifiedai::{
    ChatRequest, ContentPart, Json, JsonSchema, Media, Message, ResponseFormat, Role, Tool,
    ToolCall, ToolChoice, ToolResult,
    provider::{Bedrock, Provider},
};

#[test]
fn every_recorded_request_can_be_encoded() {
    let recordings = corpus::load("bedrock-converse", None);
    let builder = Bedrock::builder()
        .region("us-east-1")
        .api_key("key")
        .unwrap();
    let bedrock = builder.build().unwrap();
    let (mut said, mut wrong) = (0, Vec::new());
    for recording in &recordings {
        let operation = recording.operation.as_str();
        // Requests that the service refused are not examples.
        let good = recording.status == 200 && recording.request["messages"].is_array();
        if !good || !operation.starts_with("converse") {
            continue;
        }
        said += 1;
        let request = request(recording);
        let encoded = match bedrock.encode_chat(&request) {
            Ok(encoded) => encoded.request,
            Err(error) => {
                wrong.push(format!("{}: {error}", recording.id));
                continue;
            }
        };
        let (ours, theirs) = (path(encoded.uri().path()), path(&recording.url));
        if !theirs.ends_with(&ours) {
            wrong.push(format!("{}: {ours} is not {theirs}", recording.id));
        }
        let ours: Value = serde_json::from_slice(encoded.body()).unwrap();
        let theirs = expected(&recording.request);
        if ours != theirs {
            wrong.push(format!("{}: {ours}\nis not\n{theirs}", recording.id));
        }
    }
    println!("{said} requests of {} recordings", recordings.len());
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || said > 150);
}

/// The decoded path: percent-encoding differs between clients.
fn path(url: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = url.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| std::str::from_utf8(tail.get(..2)?).ok())
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

fn request(recording: &Recording) -> ChatRequest {
    let body = &recording.request;
    let model = path(&recording.url);
    let model = model
        .split_once("/model/")
        .unwrap()
        .1
        .rsplit_once('/')
        .unwrap()
        .0;
    let mut request = ChatRequest::new(model).stream(recording.streaming);
    for block in body["system"].as_array().into_iter().flatten() {
        request = request.message(Message::new(Role::System, vec![part(block)]));
    }
    for message in body["messages"].as_array().unwrap() {
        let role = Role::from(message["role"].as_str().unwrap());
        let blocks = message["content"].as_array().unwrap();
        request = request.message(Message::new(role, blocks.iter().map(part).collect()));
    }
    for (name, value) in body.as_object().unwrap() {
        request = match name.as_str() {
            "messages" | "system" => request,
            "inferenceConfig" => inference(request, value.as_object().unwrap()),
            "toolConfig" => tools(request, value),
            "outputConfig" => request.response_format(format(&value["textFormat"])),
            "serviceTier" => request.service_tier(value["type"].as_str().unwrap().into()),
            _ => request.extra(name, value).unwrap(),
        };
    }
    request
}

fn inference(mut request: ChatRequest, config: &Map<String, Value>) -> ChatRequest {
    for (name, value) in config {
        request = match name.as_str() {
            "maxTokens" => request.max_tokens(value.as_u64().unwrap()),
            "temperature" => request.temperature(value.as_f64().unwrap()),
            "topP" => request.top_p(value.as_f64().unwrap()),
            "stopSequences" => value
                .as_array()
                .unwrap()
                .iter()
                .fold(request, |request, stop| {
                    request.stop(stop.as_str().unwrap())
                }),
            other => panic!("not recorded before: {other}"),
        };
    }
    request
}

fn tools(mut request: ChatRequest, config: &Value) -> ChatRequest {
    for tool in config["tools"].as_array().unwrap() {
        let spec = &tool["toolSpec"];
        request = request.tool(if spec.is_object() {
            let name = spec["name"].as_str().unwrap();
            let description = spec["description"].as_str().unwrap_or_default();
            let mut tool = Tool::function(name, description, &spec["inputSchema"]["json"]).unwrap();
            if let Tool::Function { strict, .. } = &mut tool {
                *strict = spec["strict"].as_bool();
            }
            tool
        } else {
            Tool::Provider {
                provider: "bedrock".into(),
                definition: Json::new(tool).unwrap(),
            }
        });
    }
    let choice = config["toolChoice"]
        .as_object()
        .and_then(|choice| choice.iter().next());
    match choice.map(|(name, value)| (name.as_str(), value)) {
        None => request,
        Some(("auto", _)) => request.tool_choice(ToolChoice::Auto),
        Some(("any", _)) => request.tool_choice(ToolChoice::Required),
        Some((_, tool)) => {
            request.tool_choice(ToolChoice::Function(tool["name"].as_str().unwrap().into()))
        }
    }
}

fn format(format: &Value) -> ResponseFormat {
    let schema = &format["structure"]["jsonSchema"];
    let json = Json::parse(schema["schema"].as_str().unwrap()).unwrap();
    let name = schema["name"].as_str().unwrap_or("answer");
    let mut wanted = JsonSchema::new(name, &json).unwrap();
    wanted.description = schema["description"].as_str().map(str::to_owned);
    ResponseFormat::JsonSchema(wanted)
}

/// Converts a block to a typed part, if there is one.
fn part(block: &Value) -> ContentPart {
    let own = || ContentPart::provider_block("bedrock", Json::new(block).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (name, value) = block.as_object().unwrap().iter().next().unwrap();
    match name.as_str() {
        "text" => ContentPart::text(text(value)),
        "toolUse" if value["type"] != "server_tool_use" => ContentPart::ToolCall(ToolCall::new(
            text(&value["toolUseId"]),
            text(&value["name"]),
            value["input"].to_string(),
        )),
        "toolResult" if value["type"].is_null() => {
            let mut result = ToolResult::new(text(&value["toolUseId"]), "");
            result.content = value["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(part)
                .collect();
            result.is_error = value["status"] == "error";
            ContentPart::ToolResult(result)
        }
        "image" => ContentPart::Image {
            media: media("image/", value),
            detail: None,
        },
        "document" if value["citations"].is_null() && value["context"].is_null() => {
            ContentPart::Document {
                media: media("", value),
                name: Some(text(&value["name"])),
            }
        }
        "reasoningContent" if value["reasoningText"]["signature"].is_string() => {
            ContentPart::Reasoning {
                text: text(&value["reasoningText"]["text"]),
                signature: Some(text(&value["reasoningText"]["signature"])),
            }
        }
        _ => own(),
    }
}

fn media(prefix: &str, value: &Value) -> Media {
    let mime_type = match value["format"].as_str().unwrap() {
        "txt" => "text/plain".to_owned(),
        "pdf" => "application/pdf".to_owned(),
        "docx" => {
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document".to_owned()
        }
        other => format!("{prefix}{other}"),
    };
    match value["source"]["bytes"].as_str() {
        Some(bytes) => Media::inline(mime_type, STANDARD.decode(bytes).unwrap()),
        None => Media::Url {
            url: value["source"]["s3Location"]["uri"]
                .as_str()
                .unwrap()
                .to_owned(),
            mime_type: Some(mime_type),
        },
    }
}

/// The recorded body without content that has no effect: blank texts, the status of a success, empty settings.
/// Messages of one role are merged, integers are compared as numbers, and names are normalised.
fn expected(body: &Value) -> Value {
    let mut body = body.clone();
    let blank = |block: &Value| {
        block["text"]
            .as_str()
            .is_some_and(|text| text.trim().is_empty())
    };
    for message in body["messages"].as_array_mut().unwrap() {
        let content = message["content"].as_array_mut().unwrap();
        content.retain(|block| !blank(block));
        for block in content {
            let result = &mut block["toolResult"];
            if result["type"].is_null() && result["status"] == "success" {
                result.as_object_mut().unwrap().remove("status");
            }
            if result.is_null() {
                block.as_object_mut().unwrap().remove("toolResult");
            }
        }
    }
    let mut turns: Vec<Value> = Vec::new();
    for mut message in std::mem::take(body["messages"].as_array_mut().unwrap()) {
        let last = turns.last_mut();
        match last.filter(|last| last["role"] == message["role"]) {
            Some(last) => {
                let more = message["content"].as_array_mut().unwrap();
                last["content"].as_array_mut().unwrap().append(more);
            }
            None => turns.push(message),
        }
    }
    for block in turns
        .iter_mut()
        .flat_map(|turn| turn["content"].as_array_mut().unwrap())
    {
        // A document with citations is sent as a provider block and stays unchanged.
        let own = block.pointer("/document/citations").is_some();
        if let Some(Value::String(name)) = block.pointer_mut("/document/name").filter(|_| !own) {
            *name = name.replace('_', "-");
        }
    }
    body["messages"] = turns.into();
    for name in ["temperature", "topP"] {
        if let Some(number) = body["inferenceConfig"].get_mut(name) {
            *number = number.as_f64().unwrap().into();
        }
    }
    let empty = |value: &Value| [json!(null), json!({}), json!([])].contains(value);
    for name in ["inferenceConfig", "system"] {
        if body.get(name).is_some_and(empty) {
            body.as_object_mut().unwrap().remove(name);
        }
    }
    if let Some(schema) = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema") {
        let object = schema.as_object_mut().unwrap();
        object.entry("name").or_insert_with(|| "answer".into());
    }
    body
}
