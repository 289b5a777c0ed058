//! Ollama's own API: JSON lines, arguments as objects, times in nanoseconds.

use serde_json::{Value, json};

use super::embed::{self, Shape};
use super::{Call, Content, EventsMut, Protocol, Reply, cerebras, list, schema, strings};
use crate::response::{Finish, ModelRequest, ModelResponse};

const MODEL: &str = "loopback:latest";
const MADE: &str = "2026-01-01T00:00:00.000000001Z";

/// The protocol.
pub(crate) struct Ollama;

impl Protocol for Ollama {
    fn respond(&self, call: &Call<'_>) -> Reply {
        if !call.key_is_right("authorization") {
            return self.error(401, None, None);
        }
        match (call.request.method.as_str(), call.path) {
            ("POST", "/api/chat") => chat(call),
            ("POST", "/api/embed") => match &call.json {
                Ok(body) => match embed::answer(Shape::Ollama, &call.model, body) {
                    Ok(answer) => whole(&answer),
                    Err(wrong) => self.error(400, None, Some(&wrong)),
                },
                Err(_) => self.error(400, None, None),
            },
            ("GET", "/api/tags") => {
                let details =
                    json!({"family": "loopback", "format": "gguf", "parameter_size": "0B"});
                let model = json!({"name": MODEL, "model": MODEL, "modified_at": MADE, "size": 1, "digest": "00", "details": details});
                whole(&json!({"models": [model]}))
            }
            _ => self.error(404, None, Some("404 page not found")),
        }
    }

    fn error(&self, status: u16, _: Option<&str>, message: Option<&str>) -> Reply {
        let usual = match status {
            401 => "unauthorized",
            404 => "model not found",
            429 => "too many requests",
            503 => "server busy, please try again.  maximum pending requests exceeded",
            400..=499 => "the request cannot be served as it is",
            _ => "something broke on the way to an answer",
        };
        Reply {
            status,
            ..whole(&json!({"error": message.unwrap_or(usual)}))
        }
    }

    fn overflow(&self) -> Reply {
        self.error(
            400,
            None,
            Some("prompt too long; exceeded max context length by 12 tokens"),
        )
    }

    fn error_in_200(&self) -> String {
        json!({"error": "something broke on the way to an answer"}).to_string()
    }

    fn error_event(&self, _: Option<&str>, _: bool) -> Vec<u8> {
        [self.error_in_200().as_bytes(), b"\n"].concat()
    }

    fn filler(&self) -> Vec<u8> {
        b"\n".to_vec()
    }

    fn half(&self, event: &[u8]) -> Vec<u8> {
        [&event[..event.len() / 2], b"\n"].concat()
    }

    fn endless(&self) -> Vec<u8> {
        b"{\"model\":\"".to_vec()
    }
}

fn whole(body: &Value) -> Reply {
    Reply {
        wire: &Ollama,
        status: 200,
        content_type: "application/json; charset=utf-8",
        headers: Vec::new(),
        content: Content::Whole(body.to_string().into()),
        tokens: 0,
    }
}

fn chat(call: &Call<'_>) -> Reply {
    let Ok(body) = &call.json else {
        return Ollama.error(400, None, Some("the body is not JSON"));
    };
    if call.model.is_empty() {
        return Ollama.error(400, None, Some("model is required"));
    }
    if let Some(wrong) = schema::refused_in("ollama", body) {
        return Ollama.error(400, None, Some(&wrong));
    }
    if call.model.starts_with("missing") {
        return Ollama.error(
            404,
            None,
            Some(&format!("model '{}' not found", call.model)),
        );
    }
    let ask = ask(call, body);
    // The default is true.
    let streaming = body.get("stream").and_then(Value::as_bool).unwrap_or(true);
    let load = ask
        .load
        .filter(|_| ask.max_tokens.is_none() && body.get("tools").is_none());
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("ollama", streaming, load, || {
        let answer = ModelResponse::new(&ask, 0, call.number);
        tokens = answer.tokens();
        match streaming {
            true => Content::Stream(events(&answer, &call.model).freeze()),
            false => {
                let mut message = json!({"role": "assistant", "content": answer.content.concat()});
                if !answer.reasoning.is_empty() {
                    message["thinking"] = answer.reasoning.concat().into();
                }
                if !answer.calls.is_empty() {
                    message["tool_calls"] = calls(&answer);
                }
                Content::Whole(last(&answer, &call.model, message).to_string().into())
            }
        }
    });
    let content_type = if streaming {
        "application/x-ndjson"
    } else {
        "application/json; charset=utf-8"
    };
    Reply {
        content_type,
        content,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
        ..whole(&Value::Null)
    }
}

fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let ask = cerebras::ask(call, body);
    let off = body.get("think") == Some(&Value::Bool(false));
    ModelRequest {
        schema: match body.get("format") {
            Some(Value::String(_)) => Some(json!({"properties": {"answer": {"type": "string"}}})),
            schema => schema.cloned(),
        },
        reason: ask.reason && !off,
        max_tokens: body
            .pointer("/options/num_predict")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        stop: strings(body.pointer("/options/stop")),
        prompt_tokens: ask.prompt_tokens + list(body, "tools").len(),
        ..ask
    }
}

fn events(answer: &ModelResponse, model: &str) -> EventsMut {
    let mut events = EventsMut::default();
    let mut push = |line: Value| events.push(format!("{line}\n").as_bytes());
    let line = |message: Value| json!({"model": model, "created_at": MADE, "message": message, "done": false});
    for piece in &answer.reasoning {
        push(line(
            json!({"role": "assistant", "content": "", "thinking": piece}),
        ));
    }
    for piece in &answer.content {
        push(line(json!({"role": "assistant", "content": piece})));
    }
    if !answer.calls.is_empty() {
        push(line(
            json!({"role": "assistant", "content": "", "tool_calls": calls(answer)}),
        ));
    }
    push(last(
        answer,
        model,
        json!({"role": "assistant", "content": ""}),
    ));
    events
}

/// The reason is `stop` even for tool calls.
fn last(answer: &ModelResponse, model: &str, message: Value) -> Value {
    let reason = if answer.finish == Finish::Length {
        "length"
    } else {
        "stop"
    };
    json!({
        "model": model, "created_at": MADE, "message": message, "done": true, "done_reason": reason,
        "total_duration": 25_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": answer.prompt_tokens, "prompt_eval_duration": 4_000_000,
        "eval_count": answer.tokens(), "eval_duration": 20_000_000,
    })
}

fn calls(answer: &ModelResponse) -> Value {
    let call = |(index, call): (usize, &crate::response::Call)| {
        let arguments: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
        json!({"id": format!("call_{}", call.id), "function": {"index": index, "name": call.name, "arguments": arguments}})
    };
    answer.calls.iter().enumerate().map(call).collect()
}
