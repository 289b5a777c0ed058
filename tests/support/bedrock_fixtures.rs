//! An independent decoder of Bedrock's Converse, with `serde_json::Value`, for comparison with the library.

use serde_json::Value;
use std::collections::BTreeMap;
use unifiedai::{ContentPart, UnifiedChatResponse};

/// The content of a response.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    pub text: String,
    pub reasoning: String,
    pub signatures: Vec<String>,
    /// Id, name, arguments.
    pub calls: Vec<(String, String, Value)>,
    /// Blocks that are kept unchanged.
    pub opaque: Vec<Value>,
    pub citations: Vec<Value>,
    pub stop: Option<String>,
    /// Input without cache, output, total, cache reads, cache writes.
    pub usage: Option<[Option<u64>; 5]>,
    pub latency_ms: Option<u64>,
    pub trace: Option<Value>,
}

/// A body of Converse.
pub fn whole(body: &[u8]) -> Reading {
    let json: Value = serde_json::from_slice(body).expect("a recorded body is JSON");
    let mut reading = Reading::default();
    for block in json["output"]["message"]["content"].as_array().unwrap() {
        reading.block(block);
    }
    reading.end(&json);
    reading
}

/// A ConverseStream body, and the end of its `messageStop`. `None` if it has an exception.
pub fn stream(body: &[u8]) -> Option<(Reading, usize)> {
    let (mut reading, mut blocks, mut stopped) = (Reading::default(), BTreeMap::new(), 0);
    for frame in frames(body) {
        let json = &frame.payload;
        let index = json["contentBlockIndex"].as_u64().unwrap_or(0);
        let block = blocks.entry(index).or_insert(Value::Null);
        match frame.name.as_str() {
            "contentBlockStart" => *block = json["start"].clone(),
            "contentBlockDelta" => add(block, &json["delta"]),
            "messageStop" => {
                stopped = frame.end;
                reading.end(json);
            }
            "metadata" => reading.end(json),
            "messageStart" | "contentBlockStop" => {}
            _ => return None,
        }
    }
    for block in blocks.values() {
        reading.block(block);
    }
    Some((reading, stopped))
}

/// Adds a delta to a block.
fn add(block: &mut Value, delta: &Value) {
    let push = |text: &mut Value, more: &Value| {
        let joined = text.as_str().unwrap_or_default().to_owned() + more.as_str().unwrap();
        *text = joined.into();
    };
    for (name, piece) in delta.as_object().unwrap() {
        match name.as_str() {
            "text" => push(&mut block["text"], piece),
            "toolUse" => push(&mut block["toolUse"]["input"], &piece["input"]),
            "toolResult" => block["toolResult"]["content"] = piece.clone(),
            "citation" => match block["citations"].as_array_mut() {
                Some(citations) => citations.push(piece.clone()),
                None => block["citations"] = vec![piece.clone()].into(),
            },
            "reasoningContent" => {
                for (name, piece) in piece.as_object().unwrap() {
                    match name.as_str() {
                        "redactedContent" => block["reasoningContent"][name] = piece.clone(),
                        _ => push(&mut block["reasoningContent"]["reasoningText"][name], piece),
                    }
                }
            }
            other => panic!("an unknown piece: {other}"),
        }
    }
}

impl Reading {
    fn block(&mut self, block: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reasoning = &block["reasoningContent"];
        let tool = &block["toolUse"];
        let citations = &block["citationsContent"];
        if let Some(text) = block["text"].as_str() {
            self.text += text;
        }
        for list in [&block["citations"], &citations["citations"]] {
            self.citations
                .extend(list.as_array().into_iter().flatten().cloned());
        }
        for piece in citations["content"].as_array().into_iter().flatten() {
            self.text += piece["text"].as_str().unwrap();
        }
        if tool.is_object() {
            let mut tool = tool.clone();
            if let Some(text) = tool["input"].as_str() {
                let text = if text.trim().is_empty() { "{}" } else { text };
                tool["input"] = serde_json::from_str(text).unwrap();
            }
            match tool["type"].as_str() {
                Some("server_tool_use") => self.opaque.push(serde_json::json!({"toolUse": tool})),
                _ => self.calls.push((
                    text(&tool["toolUseId"]),
                    text(&tool["name"]),
                    tool["input"].clone(),
                )),
            }
        }
        if block["toolResult"].is_object() || reasoning["redactedContent"].is_string() {
            self.opaque.push(block.clone());
        }
        let thought = &reasoning["reasoningText"];
        self.reasoning += &text(&thought["text"]);
        self.signatures
            .extend(thought["signature"].as_str().map(str::to_owned));
    }

    fn end(&mut self, json: &Value) {
        let usage = &json["usage"];
        if let Some(stop) = json["stopReason"].as_str() {
            self.stop = Some(stop.to_owned());
        }
        if usage.is_object() {
            self.usage = Some(
                [
                    "inputTokens",
                    "outputTokens",
                    "totalTokens",
                    "cacheReadInputTokens",
                    "cacheWriteInputTokens",
                ]
                .map(|name| usage[name].as_u64()),
            );
        }
        self.latency_ms = json["metrics"]["latencyMs"].as_u64().or(self.latency_ms);
        self.trace = json.get("trace").cloned().or(self.trace.take());
    }
}

/// The library's response in the same form.
pub fn read_back(response: &UnifiedChatResponse) -> Reading {
    let choice = &response.choices[0];
    let value = |json: &unifiedai::Json| serde_json::from_str::<Value>(json.as_str()).unwrap();
    let mut reading = Reading {
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        stop: choice.native_finish_reason.clone(),
        latency_ms: response
            .metrics
            .server
            .total
            .map(|total| u64::try_from(total.as_millis()).unwrap()),
        ..Reading::default()
    };
    for part in &choice.message.content {
        match part {
            ContentPart::Reasoning { signature, .. } => {
                reading.signatures.extend(signature.clone())
            }
            ContentPart::ProviderBlock(_)
            | ContentPart::HostedToolCall(_)
            | ContentPart::HostedToolResult(_) => {
                reading
                    .opaque
                    .extend(part.raw().map(|block| value(&block.block)));
            }
            ContentPart::ToolCall(call) => {
                reading
                    .calls
                    .push((call.id.clone(), call.name.clone(), call.parse().unwrap()));
            }
            ContentPart::Text { citations, .. } => {
                let raw = citations
                    .iter()
                    .map(|citation| citation.raw.as_ref().unwrap());
                reading.citations.extend(raw.map(value));
            }
            other => panic!("an unknown part: {other:?}"),
        }
    }
    reading.usage = response.usage.as_ref().map(|usage| {
        let cache = [usage.cached_tokens, usage.cache_write_tokens];
        let cached: u64 = cache.iter().flatten().sum();
        [
            usage.prompt_tokens.map(|tokens| tokens - cached),
            usage.completion_tokens,
            usage.total_tokens,
            cache[0],
            cache[1],
        ]
    });
    let extra = &response.provider_metadata.extra;
    reading.trace = extra
        .iter()
        .find(|(name, _)| name == "trace")
        .map(|(_, trace)| value(trace));
    reading
}

/// One frame of an event stream.
pub struct Frame {
    pub name: String,
    pub payload: Value,
    /// The end of the frame in the body.
    pub end: usize,
}

/// All frames, without checking their checksums.
pub fn frames(body: &[u8]) -> Vec<Frame> {
    let (mut frames, mut at) = (Vec::new(), 0);
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap()) as usize;
    while at < body.len() {
        let (total, headers) = (number(at), number(at + 4));
        let payload = &body[at + 12 + headers..at + total - 4];
        let (mut header, end) = (at + 12, at + 12 + headers);
        let mut name = String::new();
        while header < end {
            let key = header + 1 + usize::from(body[header]);
            let length = usize::from(u16::from_be_bytes([body[key + 1], body[key + 2]]));
            if body[header + 1..key].ends_with(b"-type")
                && body[header + 1..key] != *b":content-type"
            {
                let value = std::str::from_utf8(&body[key + 3..key + 3 + length]).unwrap();
                if !matches!(value, "event" | "exception") {
                    value.clone_into(&mut name);
                }
            }
            header = key + 3 + length;
        }
        at += total;
        frames.push(Frame {
            name,
            payload: serde_json::from_slice(payload).unwrap(),
            end: at,
        });
    }
    frames
}

/// A frame with valid checksums; a name that ends in `Exception` makes it an exception.
pub fn frame(name: &str, payload: &str) -> Vec<u8> {
    let kind = if name.ends_with("Exception") {
        "exception"
    } else {
        "event"
    };
    let mut headers = Vec::new();
    let type_header = format!(":{kind}-type");
    for (key, value) in [
        (type_header.as_str(), name),
        (":content-type", "application/json"),
        (":message-type", kind),
    ] {
        headers.push(u8::try_from(key.len()).unwrap());
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut message = total.to_be_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload.as_bytes());
    let sum = crc32(&message);
    message.extend_from_slice(&sum.to_be_bytes());
    message
}

/// The CRC-32 of zlib, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
