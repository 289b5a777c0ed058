//! OpenAI chat as most compatible services implement it: null fields, wrapped errors, `[DONE]`. Under the name of a
//! deployment it is Azure's: the content filter's result first, and `api-version` is required.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::embed::{self, Shape};
use super::{Call, Content, EventsMut, Protocol, Reply, cerebras, is_true, letters, list, schema};
use crate::response::{Finish, ModelResponse};

const MODELS: [&str; 2] = ["gpt-loopback", "gpt-oss-loopback"];

/// The protocol.
pub(crate) struct OpenAi;

impl Protocol for OpenAi {
    /// The deployment names the model.
    fn model(&self, path: &str, json: Option<&Value>) -> Option<String> {
        match deployment(path) {
            Some((name, _)) => Some(name.to_owned()),
            None => Some(json?.get("model")?.as_str()?.to_owned()),
        }
    }

    fn respond(&self, call: &Call<'_>) -> Reply {
        let mut reply = operate(call);
        reply.headers.push((
            "x-request-id",
            format!("req_{}", letters(&mut call.number.clone(), 32)),
        ));
        reply
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        Reply {
            status,
            ..whole(&error_object(status, code, message))
        }
    }

    fn overflow(&self) -> Reply {
        let message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.";
        self.error(400, Some("context_length_exceeded"), Some(message))
    }

    fn error_in_200(&self) -> String {
        error_object(429, None, None).to_string()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        format!("data: {}\n\n", error_object(500, code, None)).into_bytes()
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn whole(body: &Value) -> Reply {
    let content = Content::Whole(body.to_string().into());
    Reply {
        wire: &OpenAi,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

/// The service's error with this status.
pub(crate) fn error_object(status: u16, code: Option<&str>, message: Option<&str>) -> Value {
    let (kind, usual_code, usual) = match status {
        401 => (
            "invalid_request_error",
            Some("invalid_api_key"),
            "The API key is not known here.",
        ),
        403 => ("permission_error", None, "This key may not do that."),
        404 => (
            "invalid_request_error",
            None,
            "There is nothing at this place.",
        ),
        429 => (
            "requests",
            Some("rate_limit_exceeded"),
            "This minute has had all the requests that it may have.",
        ),
        400..=499 => (
            "invalid_request_error",
            None,
            "The request cannot be served as it is.",
        ),
        _ => (
            "server_error",
            None,
            "Something broke on the way to an answer.",
        ),
    };
    json!({"error": {"message": message.unwrap_or(usual), "type": kind, "param": null, "code": code.or(usual_code)}})
}

/// The remaining rate limits, with durations in this service's format.
pub(crate) fn limits() -> Vec<(&'static str, String)> {
    vec![
        ("openai-processing-ms", "12".to_owned()),
        ("x-ratelimit-limit-requests", "5000".to_owned()),
        ("x-ratelimit-limit-tokens", "800000".to_owned()),
        ("x-ratelimit-remaining-requests", "4999".to_owned()),
        ("x-ratelimit-remaining-tokens", "799631".to_owned()),
        ("x-ratelimit-reset-requests", "12ms".to_owned()),
        ("x-ratelimit-reset-tokens", "6m0s".to_owned()),
    ]
}

fn operate(call: &Call<'_>) -> Reply {
    let azure = deployment(call.path);
    let key_header = if azure.is_some() {
        "api-key"
    } else {
        "authorization"
    };
    if !call.key_is_right(key_header) {
        return OpenAi.error(401, None, None);
    }
    if azure.is_some() && !call.request.path.contains("?api-version=") {
        return OpenAi.error(404, Some("404"), Some("Resource not found"));
    }
    let operation = azure.map_or_else(
        || call.path.strip_prefix("/openai/v1").unwrap_or(call.path),
        |(_, operation)| operation,
    );
    let model = |id: &&str| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "loopback"});
    match (call.request.method.as_str(), operation) {
        ("POST", "/chat/completions") => chat(call),
        ("POST", "/embeddings") => match &call.json {
            Ok(body) => match embed::answer(Shape::OpenAi, &call.model, body) {
                Ok(answer) => whole(&answer),
                Err(wrong) => OpenAi.error(400, None, Some(&wrong)),
            },
            Err(_) => OpenAi.error(400, None, None),
        },
        ("GET", "/models") if azure.is_none() => {
            whole(&json!({"object": "list", "data": MODELS.iter().map(model).collect::<Vec<_>>()}))
        }
        ("GET", path) if azure.is_none() => {
            let asked = path.strip_prefix("/models/");
            match MODELS.iter().find(|id| Some(**id) == asked) {
                Some(id) => whole(&model(id)),
                None => OpenAi.error(404, Some("model_not_found"), None),
            }
        }
        _ => OpenAi.error(404, None, None),
    }
}

/// The deployment in an Azure path, and the operation after it.
fn deployment(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/openai/deployments/")?;
    Some(rest.split_at(rest.find('/')?))
}

fn chat(call: &Call<'_>) -> Reply {
    let body = match &call.json {
        Ok(body) => body,
        Err(error) => {
            return OpenAi.error(400, None, Some(&format!("The body is not JSON: {error}")));
        }
    };
    if call.model.is_empty() || list(body, "messages").is_empty() {
        return OpenAi.error(
            400,
            Some("missing_required_parameter"),
            Some("A model and messages are needed."),
        );
    }
    if let Some(wrong) = schema::refused_in(call.service.unwrap_or("openai"), body) {
        return OpenAi.error(400, Some("invalid_json_schema"), Some(&wrong));
    }
    if call.model.starts_with("missing") {
        return OpenAi.error(
            404,
            Some("model_not_found"),
            Some("There is no such model for this key."),
        );
    }
    let ask = cerebras::ask(call, body);
    let streaming = is_true(body, "stream");
    let load = ask.load.filter(|_| {
        ask.max_tokens.is_none()
            && body.get("tools").is_none()
            && body.get("stream_options").is_none()
    });
    let mut tokens = load.unwrap_or_default();
    let is_azure = deployment(call.path).is_some();
    let wire = if is_azure { "azure" } else { "openai" };
    let content = call.prepared(wire, streaming, load, || {
        let n = body
            .get("n")
            .and_then(Value::as_u64)
            .unwrap_or(1)
            .clamp(1, 16) as usize;
        let answers: Vec<ModelResponse> = (0..n)
            .map(|choice| {
                let mut answer = ModelResponse::new(&ask, choice, call.number);
                if call.faults.think_tags {
                    answer.tag_reasoning();
                }
                answer
            })
            .collect();
        tokens = answers
            .iter()
            .map(ModelResponse::tokens)
            .max()
            .unwrap_or_default();
        let chat = Chat {
            answers: &answers,
            model: &call.model,
            id: format!("chatcmpl-{}", letters(&mut call.number.clone(), 29)),
            is_azure,
        };
        let usage = body
            .pointer("/stream_options/include_usage")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if streaming {
            Content::Stream(chat.events(usage).freeze())
        } else {
            Content::Whole(chat.whole().to_string().into())
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

struct Chat<'a> {
    answers: &'a [ModelResponse],
    model: &'a str,
    id: String,
    is_azure: bool,
}

impl Chat<'_> {
    fn object(&self, object: &str, choices: Vec<Value>) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        json!({
            "id": self.id, "object": object, "created": now, "model": self.model, "choices": choices, "usage": null,
            "service_tier": "default", "system_fingerprint": "fp_loopback",
        })
    }

    fn usage(&self) -> Value {
        let prompt = self
            .answers
            .first()
            .map_or(0, |answer| answer.prompt_tokens);
        let said: usize = self.answers.iter().map(ModelResponse::tokens).sum();
        let thought: usize = self.answers.iter().map(|answer| answer.thought).sum();
        json!({
            "prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        })
    }

    fn whole(&self) -> Value {
        let choice = |(index, answer): (usize, &ModelResponse)| {
            let content = if answer.content.is_empty() {
                Value::Null
            } else {
                answer.content.concat().into()
            };
            let mut message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
            if !answer.reasoning.is_empty() {
                message["reasoning_content"] = answer.reasoning.concat().into();
            }
            if !answer.calls.is_empty() {
                let call = |call: &crate::response::Call| {
                    let function = json!({"name": call.name, "arguments": call.arguments.concat()});
                    json!({"id": format!("call_{}", call.id), "type": "function", "function": function})
                };
                message["tool_calls"] = answer.calls.iter().map(call).collect();
            }
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(answer.finish)})
        };
        let mut object = self.object(
            "chat.completion",
            self.answers.iter().enumerate().map(choice).collect(),
        );
        object["usage"] = self.usage();
        object
    }

    fn events(&self, usage: bool) -> EventsMut {
        let mut events = EventsMut::default();
        if self.is_azure {
            let verdict = json!([{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}]);
            let preamble = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": verdict});
            events.push(format!("data: {preamble}\n\n").as_bytes());
        }
        let mut push = |choices: Vec<Value>, usage: Value| {
            let mut chunk = self.object("chat.completion.chunk", choices);
            chunk["usage"] = usage;
            events.push(format!("data: {chunk}\n\n").as_bytes());
        };
        let choice = |index: usize, delta: Value, finish: Value| {
            vec![json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish})]
        };
        let mut deltas: Vec<_> = self
            .answers
            .iter()
            .map(|answer| deltas(answer).into_iter())
            .collect();
        let mut open = true;
        while open {
            open = false;
            for (index, deltas) in deltas.iter_mut().enumerate() {
                if let Some(delta) = deltas.next() {
                    open = true;
                    push(choice(index, delta, Value::Null), Value::Null);
                }
            }
        }
        for (index, answer) in self.answers.iter().enumerate() {
            push(
                choice(index, json!({}), finish(answer.finish).into()),
                Value::Null,
            );
        }
        if usage {
            push(Vec::new(), self.usage());
        }
        events.push(b"data: [DONE]\n\n");
        events
    }
}

fn deltas(answer: &ModelResponse) -> Vec<Value> {
    let content = if answer.content.is_empty() {
        Value::Null
    } else {
        "".into()
    };
    let mut deltas = vec![json!({"role": "assistant", "content": content, "refusal": null})];
    deltas.extend(
        answer
            .reasoning
            .iter()
            .map(|text| json!({"reasoning_content": text})),
    );
    deltas.extend(answer.content.iter().map(|text| json!({"content": text})));
    for (index, call) in answer.calls.iter().enumerate() {
        let function = json!({"name": call.name, "arguments": ""});
        let opening = json!({"index": index, "id": format!("call_{}", call.id), "type": "function", "function": function});
        deltas.push(json!({"tool_calls": [opening]}));
        let fragments = call
            .arguments
            .iter()
            .map(|text| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}));
        deltas.extend(fragments);
    }
    deltas
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}
