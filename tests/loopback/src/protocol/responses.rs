//! OpenAI Responses: items with a beginning and an end, numbered events, and a terminal event with the complete
//! response.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    Call, Content, EventsMut, Protocol, Reply,
    hosted::{self, Search},
    is_true, kept, letters, list, named_event, openai, schema, text, text_of,
};
use crate::response::{self, Choice, Finish, ModelRequest, ModelResponse, Tool};

/// The protocol.
pub(crate) struct Responses;

impl Protocol for Responses {
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
            ..whole(&openai::error_object(status, code, message))
        }
    }

    fn overflow(&self) -> Reply {
        let message = "Your input exceeds the context window of this model. Please adjust your input and try again.";
        self.error(400, Some("context_length_exceeded"), Some(message))
    }

    fn error_in_200(&self) -> String {
        failed("rate_limit_exceeded").to_string()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        let code = code.unwrap_or("rate_limit_exceeded");
        let error = json!({"type": "tokens", "code": code, "message": "This minute has had all its tokens.", "param": null});
        let mut events = named_event(
            "error",
            &json!({"type": "error", "sequence_number": 2, "error": error}),
        );
        let last =
            json!({"type": "response.failed", "sequence_number": 3, "response": failed(code)});
        events.extend(named_event("response.failed", &last));
        events
    }

    fn filler(&self) -> Vec<u8> {
        b"event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":1}\n\n".to_vec()
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn whole(body: &Value) -> Reply {
    let content = Content::Whole(body.to_string().into());
    Reply {
        wire: &Responses,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

fn failed(code: &str) -> Value {
    json!({
        "id": "resp_failed", "object": "response", "created_at": 1_760_000_000, "status": "failed", "model": "loopback",
        "error": {"code": code, "message": "This minute has had all its tokens."},
        "incomplete_details": null, "output": [], "usage": null,
    })
}

fn operate(call: &Call<'_>) -> Reply {
    if !call.key_is_right("authorization") {
        return Responses.error(401, None, None);
    }
    if let Some((_, rest)) = call.path.split_once("/responses/") {
        let content = match kept::operate(call, rest) {
            Ok(content) => content,
            Err(refusal) => return *refusal,
        };
        let content_type = match content {
            Content::Stream(_) => EVENT_STREAM,
            Content::Whole(_) => "application/json",
        };
        return Reply {
            content_type,
            content,
            ..whole(&Value::Null)
        };
    }
    if (
        call.request.method.as_str(),
        call.path.ends_with("/responses"),
    ) != ("POST", true)
    {
        return Responses.error(404, None, None);
    }
    let body = match &call.json {
        Ok(body) => body,
        Err(error) => {
            return Responses.error(400, None, Some(&format!("The body is not JSON: {error}")));
        }
    };
    if text_of(body, "model").is_empty() || body.get("input").is_none() {
        let message = "Missing required parameter: model and input are needed.";
        return Responses.error(400, Some("missing_required_parameter"), Some(message));
    }
    if let Some(wrong) = schema::refused_in(call.service.unwrap_or("openai"), body) {
        return Responses.error(400, Some("invalid_json_schema"), Some(&wrong));
    }
    if call.model.starts_with("missing") {
        return Responses.error(
            400,
            Some("model_not_found"),
            Some("There is no such model for this key."),
        );
    }
    let ask = ask(call, body);
    let streaming = is_true(body, "stream");
    let background = is_true(body, "background");
    let load = ask
        .load
        .filter(|_| ask.max_tokens.is_none() && body.get("tools").is_none() && !background);
    let mut tokens = load.unwrap_or_default();
    let mut refusal = None;
    let content = call.prepared("responses", streaming, load, || {
        let mut answer = ModelResponse::new(&ask, 0, call.number);
        if call.faults.think_tags {
            answer.tag_reasoning();
        }
        tokens = answer.tokens();
        let response = Response {
            answer: &answer,
            search: ask
                .load
                .is_none()
                .then(|| hosted::search(body, &ask.prompt))
                .flatten(),
            body,
            model: &call.model,
            id: letters(&mut call.number.clone(), 48),
        };
        let output = || response.items().into_iter().map(|item| item.done).collect();
        if background {
            let complete = response.object(response.status(), output());
            kept::create(call, complete, response.events(), streaming).unwrap_or_else(|reply| {
                refusal = Some(*reply);
                Content::Whole(Vec::new().into())
            })
        } else if streaming {
            Content::Stream(response.events().freeze())
        } else {
            Content::Whole(
                response
                    .object(response.status(), output())
                    .to_string()
                    .into(),
            )
        }
    });
    if let Some(refusal) = refusal {
        return refusal;
    }
    let content_type = if streaming {
        EVENT_STREAM
    } else {
        "application/json"
    };
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    Reply {
        headers: openai::limits(),
        content_type,
        content,
        tokens,
        ..whole(&Value::Null)
    }
}

fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let empty = Vec::new();
    let items = body
        .get("input")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    let content = |item: &Value| text(item.get("content"));
    let last_user = items
        .iter()
        .rev()
        .find(|item| text_of(item, "role") == "user")
        .map(content);
    let prompt = body
        .get("input")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or(last_user)
        .unwrap_or_default();
    let result = items
        .last()
        .filter(|item| text_of(item, "type") == "function_call_output");
    let tool = |tool: &Value| {
        let schema = tool.get("parameters").cloned().unwrap_or_default();
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let load = call.load();
    let effort = body.pointer("/reasoning/effort").and_then(Value::as_str);
    ModelRequest {
        prompt_tokens: items
            .iter()
            .map(|item| 4 + response::count(&content(item)))
            .sum::<usize>()
            + response::count(&prompt)
            + 2,
        prompt,
        tool_result: result.map(|item| text_of(item, "output").to_owned()),
        tools: list(body, "tools")
            .iter()
            .filter(|tool| text_of(tool, "type") == "function")
            .filter_map(tool)
            .collect(),
        choice: match body.get("tool_choice") {
            Some(Value::String(choice)) if choice == "none" => Choice::None,
            Some(Value::String(choice)) if choice == "required" => Choice::Required,
            choice => match choice.and_then(|choice| choice.get("name")?.as_str()) {
                Some(name) => Choice::Named(name.to_owned()),
                None => Choice::Auto,
            },
        },
        one_call: body.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false),
        schema: body.pointer("/text/format/schema").cloned(),
        reason: load.is_none() && effort.map_or(call.thinks(), |effort| effort != "none"),
        max_tokens: body
            .get("max_output_tokens")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        stop: Vec::new(),
        load,
    }
}

struct Response<'a> {
    answer: &'a ModelResponse,
    search: Option<Search>,
    body: &'a Value,
    model: &'a str,
    id: String,
}

struct Item {
    added: Value,
    /// The events between the two, by type.
    events: Vec<(&'static str, Value)>,
    done: Value,
}

impl Response<'_> {
    fn status(&self) -> &'static str {
        if self.answer.finish == Finish::Length {
            "incomplete"
        } else {
            "completed"
        }
    }

    fn object(&self, status: &str, output: Vec<Value>) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let (input, said) = (self.answer.prompt_tokens, self.answer.tokens());
        let echo = |name: &str, usual: Value| self.body.get(name).cloned().unwrap_or(usual);
        let mut object = json!({
            "id": format!("resp_{}", self.id), "object": "response", "created_at": now, "status": status, "error": null,
            "incomplete_details": null, "instructions": echo("instructions", Value::Null), "model": self.model,
            "max_output_tokens": echo("max_output_tokens", Value::Null), "output": output, "parallel_tool_calls": true,
            "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "service_tier": "default",
            "store": echo("store", true.into()), "temperature": echo("temperature", json!(1.0)),
            "text": echo("text", json!({"format": {"type": "text"}})), "tool_choice": echo("tool_choice", "auto".into()),
            "tools": echo("tools", json!([])), "top_p": echo("top_p", json!(1.0)), "truncation": "disabled",
            "usage": null, "user": null, "metadata": {}, "background": echo("background", false.into()),
        });
        if status == "incomplete" {
            object["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        if !matches!(status, "queued" | "in_progress") {
            object["usage"] = json!({
                "input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": said,
                "output_tokens_details": {"reasoning_tokens": self.answer.thought}, "total_tokens": input + said,
            });
        }
        object
    }

    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        if !self.answer.reasoning.is_empty() {
            let id = format!("rs_{}", self.id);
            let whole = json!({"type": "summary_text", "text": self.answer.reasoning.concat()});
            let of = |mut payload: Value| {
                payload["item_id"] = id.clone().into();
                payload["summary_index"] = 0.into();
                payload
            };
            let mut events = vec![(
                "response.reasoning_summary_part.added",
                of(json!({"part": {"type": "summary_text", "text": ""}})),
            )];
            let deltas = self
                .answer
                .reasoning
                .iter()
                .map(|delta| of(json!({"delta": delta})));
            events.extend(deltas.map(|delta| ("response.reasoning_summary_text.delta", delta)));
            events.push((
                "response.reasoning_summary_text.done",
                of(json!({"text": whole["text"]})),
            ));
            events.push((
                "response.reasoning_summary_part.done",
                of(json!({"part": whole})),
            ));
            let item = |summary: Value| json!({"id": id, "type": "reasoning", "summary": summary});
            items.push(Item {
                added: item(json!([])),
                events,
                done: item(json!([whole])),
            });
        }
        if let Some(search) = &self.search {
            let steps = ["in_progress", "searching", "completed"].map(|step| match step {
                "in_progress" => "response.web_search_call.in_progress",
                "searching" => "response.web_search_call.searching",
                _ => "response.web_search_call.completed",
            });
            let id = format!("ws_{}", self.id);
            items.push(Item {
                added: search.item(&self.id, false),
                events: steps.map(|step| (step, json!({"item_id": id}))).to_vec(),
                done: search.item(&self.id, true),
            });
        }
        if !self.answer.content.is_empty() {
            let id = format!("msg_{}", self.id);
            let part = |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
            let said = self.answer.content.concat();
            let mut whole = part(&said);
            if self.search.is_some() {
                whole["annotations"] = json!([Search::annotation(&said)]);
            }
            let of = |mut payload: Value| {
                payload["item_id"] = id.clone().into();
                payload["content_index"] = 0.into();
                payload
            };
            let mut events = vec![("response.content_part.added", of(json!({"part": part("")})))];
            let deltas =
                self.answer.content.iter().map(|delta| {
                    of(json!({"delta": delta, "logprobs": [], "obfuscation": "abcdef"}))
                });
            events.extend(deltas.map(|delta| ("response.output_text.delta", delta)));
            if self.search.is_some() {
                let annotation = Search::annotation(&said);
                events.push((
                    "response.output_text.annotation.added",
                    of(json!({"annotation_index": 0, "annotation": annotation})),
                ));
            }
            events.push((
                "response.output_text.done",
                of(json!({"text": whole["text"], "logprobs": []})),
            ));
            events.push(("response.content_part.done", of(json!({"part": whole}))));
            let item = |status: &str, content: Value| json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content});
            items.push(Item {
                added: item("in_progress", json!([])),
                events,
                done: item(self.status(), json!([whole])),
            });
        }
        for call in &self.answer.calls {
            let id = format!("fc_{}{}", self.id, call.id);
            let arguments = call.arguments.concat();
            let deltas = call
                .arguments
                .iter()
                .map(|delta| json!({"delta": delta, "item_id": id}));
            let mut events: Vec<_> = deltas
                .map(|delta| ("response.function_call_arguments.delta", delta))
                .collect();
            events.push((
                "response.function_call_arguments.done",
                json!({"arguments": arguments, "item_id": id}),
            ));
            let item = |status: &str, arguments: &str| {
                let call_id = format!("call_{}", call.id);
                json!({"id": id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": call.name})
            };
            items.push(Item {
                added: item("in_progress", ""),
                events,
                done: item("completed", &arguments),
            });
        }
        items
    }

    fn events(&self) -> EventsMut {
        let mut events = EventsMut::default();
        let mut number = 0;
        let mut push = |kind: &str, mut payload: Value| {
            payload["type"] = kind.into();
            payload["sequence_number"] = number.into();
            number += 1;
            events.push(&named_event(kind, &payload));
        };
        let background = is_true(self.body, "background");
        let first = if background { "queued" } else { "in_progress" };
        push(
            "response.created",
            json!({"response": self.object(first, Vec::new())}),
        );
        if background {
            push(
                "response.queued",
                json!({"response": self.object(first, Vec::new())}),
            );
        }
        push(
            "response.in_progress",
            json!({"response": self.object("in_progress", Vec::new())}),
        );
        let mut output = Vec::new();
        for (index, item) in self.items().into_iter().enumerate() {
            push(
                "response.output_item.added",
                json!({"output_index": index, "item": item.added}),
            );
            for (kind, mut payload) in item.events {
                payload["output_index"] = index.into();
                push(kind, payload);
            }
            push(
                "response.output_item.done",
                json!({"output_index": index, "item": item.done}),
            );
            output.push(item.done);
        }
        let status = self.status();
        push(
            &format!("response.{status}"),
            json!({"response": self.object(status, output)}),
        );
        events
    }
}
