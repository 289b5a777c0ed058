//! Anthropic Messages: named events, blocks with a start and an end, cumulative token counts, prompt caching.

use std::sync::PoisonError;

use serde_json::{Value, json};

use super::{
    Call, Content, EventsMut, Protocol, Reply,
    hosted::{self, Search},
    letters, list, named_event, paused,
    prompt_cache::{self, PromptTokens},
    schema, sigv4, strings, text, text_of,
};
use crate::response::{Choice, Finish, ModelRequest, ModelResponse, Tool};

const MODEL: &str = "claude-loopback-4-5";

const PARAMETERS: [&str; 20] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "metadata",
    "service_tier",
    "output_config",
    "output_format",
    "cache_control",
    "container",
    "mcp_servers",
    "context_management",
];

/// The protocol.
pub(crate) struct Anthropic;

impl Protocol for Anthropic {
    /// On Vertex the path names the model.
    fn model(&self, path: &str, json: Option<&Value>) -> Option<String> {
        match path.rsplit_once("/publishers/anthropic/models/") {
            Some((_, rest)) => {
                let name = rest.rsplit_once(':')?.0;
                String::from_utf8(sigv4::decode(name)).ok()
            }
            None => Some(text_of(json?, "model").to_owned()),
        }
    }

    fn respond(&self, call: &Call<'_>) -> Reply {
        let mut reply = operate(call);
        let id = format!("req_011{}", letters(&mut call.number.clone(), 21));
        reply.headers.push(("request-id", id));
        reply
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let (kind, usual) = match status {
            401 => ("authentication_error", "This key is not known here."),
            402 => ("billing_error", "This account has nothing left to spend."),
            403 => ("permission_error", "This key may not do that."),
            404 => ("not_found_error", "There is nothing at this place."),
            413 => ("request_too_large", "The request is larger than it may be."),
            429 => (
                "rate_limit_error",
                "This minute has had all the requests that it may have.",
            ),
            504 => ("timeout_error", "The answer took too long."),
            529 => ("overloaded_error", "Overloaded"),
            400..=499 => (
                "invalid_request_error",
                "The request cannot be served as it is.",
            ),
            _ => ("api_error", "Something broke on the way to an answer."),
        };
        let retry = matches!(status, 408 | 409 | 429 | 500..);
        let headers = vec![("x-should-retry", retry.to_string())];
        let body = error_object(code.unwrap_or(kind), message.unwrap_or(usual));
        Reply {
            status,
            headers,
            ..whole(&body)
        }
    }

    fn overflow(&self) -> Reply {
        self.error(
            400,
            None,
            Some("prompt is too long: 200123 tokens > 200000 maximum"),
        )
    }

    fn error_in_200(&self) -> String {
        error_object("overloaded_error", "Overloaded").to_string()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        named_event(
            "error",
            &error_object(code.unwrap_or("overloaded_error"), "Overloaded"),
        )
    }

    fn filler(&self) -> Vec<u8> {
        b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec()
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn whole(body: &Value) -> Reply {
    let content = Content::Whole(body.to_string().into());
    Reply {
        wire: &Anthropic,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn error_object(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011loopback"})
}

fn operate(call: &Call<'_>) -> Reply {
    if !call.key_is_right("x-api-key") {
        return Anthropic.error(401, None, None);
    }
    if is_vertex(call) {
        return match call.path.rsplit_once(':') {
            Some((path, "rawPredict")) if path.ends_with("/count-tokens") => count(call),
            Some((_, "rawPredict" | "streamRawPredict")) if call.request.method == "POST" => {
                messages(call)
            }
            _ => Anthropic.error(404, None, None),
        };
    }
    if call.request.header("anthropic-version").is_none() {
        return Anthropic.error(400, None, Some("anthropic-version: header is required"));
    }
    let model = json!({"type": "model", "id": MODEL, "display_name": "Claude of the loopback", "created_at": "2025-01-01T00:00:00Z"});
    match (call.request.method.as_str(), call.path) {
        ("POST", "/v1/messages") => messages(call),
        ("POST", "/v1/messages/count_tokens") => count(call),
        ("GET", "/v1/models") => {
            whole(&json!({"data": [model], "has_more": false, "first_id": MODEL, "last_id": MODEL}))
        }
        ("GET", path) if path.strip_prefix("/v1/models/") == Some(MODEL) => whole(&model),
        _ => Anthropic.error(404, None, None),
    }
}

/// Fields that are not part of the prompt are refused.
fn count(call: &Call<'_>) -> Reply {
    let Ok(body) = &call.json else {
        return Anthropic.error(400, None, None);
    };
    let unwanted = [
        "max_tokens",
        "stream",
        "temperature",
        "stop_sequences",
        "metadata",
    ];
    if let Some(name) = unwanted.iter().find(|name| body.get(**name).is_some()) {
        let message = format!("{name}: Extra inputs are not permitted");
        return Anthropic.error(400, None, Some(&message));
    }
    whole(&json!({"input_tokens": ask(call, body).prompt_tokens}))
}

fn messages(call: &Call<'_>) -> Reply {
    let body = match &call.json {
        Ok(body) => body,
        Err(error) => {
            return Anthropic.error(400, None, Some(&format!("The body is not JSON: {error}")));
        }
    };
    if let Err(message) = check(body, is_vertex(call)) {
        return Anthropic.error(400, None, Some(&message));
    }
    if call.model.starts_with("missing") {
        return Anthropic.error(404, None, Some(&format!("model: {}", call.model)));
    }
    let ask = ask(call, body);
    let streaming = super::is_true(body, "stream");
    // A limit is required in this API, so it does not count as the caller's wish.
    let load = ask.load.filter(|load| {
        ask.max_tokens.is_none_or(|most| most >= *load) && body.get("tools").is_none()
    });
    let turn = match paused::turn(&ask.prompt, body).transpose() {
        Ok(turn) => turn,
        Err(message) => return Anthropic.error(400, None, Some(&message)),
    };
    let prompt = prompt(call, body, load.is_some());
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("anthropic", streaming, load, || {
        let mut answer = ModelResponse::new(&ask, 0, call.number);
        if call.faults.think_tags {
            answer.tag_reasoning();
        }
        tokens = answer.tokens();
        let message = Message {
            answer: &answer,
            turn: turn.clone(),
            search: ask
                .load
                .is_none()
                .then(|| hosted::search(body, &ask.prompt))
                .flatten(),
            prompt,
            model: &call.model,
            id: format!("msg_01{}", letters(&mut call.number.clone(), 22)),
        };
        if streaming {
            Content::Stream(message.events().freeze())
        } else {
            Content::Whole(message.whole().to_string().into())
        }
    });
    let content_type = if streaming {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    Reply {
        headers: limits(),
        content_type,
        content,
        tokens,
        ..whole(&Value::Null)
    }
}

/// The tokens of the prompt. A call that fails caches nothing, and neither does one whose response is prepared.
fn prompt(call: &Call<'_>, body: &Value, is_load: bool) -> PromptTokens {
    let fails = call.faults.status.is_some() || call.faults.body.is_some();
    if fails || is_load {
        return PromptTokens {
            plain: prompt_cache::prompt_tokens(body),
            ..PromptTokens::default()
        };
    }
    let cache = call.state.prompt_cache.lock();
    let mut cache = cache.unwrap_or_else(PoisonError::into_inner);
    cache.count(&call.model, body)
}

fn limits() -> Vec<(&'static str, String)> {
    let reset = sigv4::rfc_3339_now();
    vec![
        ("x-envoy-upstream-service-time", "12".to_owned()),
        ("anthropic-ratelimit-requests-limit", "4000".to_owned()),
        ("anthropic-ratelimit-requests-remaining", "3999".to_owned()),
        ("anthropic-ratelimit-requests-reset", reset.clone()),
        ("anthropic-ratelimit-tokens-limit", "4000000".to_owned()),
        ("anthropic-ratelimit-tokens-remaining", "3999000".to_owned()),
        ("anthropic-ratelimit-tokens-reset", reset),
    ]
}

fn is_vertex(call: &Call<'_>) -> bool {
    call.path.starts_with("/v1/projects/")
}

fn check(body: &Value, is_vertex: bool) -> Result<(), String> {
    // Vertex has the version in the body, and the model in the path.
    let (needed, foreign) = match is_vertex {
        true => ("anthropic_version", "model"),
        false => ("model", "anthropic_version"),
    };
    let unknown = |key: &str| key == foreign || (key != needed && !PARAMETERS.contains(&key));
    if let Some(unknown) = body
        .as_object()
        .and_then(|body| body.keys().find(|key| unknown(key)))
    {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    if text_of(body, needed).is_empty() {
        return Err(format!("{needed}: Field required"));
    }
    if body
        .get("max_tokens")
        .and_then(Value::as_u64)
        .is_none_or(|most| most == 0)
    {
        return Err("max_tokens: Field required, and at least 1".to_owned());
    }
    if let Some(wrong) = schema::refused_in("anthropic", body) {
        return Err(wrong);
    }
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    for (at, message) in messages.iter().enumerate() {
        if !["user", "assistant", "system"].contains(&text_of(message, "role")) {
            return Err(format!("messages.{at}.role: must be user or assistant"));
        }
        for block in list(message, "content") {
            if text_of(block, "type") == "text" && text_of(block, "text").is_empty() {
                return Err(format!(
                    "messages.{at}: text content blocks must be non-empty"
                ));
            }
        }
    }
    let thinking = body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled");
    if thinking
        && body
            .pointer("/thinking/budget_tokens")
            .and_then(Value::as_u64)
            .is_none_or(|budget| budget < 1024)
    {
        return Err("thinking.budget_tokens: at least 1024".to_owned());
    }
    if body
        .get("temperature")
        .and_then(Value::as_f64)
        .is_some_and(|value| !(0.0..=1.0).contains(&value))
    {
        return Err("temperature: from 0 to 1".to_owned());
    }
    Ok(())
}

fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let messages = list(body, "messages");
    let content = |message: &Value| text(message.get("content"));
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user" && !content(message).is_empty());
    let result = |message: &Value| {
        let block = list(message, "content")
            .iter()
            .find(|block| text_of(block, "type") == "tool_result")?;
        Some(text(block.get("content")))
    };
    let tool = |tool: &Value| {
        let schema = tool.get("input_schema").cloned().unwrap_or_default();
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    let schema = ["/output_config/format/schema", "/output_format/schema"]
        .iter()
        .find_map(|path| body.pointer(path));
    let load = call.load();
    let thinking = body.pointer("/thinking/type").and_then(Value::as_str);
    ModelRequest {
        prompt: last_user.map(content).unwrap_or_default(),
        prompt_tokens: prompt_cache::prompt_tokens(body),
        tool_result: messages.last().and_then(result),
        tools: list(body, "tools")
            .iter()
            .filter(|tool| hosted::is_function(tool))
            .filter_map(tool)
            .collect(),
        choice: match text_of(choice, "type") {
            "none" => Choice::None,
            "any" => Choice::Required,
            "tool" => Choice::Named(text_of(choice, "name").to_owned()),
            _ => Choice::Auto,
        },
        one_call: super::is_true(choice, "disable_parallel_tool_use"),
        schema: schema.cloned(),
        reason: load.is_none() && thinking.map_or(call.thinks(), |kind| kind != "disabled"),
        max_tokens: body
            .get("max_tokens")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        stop: strings(body.get("stop_sequences")),
        load,
    }
}

struct Message<'a> {
    answer: &'a ModelResponse,
    /// The blocks of a turn of a prompt with pauses, and whether it pauses.
    turn: Option<paused::Turn>,
    search: Option<Search>,
    prompt: PromptTokens,
    model: &'a str,
    id: String,
}

impl Message<'_> {
    /// The blocks and their deltas.
    fn blocks(&self) -> Vec<(Value, Vec<Value>)> {
        if let Some((blocks, _)) = &self.turn {
            return blocks.clone();
        }
        let mut blocks = Vec::new();
        if !self.answer.reasoning.is_empty() {
            let thinking = self
                .answer
                .reasoning
                .iter()
                .map(|text| json!({"type": "thinking_delta", "thinking": text}));
            let signature = letters(&mut (self.answer.reasoning.len() as u64), 64);
            let signed = json!({"type": "signature_delta", "signature": signature});
            blocks.push((
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                thinking.chain([signed]).collect(),
            ));
        }
        if let Some(search) = &self.search {
            blocks.extend(search.blocks(&self.id));
        }
        if !self.answer.content.is_empty() {
            let source = self
                .search
                .iter()
                .map(|_| json!({"type": "citations_delta", "citation": Search::location()}));
            let texts = self
                .answer
                .content
                .iter()
                .map(|text| json!({"type": "text_delta", "text": text}));
            blocks.push((
                json!({"type": "text", "text": ""}),
                source.chain(texts).collect(),
            ));
        }
        for call in &self.answer.calls {
            let mut seed = u64::from_str_radix(&call.id, 16).unwrap_or_default();
            let id = format!("toolu_01{}", letters(&mut seed, 22));
            let pieces = std::iter::once("").chain(call.arguments.iter().map(String::as_str));
            let inputs =
                pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
            blocks.push((
                json!({"type": "tool_use", "id": id, "name": call.name, "input": {}}),
                inputs.collect(),
            ));
        }
        blocks
    }

    fn whole(&self) -> Value {
        let mut content = Vec::new();
        for (mut block, deltas) in self.blocks() {
            let all = |name: &str| -> String {
                deltas
                    .iter()
                    .filter_map(|delta| delta.get(name)?.as_str())
                    .collect()
            };
            match text_of(&block, "type") {
                "thinking" => {
                    block["thinking"] = all("thinking").into();
                    block["signature"] = all("signature").into();
                }
                "text" => {
                    block["text"] = all("text").into();
                    if self.search.is_some() {
                        block["citations"] = json!([Search::location()]);
                    }
                }
                "web_search_tool_result" => {}
                _ if block.get("input").is_some() => {
                    block["input"] = serde_json::from_str(&all("partial_json")).unwrap_or_default()
                }
                _ => {}
            }
            content.push(block);
        }
        let mut message = self.message();
        message["content"] = content.into();
        message["stop_reason"] = self.stop_reason().into();
        message["usage"]["output_tokens"] = self.answer.tokens().into();
        message
    }

    fn message(&self) -> Value {
        let mut usage = self.prompt_usage();
        let written = self.prompt.written;
        let (short, long) = match self.prompt.for_an_hour {
            true => (0, written),
            false => (written, 0),
        };
        usage["cache_creation"] =
            json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
        usage["output_tokens"] = 1.into();
        usage["service_tier"] = "standard".into();
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage,
        })
    }

    fn prompt_usage(&self) -> Value {
        let mut usage = json!({
            "input_tokens": self.prompt.plain,
            "cache_creation_input_tokens": self.prompt.written,
            "cache_read_input_tokens": self.prompt.read,
        });
        if self.search.is_some() {
            usage["server_tool_use"] = json!({"web_search_requests": 1, "web_fetch_requests": 0});
        }
        usage
    }

    fn stop_reason(&self) -> &'static str {
        match self.answer.finish {
            _ if self.turn.as_ref().is_some_and(|(_, pauses)| *pauses) => "pause_turn",
            Finish::Stop => "end_turn",
            Finish::StopSequence => "stop_sequence",
            Finish::Length => "max_tokens",
            Finish::ToolCalls => "tool_use",
        }
    }

    fn events(&self) -> EventsMut {
        let mut events = EventsMut::default();
        let mut push = |kind: &str, mut payload: Value| {
            payload["type"] = kind.into();
            events.push(&named_event(kind, &payload));
        };
        push("message_start", json!({"message": self.message()}));
        for (index, (block, deltas)) in self.blocks().into_iter().enumerate() {
            push(
                "content_block_start",
                json!({"index": index, "content_block": block}),
            );
            if index == 0 {
                push("ping", json!({}));
            }
            for delta in deltas {
                push(
                    "content_block_delta",
                    json!({"index": index, "delta": delta}),
                );
            }
            push("content_block_stop", json!({"index": index}));
        }
        let mut usage = self.prompt_usage();
        usage["output_tokens"] = self.answer.tokens().into();
        usage["output_tokens_details"] = json!({"thinking_tokens": self.answer.thought});
        push(
            "message_delta",
            json!({"delta": {"stop_reason": self.stop_reason(), "stop_sequence": null}, "usage": usage}),
        );
        push("message_stop", json!({}));
        events
    }
}
