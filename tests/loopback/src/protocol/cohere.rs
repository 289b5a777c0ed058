//! Cohere v2: named events with message deltas, a plan before the calls, `[DONE]`.

use serde_json::{Value, json};

use super::embed::{self, Shape};
use super::{
    Call, Content, EventsMut, Protocol, Reply, cerebras, is_true, list, named_event, schema,
    strings, text_of, uuid,
};
use crate::response::{Choice, Finish, ModelRequest, ModelResponse};

const MODEL: &str = "command-loopback";

/// The protocol.
pub(crate) struct Cohere;

impl Protocol for Cohere {
    fn respond(&self, call: &Call<'_>) -> Reply {
        let mut reply = operate(call);
        let id = uuid(&mut call.number.clone());
        reply.headers.extend([
            ("x-debug-trace-id", id.replace('-', "")),
            ("x-trial-endpoint-call-limit", "20".to_owned()),
            ("x-trial-endpoint-call-remaining", "19".to_owned()),
            ("x-envoy-upstream-service-time", "12".to_owned()),
        ]);
        reply
    }

    fn error(&self, status: u16, _: Option<&str>, message: Option<&str>) -> Reply {
        let usual = match status {
            401 => "invalid api token",
            404 => {
                "model not found, make sure the correct model ID was used and that you have access to the model."
            }
            429 => "You are past the per minute request limit, please wait and try again later.",
            400..=499 => "invalid request: the request cannot be served as it is",
            _ => "internal server error, this has been reported to our developers",
        };
        Reply {
            status,
            ..whole(&error_object(message.unwrap_or(usual)))
        }
    }

    fn overflow(&self) -> Reply {
        self.error(400, None, Some("too many tokens: total number of tokens in the prompt cannot exceed 256000 - received 300000."))
    }

    fn error_in_200(&self) -> String {
        error_object("internal server error, this has been reported to our developers").to_string()
    }

    /// There is no error event: the last event of a message reports the error.
    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        let delta = json!({"finish_reason": code.unwrap_or("ERROR"), "error": "something broke on the way to an answer"});
        named_event(
            "message-end",
            &json!({"type": "message-end", "delta": delta}),
        )
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn whole(body: &Value) -> Reply {
    Reply {
        wire: &Cohere,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content: Content::Whole(body.to_string().into()),
        tokens: 0,
    }
}

fn error_object(message: &str) -> Value {
    json!({"id": "00000000-0000-4000-8000-000000000000", "message": message})
}

fn operate(call: &Call<'_>) -> Reply {
    if !call.key_is_right("authorization") {
        return Cohere.error(401, None, None);
    }
    let model = json!({"name": MODEL, "endpoints": ["chat"], "context_length": 256_000, "features": ["tools"]});
    match (call.request.method.as_str(), call.path) {
        ("POST", "/v2/chat") => chat(call),
        ("POST", "/v2/embed") => match &call.json {
            Ok(body) => match embed::answer(Shape::Cohere, &call.model, body) {
                Ok(answer) => whole(&answer),
                Err(wrong) => Cohere.error(400, None, Some(&wrong)),
            },
            Err(_) => Cohere.error(400, None, None),
        },
        ("GET", "/v1/models") => whole(&json!({"models": [model], "next_page_token": ""})),
        ("GET", path) if path.strip_prefix("/v1/models/") == Some(MODEL) => whole(&model),
        _ => Cohere.error(404, None, None),
    }
}

fn chat(call: &Call<'_>) -> Reply {
    let Ok(body) = &call.json else {
        return Cohere.error(400, None, Some("invalid request: the body is not JSON"));
    };
    if call.model.is_empty() || list(body, "messages").is_empty() {
        return Cohere.error(
            400,
            None,
            Some("invalid request: a model and messages are needed"),
        );
    }
    if call.model.starts_with("missing") {
        return Cohere.error(404, None, None);
    }
    if let Some(wrong) = schema::refused_in("cohere", body) {
        return Cohere.error(400, None, Some(&wrong));
    }
    let ask = ask(call, body);
    let streaming = is_true(body, "stream");
    let load = ask
        .load
        .filter(|_| ask.max_tokens.is_none() && body.get("tools").is_none());
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("cohere", streaming, load, || {
        let answer = ModelResponse::new(&ask, 0, call.number);
        tokens = answer.tokens();
        let message = Message {
            answer: &answer,
            id: uuid(&mut call.number.clone()),
        };
        match streaming {
            true => Content::Stream(message.events().freeze()),
            false => Content::Whole(message.whole().to_string().into()),
        }
    });
    let content_type = if streaming {
        "text/event-stream"
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

/// Mostly OpenAI's field names.
fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let ask = cerebras::ask(call, body);
    ModelRequest {
        choice: match text_of(body, "tool_choice") {
            "NONE" => Choice::None,
            "REQUIRED" => Choice::Required,
            _ => Choice::Auto,
        },
        schema: body
            .pointer("/response_format/json_schema")
            .cloned()
            .or(ask.schema),
        reason: ask.reason
            && body
                .pointer("/thinking/type")
                .is_none_or(|kind| kind != "disabled"),
        stop: strings(body.get("stop_sequences")),
        ..ask
    }
}

struct Message<'a> {
    answer: &'a ModelResponse,
    id: String,
}

impl Message<'_> {
    fn usage(&self) -> Value {
        let (input, output) = (self.answer.prompt_tokens, self.answer.tokens());
        json!({
            "billed_units": {"input_tokens": input, "output_tokens": output},
            "tokens": {"input_tokens": input + 500, "output_tokens": output}, "cached_tokens": 0,
        })
    }

    /// The reasoning before a tool call is the plan.
    fn plans(&self) -> bool {
        !self.answer.calls.is_empty()
    }

    fn whole(&self) -> Value {
        let answer = self.answer;
        let mut content = Vec::new();
        let mut message = json!({"role": "assistant"});
        match (answer.reasoning.concat(), self.plans()) {
            (thought, _) if thought.is_empty() => {}
            (plan, true) => message["tool_plan"] = plan.into(),
            (thought, false) => content.push(json!({"type": "thinking", "thinking": thought})),
        }
        if !answer.content.is_empty() {
            content.push(json!({"type": "text", "text": answer.content.concat()}));
        }
        if !content.is_empty() {
            message["content"] = content.into();
        }
        if self.plans() {
            let call = |call: &crate::response::Call| self.call(call, &call.arguments.concat());
            message["tool_calls"] = answer.calls.iter().map(call).collect();
        }
        json!({"id": self.id, "message": message, "finish_reason": finish(answer.finish), "usage": self.usage()})
    }

    fn call(&self, call: &crate::response::Call, arguments: &str) -> Value {
        let function = json!({"name": call.name, "arguments": arguments});
        json!({"id": format!("{}_{}", call.name, call.id), "type": "function", "function": function})
    }

    fn events(&self) -> EventsMut {
        let mut events = EventsMut::default();
        let mut push = |name: &str, index: Option<usize>, message: Value| {
            let mut event = json!({"type": name});
            if let Some(index) = index {
                event["index"] = index.into();
            }
            if !message.is_null() {
                event["delta"] = json!({ "message": message });
            }
            events.push(&named_event(name, &event));
        };
        let answer = self.answer;
        push(
            "message-start",
            None,
            json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}),
        );
        let mut texts = vec![("text", &answer.content)];
        match self.plans() {
            true => {
                for piece in &answer.reasoning {
                    push("tool-plan-delta", None, json!({ "tool_plan": piece }));
                }
            }
            false => texts.insert(0, ("thinking", &answer.reasoning)),
        }
        texts.retain(|(_, pieces)| !pieces.is_empty());
        for (index, (kind, pieces)) in texts.into_iter().enumerate() {
            push(
                "content-start",
                Some(index),
                json!({"content": {"type": kind, kind: ""}}),
            );
            for piece in pieces {
                push(
                    "content-delta",
                    Some(index),
                    json!({"content": {kind: piece}}),
                );
            }
            push("content-end", Some(index), Value::Null);
        }
        for (index, call) in answer.calls.iter().enumerate() {
            push(
                "tool-call-start",
                Some(index),
                json!({"tool_calls": self.call(call, "")}),
            );
            for piece in &call.arguments {
                push(
                    "tool-call-delta",
                    Some(index),
                    json!({"tool_calls": {"function": {"arguments": piece}}}),
                );
            }
            push("tool-call-end", Some(index), Value::Null);
        }
        let delta = json!({"finish_reason": finish(answer.finish), "usage": self.usage()});
        events.push(&named_event(
            "message-end",
            &json!({"type": "message-end", "id": self.id, "delta": delta}),
        ));
        events.push(b"data: [DONE]\n\n");
        events
    }
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "COMPLETE",
        Finish::StopSequence => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
    }
}
