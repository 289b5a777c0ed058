//! Cerebras: the OpenAI chat flavour, with a strict input schema, flat errors, and streams that end without a marker.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{
    Call, Content, EventsMut, Reply, Wire, is_true, list, quote, strings, text, text_of, uuid,
};
use crate::answer::{self, Answer, Ask, Choice, Finish, Tool};
use crate::fault::split_mix;

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

/// The wire itself.
pub(crate) struct Cerebras;

impl Wire for Cerebras {
    fn respond(&self, call: &Call<'_>) -> Reply {
        if !call.key_is_right("authorization") {
            return self.error(401, None, None);
        }
        match (call.request.method.as_str(), call.path) {
            ("POST", "/v1/chat/completions") => chat(call),
            ("GET", "/v1/models") => {
                let models: Vec<String> = MODELS.iter().map(|id| model(id)).collect();
                reply(
                    200,
                    format!(r#"{{"object":"list","data":[{}]}}"#, models.join(",")),
                )
            }
            ("GET", "/v1/tcp_warming") => reply(200, "{}".to_owned()),
            ("GET", path) => match path.strip_prefix("/v1/models/") {
                Some(id) if MODELS.contains(&id) => reply(200, model(id)),
                Some(id) => no_model(id),
                None => self.error(404, None, None),
            },
            _ => self.error(404, None, None),
        }
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let usual = match status {
            401 => "The API key is not known here.",
            402 => "This account has nothing left to spend.",
            404 => "There is nothing at this place.",
            408 => "The request took too long to arrive.",
            429 => "This minute has had all the requests that it may have.",
            400..=499 => "The request cannot be served as it is.",
            503 => "There is too much traffic right now.",
            _ => "Something broke on the way to an answer.",
        };
        let (kind, param, usual_code) = match status {
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
        reply(
            status,
            flat(
                kind,
                param,
                code.unwrap_or(usual_code),
                message.unwrap_or(usual),
            ),
        )
    }

    fn overflow(&self) -> Reply {
        let message = "Please reduce the length of the messages or completion. Current length is 140123 while limit is 131072";
        reply(
            400,
            flat(
                "invalid_request_error",
                "messages",
                "context_length_exceeded",
                message,
            ),
        )
    }

    fn error_in_200(&self) -> String {
        wrapped("queue_exceeded")
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        format!("data: {}\n\n", wrapped(code.unwrap_or("queue_exceeded"))).into_bytes()
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn reply(status: u16, body: String) -> Reply {
    let content = Content::Whole(body.into());
    Reply {
        wire: &Cerebras,
        status,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn model(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"model","created":0,"owned_by":"Cerebras"}}"#)
}

fn flat(kind: &str, param: &str, code: &str, message: &str) -> String {
    format!(
        r#"{{"message":{},"type":"{kind}","param":"{param}","code":{}}}"#,
        quote(message),
        quote(code)
    )
}

fn wrapped(code: &str) -> String {
    let error = flat(
        "too_many_requests_error",
        "queue",
        code,
        "There is too much traffic right now.",
    );
    format!(r#"{{"error":{error},"status_code":429}}"#)
}

fn no_model(id: &str) -> Reply {
    let message = format!("No model {id} is open to this key.");
    reply(
        404,
        flat("not_found_error", "model", "model_not_found", &message),
    )
}

fn bad(message: &str) -> Reply {
    Cerebras.error(400, None, Some(message))
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
    let streaming = is_true(body, "stream");
    let load = ask.load.filter(|_| plain(body));
    // The id is a part of what is prepared.
    let mut seed = if load.is_some() { 0 } else { call.number };
    let id = format!("chatcmpl-{}", uuid(&mut seed));
    let headers = headers(call, &id);
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("cerebras", streaming, load, || {
        let n = body.get("n").and_then(Value::as_u64).unwrap_or(1) as usize;
        let format = text_of(body, "reasoning_format");
        let answers: Vec<Answer> = (0..n)
            .map(|choice| {
                let mut answer = Answer::new(&ask, choice, seed);
                if format == "hidden" {
                    answer.hide_reasoning();
                } else if format == "raw" || call.faults.think_tags {
                    answer.tag_reasoning();
                }
                answer
            })
            .collect();
        tokens = answers.iter().map(Answer::tokens).max().unwrap_or_default();
        let frame = Frame {
            id,
            model: call.model.clone(),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
            logprobs: is_true(body, "logprobs"),
            alternatives: body
                .get("top_logprobs")
                .and_then(Value::as_u64)
                .unwrap_or(0) as usize,
            fragments: call.model.contains("oss"),
            pace: call.state.pace.each.as_secs_f64().max(0.0005),
        };
        if streaming {
            Content::Stream(frame.events(&answers).freeze())
        } else {
            Content::Whole(frame.whole(&answers).into())
        }
    });
    Reply {
        wire: &Cerebras,
        status: 200,
        content_type: if streaming {
            "text/event-stream; charset=utf-8"
        } else {
            "application/json"
        },
        headers,
        content,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    }
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

/// What a request in the words of OpenAI chat asks for.
pub(crate) fn ask(call: &Call<'_>, body: &Value) -> Ask {
    let messages = list(body, "messages");
    let content = |message: &Value| text(message.get("content"));
    let last_user = messages
        .iter()
        .rev()
        .find(|message| text_of(message, "role") == "user");
    let last_tool = messages
        .last()
        .filter(|message| text_of(message, "role") == "tool");
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
    let off = text_of(body, "reasoning_effort") == "none" || is_true(body, "disable_reasoning");
    let load = call.load();
    let limit = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(name)?.as_u64());
    Ask {
        prompt: last_user.map(content).unwrap_or_default(),
        prompt_tokens: messages
            .iter()
            .map(|message| 4 + answer::count(&content(message)))
            .sum::<usize>()
            + 2,
        tool_result: last_tool.map(content),
        tools: list(body, "tools").iter().filter_map(function).collect(),
        choice: match body.get("tool_choice") {
            Some(Value::String(choice)) if choice == "none" => Choice::None,
            Some(Value::String(choice)) if choice == "required" => Choice::Required,
            choice => match choice.and_then(|choice| choice.pointer("/function/name")?.as_str()) {
                Some(name) => Choice::Named(name.to_owned()),
                None => Choice::Auto,
            },
        },
        one_call: body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false),
        schema,
        reason: call.thinks() && !off && load.is_none(),
        max_tokens: limit.map(|n| n as usize),
        stop: strings(body.get("stop")),
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
