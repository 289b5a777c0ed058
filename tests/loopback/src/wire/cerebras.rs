//! Cerebras: the OpenAI chat flavour, with a strict input schema, flat errors, and streams that end without a marker.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;

use super::{Call, Content, EventsMut, Reply, Wire};
use crate::answer::{self, Answer, Ask, Choice, Finish, Tool};
use crate::fault::split_mix;
use crate::script;

const MODELS: [&str; 4] = [
    "gpt-oss-120b",
    "qwen-3-235b-a22b-thinking-2507",
    "llama-3.3-70b",
    "zai-glm-4.6",
];

const PARAMETERS: [&str; 31] = [
    "clear_thinking",
    "disable_reasoning",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "min_completion_tokens",
    "min_tokens",
    "model",
    "model_parameters",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "reasoning_format",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

pub(crate) fn respond(call: &Call<'_>, path: &str) -> Reply {
    let request = call.request;
    let key = request
        .header("authorization")
        .map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    if key == Some("wrong")
        || call
            .state
            .api_key
            .as_deref()
            .is_some_and(|right| key != Some(right))
    {
        return error(401);
    }
    match (request.method.as_str(), path) {
        ("POST", "/v1/chat/completions") => chat(call),
        ("GET", "/v1/models") => {
            let models: Vec<String> = MODELS.iter().map(|id| model(id)).collect();
            json(format!(
                r#"{{"object":"list","data":[{}]}}"#,
                models.join(",")
            ))
        }
        ("GET", "/v1/tcp_warming") => json("{}".to_owned()),
        ("GET", path) => match path.strip_prefix("/v1/models/") {
            Some(id) if MODELS.contains(&id) => json(model(id)),
            Some(id) => no_model(id),
            None => error(404),
        },
        _ => error(404),
    }
}

fn json(body: String) -> Reply {
    let content = Content::Whole(body.into());
    Reply {
        wire: Wire::Cerebras,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn model(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"model","created":0,"owned_by":"Cerebras"}}"#)
}

/// What the service says with this status.
pub(crate) fn error(status: u16) -> Reply {
    let message = match status {
        401 => "The API key is not known here.",
        402 => "This account has nothing left to spend.",
        404 => "There is nothing at this place.",
        408 => "The request took too long to arrive.",
        429 => "This minute has had all the requests that it may have.",
        400..=499 => "The request cannot be served as it is.",
        503 => "There is too much traffic right now.",
        _ => "Something broke on the way to an answer.",
    };
    let mut reply = json(String::new());
    (reply.status, reply.content) = (status, Content::Whole(error_with(status, message)));
    reply
}

pub(crate) fn error_with(status: u16, message: &str) -> Bytes {
    let (kind, param, code) = match status {
        400 | 422 => (
            "invalid_request_error",
            "validation_error",
            "wrong_api_format",
        ),
        401 => ("authentication_error", "api_key", "wrong_api_key"),
        402 => ("payment_required_error", "quota", "payment_required"),
        404 => ("not_found_error", "path", "not_found"),
        429 => ("too_many_requests_error", "quota", "request_quota_exceeded"),
        503 => ("too_many_requests_error", "queue", "queue_exceeded"),
        400..=499 => ("invalid_request_error", "request", "refused"),
        _ => ("server_error", "server", "internal_error"),
    };
    flat(kind, param, code, message).into()
}

fn flat(kind: &str, param: &str, code: &str, message: &str) -> String {
    format!(
        r#"{{"message":{},"type":"{kind}","param":"{param}","code":"{code}"}}"#,
        quote(message)
    )
}

/// An error where an answer should be.
pub(crate) fn wrapped_error() -> String {
    let error = flat(
        "too_many_requests_error",
        "queue",
        "queue_exceeded",
        "There is too much traffic right now.",
    );
    format!(r#"{{"error":{error},"status_code":429}}"#)
}

fn no_model(id: &str) -> Reply {
    let message = format!("No model {id} is open to this key.");
    let mut reply = error(404);
    reply.content =
        Content::Whole(flat("not_found_error", "model", "model_not_found", &message).into());
    reply
}

fn bad(message: &str) -> Reply {
    let mut reply = error(400);
    reply.content = Content::Whole(error_with(400, message));
    reply
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn chat(call: &Call<'_>) -> Reply {
    let body = match &call.json {
        Ok(body) => body,
        Err(error) => return bad(&format!("body: not JSON: {error}")),
    };
    if let Err(message) = check(body) {
        return bad(&message);
    }
    if call.model.starts_with("missing") {
        return no_model(&call.model);
    }
    let ask = ask(call, body);
    let streaming = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let prepared = ask
        .load
        .filter(|_| plain(body))
        .map(|tokens| format!("cerebras {streaming} {tokens}"));
    // The id is part of what is prepared.
    let mut seed = if prepared.is_some() { 0 } else { call.number };
    let id = completion_id(&mut seed);
    let headers = headers(call, &id);
    let reply = |content, tokens: usize| Reply {
        wire: Wire::Cerebras,
        status: 200,
        content_type: if streaming {
            "text/event-stream; charset=utf-8"
        } else {
            "application/json"
        },
        headers,
        content,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    };
    if let Some(key) = &prepared {
        let loads = call
            .state
            .loads
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(content) = loads.get(key) {
            return reply(content.clone(), ask.load.unwrap_or_default());
        }
    }
    let n = body.get("n").and_then(Value::as_u64).unwrap_or(1) as usize;
    let raw = call.faults.think_tags || text_of(body, "reasoning_format") == "raw";
    let answers: Vec<Answer> = (0..n)
        .map(|choice| {
            let mut answer = Answer::new(&ask, choice, seed);
            match text_of(body, "reasoning_format") {
                "hidden" => answer.hide_reasoning(),
                _ if raw => answer.tag_reasoning(),
                _ => {}
            }
            answer
        })
        .collect();
    let tokens = answers.iter().map(Answer::tokens).max().unwrap_or_default();
    let frame = Frame {
        id,
        model: call.model.clone(),
        created: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
        logprobs: body
            .get("logprobs")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        alternatives: body
            .get("top_logprobs")
            .and_then(Value::as_u64)
            .unwrap_or(0) as usize,
        fragments: ask.reason || call.model.contains("oss"),
        pace: call.state.pace.each.as_secs_f64().max(0.0005),
    };
    let mut content = if streaming {
        Content::Stream(frame.events(&answers).freeze())
    } else {
        Content::Whole(frame.whole(&answers).into())
    };
    if let Some(key) = prepared {
        if let Content::Stream(events) = &mut content {
            let group = if call.state.pace.each.is_zero() {
                call.state.pace.coalesce.max(1)
            } else {
                1
            };
            events.chunked = Some(script::chunked(events, group, None, None, true));
        }
        let mut loads = call
            .state
            .loads
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // The models are named by clients: what is kept for them has a limit.
        if loads.len() < 64 {
            loads.insert(key, content.clone());
        }
    }
    reply(content, tokens)
}

/// Whether a load answer may be one that was made before.
fn plain(body: &Value) -> bool {
    let asks = [
        "n",
        "logprobs",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "response_format",
    ];
    asks.iter()
        .all(|name| body.get(name).is_none_or(Value::is_null))
}

fn completion_id(seed: &mut u64) -> String {
    let (a, b) = (split_mix(seed), split_mix(seed));
    let (c, d, e) = (a as u32, (a >> 32) as u16, (a >> 48) as u16 & 0xfff);
    format!(
        "chatcmpl-{c:08x}-{d:04x}-4{e:03x}-{:04x}-{:012x}",
        (b >> 48) & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}

fn headers(call: &Call<'_>, id: &str) -> Vec<(&'static str, String)> {
    let used = call.number % 100_000;
    vec![
        ("inference-id", id.to_owned()),
        ("x-ratelimit-limit-requests-day", "1440000".to_owned()),
        ("x-ratelimit-limit-tokens-minute", "1000000".to_owned()),
        (
            "x-ratelimit-remaining-requests-day",
            (1_439_999 - used).to_string(),
        ),
        (
            "x-ratelimit-remaining-tokens-minute",
            (999_500 - used).to_string(),
        ),
        (
            "x-ratelimit-reset-requests-day",
            format!("{}.481203079223633", 40_000 - used % 30_000),
        ),
        (
            "x-ratelimit-reset-tokens-minute",
            format!("{}.481203079223633", 59 - used % 50),
        ),
        (
            "x-request-id",
            format!("{:016x}-LOO", split_mix(&mut (call.number ^ 0x5eed))),
        ),
    ]
}

fn text_of<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The text of a message, also where it comes in parts.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// The strict part: what the service would refuse.
fn check(body: &Value) -> Result<(), String> {
    let Some(object) = body.as_object() else {
        return Err("body: must be an object".to_owned());
    };
    let mut wrong: Vec<String> = Vec::new();
    let unsupported = |path: String| format!("{path}: property '{path}' is unsupported");
    wrong.extend(
        object
            .keys()
            .filter(|key| !PARAMETERS.contains(&key.as_str()))
            .map(|key| unsupported(key.clone())),
    );
    if text_of(body, "model").is_empty() {
        wrong.push("model: must be a string".to_owned());
    }
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty());
    if messages.is_none() {
        wrong.push("messages: must be a list with at least one message".to_owned());
    }
    for (at, message) in messages.into_iter().flatten().enumerate() {
        let role = text_of(message, "role");
        let known: &[&str] = match role {
            "system" | "developer" | "user" => &["role", "content", "name"],
            "assistant" => &["role", "content", "reasoning", "tool_calls", "name"],
            "tool" => &["role", "content", "tool_call_id", "name"],
            _ => {
                wrong.push(format!(
                    "messages.{at}.role: must be one of system, developer, user, assistant, tool"
                ));
                continue;
            }
        };
        let keys = message
            .as_object()
            .into_iter()
            .flat_map(|message| message.keys());
        wrong.extend(
            keys.filter(|key| !known.contains(&key.as_str()))
                .map(|key| unsupported(format!("messages.{at}.{role}.{key}"))),
        );
        if role == "tool" && text_of(message, "tool_call_id").is_empty() {
            wrong.push(format!("messages.{at}.tool.tool_call_id: must be a string"));
        }
        if role != "assistant"
            && !matches!(
                message.get("content"),
                Some(Value::String(_) | Value::Array(_))
            )
        {
            wrong.push(format!(
                "messages.{at}.{role}.content: must be a string or a list of parts"
            ));
        }
    }
    let ranges = [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
        ("n", 1.0, 16.0),
        ("top_logprobs", 0.0, 20.0),
        ("max_tokens", 1.0, 1e9),
        ("max_completion_tokens", 1.0, 1e9),
    ];
    for (name, least, most) in ranges {
        let value = body.get(name).filter(|value| !value.is_null());
        if value.is_some_and(|value| {
            !value
                .as_f64()
                .is_some_and(|value| (least..=most).contains(&value))
        }) {
            wrong.push(format!("{name}: must be a number from {least} to {most}"));
        }
    }
    for name in [
        "stream",
        "logprobs",
        "parallel_tool_calls",
        "disable_reasoning",
        "clear_thinking",
    ] {
        if body
            .get(name)
            .is_some_and(|value| !value.is_null() && !value.is_boolean())
        {
            wrong.push(format!("{name}: must be true or false"));
        }
    }
    let logprobs = body
        .get("logprobs")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if body
        .get("top_logprobs")
        .is_some_and(|value| !value.is_null())
        && !logprobs
    {
        wrong.push("top_logprobs: needs logprobs".to_owned());
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn ask(call: &Call<'_>, body: &Value) -> Ask {
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user");
    let function = |tool: &Value| {
        let function = tool.get("function")?;
        let schema = function.get("parameters").cloned().unwrap_or_default();
        Some(Tool {
            name: function.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let format = body.get("response_format");
    let schema = match format.map(|format| text_of(format, "type")) {
        Some("json_object") => {
            Some(serde_json::json!({"properties": {"answer": {"type": "string"}}}))
        }
        Some("json_schema") => {
            format.and_then(|format| format.pointer("/json_schema/schema").cloned())
        }
        _ => None,
    };
    let off = text_of(body, "reasoning_effort") == "none"
        || body.get("disable_reasoning").and_then(Value::as_bool) == Some(true);
    let thinks = ["oss", "think", "glm"]
        .iter()
        .any(|part| call.model.contains(part));
    let load = call
        .model
        .strip_prefix("load-")
        .and_then(|tokens| tokens.parse::<usize>().ok())
        .map(|tokens| tokens.min(100_000));
    Ask {
        prompt: last_user.map(text).unwrap_or_default(),
        prompt_tokens: messages
            .iter()
            .map(|message| 4 + answer::count(&text(message)))
            .sum::<usize>()
            + 2,
        tool_result: messages
            .last()
            .filter(|message| text_of(message, "role") == "tool")
            .map(text),
        tools: body
            .get("tools")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(function)
            .collect(),
        choice: match body.get("tool_choice") {
            Some(Value::String(choice)) if choice == "none" => Choice::None,
            Some(Value::String(choice)) if choice == "required" => Choice::Required,
            Some(choice) => choice
                .pointer("/function/name")
                .and_then(Value::as_str)
                .map_or(Choice::Auto, |name| Choice::Named(name.into())),
            None => Choice::Auto,
        },
        one_call: body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false),
        schema,
        reason: (thinks || call.faults.think_tags) && !off && load.is_none(),
        max_tokens: ["max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|name| body.get(name)?.as_u64())
            .map(|n| n as usize),
        stop: match body.get("stop") {
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(Value::Array(stops)) => stops
                .iter()
                .filter_map(|stop| Some(stop.as_str()?.to_owned()))
                .collect(),
            _ => Vec::new(),
        },
        load,
    }
}

/// What all objects of a response have in common.
struct Frame {
    id: String,
    model: String,
    created: f64,
    logprobs: bool,
    alternatives: usize,
    /// Tool arguments come token by token.
    fragments: bool,
    pace: f64,
}

impl Frame {
    fn whole(&self, answers: &[Answer]) -> String {
        let choices: Vec<String> = answers
            .iter()
            .enumerate()
            .map(|(index, answer)| self.choice(index, answer))
            .collect();
        format!(
            r#"{{"id":"{}","choices":[{}],"created":{},"model":{},"system_fingerprint":"fp_100b0c0ffee000000001","object":"chat.completion",{}}}"#,
            self.id,
            choices.join(","),
            self.created as u64,
            quote(&self.model),
            self.usage(answers),
        )
    }

    fn choice(&self, index: usize, answer: &Answer) -> String {
        let mut message = String::new();
        if !answer.content.is_empty() {
            let _ = write!(message, r#""content":{},"#, quote(&answer.content.concat()));
        }
        if !answer.reasoning.is_empty() {
            let _ = write!(
                message,
                r#""reasoning":{},"#,
                quote(&answer.reasoning.concat())
            );
        }
        message.push_str(r#""role":"assistant""#);
        if !answer.calls.is_empty() {
            let calls: Vec<String> = answer
                .calls
                .iter()
                .map(|call| {
                    let arguments = quote(&call.arguments.concat());
                    format!(r#"{{"function":{{"arguments":{arguments},"name":{}}},"id":"{}","type":"function"}}"#, quote(&call.name), call.id)
                })
                .collect();
            let _ = write!(message, r#","tool_calls":[{}]"#, calls.join(","));
        }
        let mut logprobs = String::new();
        if self.logprobs {
            let _ = write!(
                logprobs,
                r#","logprobs":{}"#,
                self.logprobs(&answer.content)
            );
            if !answer.reasoning.is_empty() {
                let _ = write!(
                    logprobs,
                    r#","reasoning_logprobs":{}"#,
                    self.logprobs(&answer.reasoning)
                );
            }
        }
        format!(
            r#"{{"finish_reason":"{}","index":{index},"message":{{{message}}}{logprobs}}}"#,
            finish(answer.finish)
        )
    }

    fn logprobs(&self, tokens: &[String]) -> String {
        let one = |token: &str, rank: usize| {
            let logprob = -0.015_625 * (1 + rank * 64 + token.len() % 7) as f64;
            format!(
                r#""token":{},"logprob":{logprob},"bytes":{:?}"#,
                quote(token),
                token.as_bytes()
            )
        };
        let content: Vec<String> = tokens
            .iter()
            .map(|token| {
                let top: Vec<String> = (0..self.alternatives)
                    .map(|rank| match rank {
                        0 => format!("{{{}}}", one(token, 0)),
                        rank => format!("{{{}}}", one(&format!("{token}{rank}"), rank)),
                    })
                    .collect();
                format!(
                    r#"{{{},"top_logprobs":[{}]}}"#,
                    one(token, 0),
                    top.join(",")
                )
            })
            .collect();
        format!(r#"{{"content":[{}]}}"#, content.join(","))
    }

    fn usage(&self, answers: &[Answer]) -> String {
        let prompt = answers.first().map_or(0, |answer| answer.prompt_tokens);
        let completion: usize = answers.iter().map(Answer::tokens).sum();
        let reasoning: usize = answers.iter().map(|answer| answer.thought).sum();
        let (spent, read) = (self.pace * completion as f64, 0.000_031 * prompt as f64);
        format!(
            concat!(
                r#""usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0}},"#,
                r#""completion_tokens_details":{{"accepted_prediction_tokens":0,"rejected_prediction_tokens":0,"reasoning_tokens":{}}}}},"#,
                r#""time_info":{{"queue_time":8.4203e-05,"prompt_time":{},"completion_time":{},"total_time":{},"created":{:.6}}}"#,
            ),
            prompt,
            completion,
            prompt + completion,
            reasoning,
            read,
            spent,
            read + spent + 0.001,
            self.created,
        )
    }

    fn events(&self, answers: &[Answer]) -> EventsMut {
        let mut events = EventsMut::default();
        let mut deltas: Vec<_> = answers
            .iter()
            .map(|answer| self.deltas(answer).into_iter())
            .collect();
        let mut open = deltas.len();
        // Several choices take turns, as their tokens do on the service.
        while open > 0 {
            open = 0;
            for (index, deltas) in deltas.iter_mut().enumerate() {
                if let Some(delta) = deltas.next() {
                    open += 1;
                    self.event(&mut events, &format!(r#"{delta},"index":{index}"#), "");
                }
            }
        }
        let last = answers.len().saturating_sub(1);
        for (index, answer) in answers.iter().enumerate() {
            let usage = if index == last {
                format!(",{}", self.usage(answers))
            } else {
                String::new()
            };
            let end = format!(
                r#""delta":{{}},"finish_reason":"{}","index":{index}"#,
                finish(answer.finish)
            );
            self.event(&mut events, &end, &usage);
        }
        events
    }

    fn event(&self, events: &mut EventsMut, choice: &str, usage: &str) {
        let event = format!(
            concat!(
                r#"data: {{"id":"{}","choices":[{{{}}}],"created":{},"model":{},"#,
                r#""system_fingerprint":"fp_100b0c0ffee000000001","object":"chat.completion.chunk"{}}}"#,
                "\n\n",
            ),
            self.id,
            choice,
            self.created as u64,
            quote(&self.model),
            usage,
        );
        events.push(event.as_bytes());
    }

    fn deltas(&self, answer: &Answer) -> Vec<String> {
        let piece = |name: &str, piece: &String| {
            let mut delta = format!(r#""delta":{{"{name}":{}}}"#, quote(piece));
            if self.logprobs {
                let key = if name == "reasoning" {
                    "reasoning_logprobs"
                } else {
                    "logprobs"
                };
                let _ = write!(
                    delta,
                    r#","{key}":{}"#,
                    self.logprobs(std::slice::from_ref(piece))
                );
            }
            delta
        };
        let mut deltas = vec![r#""delta":{"role":"assistant"}"#.to_owned()];
        deltas.extend(answer.reasoning.iter().map(|text| piece("reasoning", text)));
        deltas.extend(answer.content.iter().map(|text| piece("content", text)));
        for (index, call) in answer.calls.iter().enumerate() {
            let all = call.arguments.concat();
            let opening = if self.fragments { "" } else { &all };
            deltas.push(format!(
                r#""delta":{{"tool_calls":[{{"function":{{"arguments":{},"name":{}}},"type":"function","id":"{}","index":{index}}}]}}"#,
                quote(opening), quote(&call.name), call.id,
            ));
            for piece in call.arguments.iter().filter(|_| self.fragments) {
                let piece = quote(piece);
                deltas.push(format!(r#""delta":{{"tool_calls":[{{"function":{{"arguments":{piece}}},"type":"function","index":{index}}}]}}"#));
            }
        }
        deltas
    }
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}
