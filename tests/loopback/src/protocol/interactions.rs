//! Google's Interactions: steps with a start, deltas and a stop, and a last event that has the state but no steps.

use serde_json::{Value, json};

use super::{
    Call, Content, EventsMut, Protocol, Reply, is_true, letters, list, named_event, schema,
    strings, text, text_of,
};
use crate::response::{self, Choice, Finish, ModelRequest, ModelResponse, Tool};

/// The protocol.
pub(crate) struct Interactions;

impl Protocol for Interactions {
    fn respond(&self, call: &Call<'_>) -> Reply {
        let is_vertex = call.path.contains("/projects/");
        let header = if is_vertex {
            "authorization"
        } else {
            "x-goog-api-key"
        };
        if !call.key_is_right(header) {
            return self.error(401, None, None);
        }
        if (
            call.request.method.as_str(),
            call.path.ends_with("/interactions"),
        ) != ("POST", true)
        {
            return self.error(404, None, None);
        }
        match &call.json {
            Ok(body) => create(call, body),
            Err(error) => self.error(400, None, Some(&format!("The body is not JSON: {error}"))),
        }
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let (kind, usual) = match status {
            401 => ("authentication", "The API key is not valid."),
            403 => ("permission_denied", "This key may not do that."),
            404 => ("not_found", "There is no such model or interaction."),
            429 => ("rate_limit_exceeded", "The quota is used up for a moment."),
            499 => ("cancelled", "The request was given up."),
            503 => ("service_unavailable", "The model is overloaded."),
            504 => ("deadline_exceeded", "The answer took too long."),
            400..=498 => ("invalid_request", "The request cannot be served as it is."),
            _ => ("api_error", "Something broke on the way to an answer."),
        };
        let error = error(code.unwrap_or(kind), message.unwrap_or(usual));
        Reply {
            status,
            content_type: "application/json; charset=UTF-8",
            ..whole(&json!({"error": error}))
        }
    }

    fn overflow(&self) -> Reply {
        let message = "The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).";
        self.error(400, None, Some(message))
    }

    fn error_in_200(&self) -> String {
        json!({"error": error("rate_limit_exceeded", "The quota is used up.")}).to_string()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        let error = error(
            code.unwrap_or("service_unavailable"),
            "The model is overloaded.",
        );
        named_event("error", &json!({"error": error, "event_type": "error"}))
    }

    fn end_marker(&self) -> &'static [u8] {
        b"event: done\ndata: [DONE]\n\n"
    }
}

fn error(code: &str, message: &str) -> Value {
    json!({"message": message, "code": code})
}

fn whole(body: &Value) -> Reply {
    Reply {
        wire: &Interactions,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content: Content::Whole(body.to_string().into()),
        tokens: 0,
    }
}

fn create(call: &Call<'_>, body: &Value) -> Reply {
    let refuse = |message: &str| Interactions.error(400, None, Some(message));
    let has = |name: &str| !body[name].is_null();
    if has("model") == has("agent") {
        return refuse("Exactly one of `model` and `agent` must be set.");
    }
    if !has("input") {
        return refuse("`input` is required.");
    }
    if body["store"] == false && is_true(body, "background") {
        return refuse("store=true is required for background interactions");
    }
    if call.model.starts_with("missing") {
        return Interactions.error(404, Some("model_not_found"), None);
    }
    if let Some(wrong) = refused_schema(body) {
        return refuse(&wrong);
    }
    let steps = steps(&body["input"]);
    let ask = ask(call, body, &steps);
    let is_stream = is_true(body, "stream");
    let load = ask
        .load
        .filter(|_| !has("generation_config") && !has("tools"));
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("interactions", is_stream, load, || {
        let mut answer = ModelResponse::new(&ask, 0, call.number);
        if call.faults.think_tags {
            answer.tag_reasoning();
        } else if body["generation_config"]["thinking_summaries"] != "auto" {
            answer.hide_reasoning();
        }
        tokens = answer.tokens();
        let id = letters(&mut call.number.clone(), 32);
        let interaction = Interaction {
            answer: &answer,
            id: match body["store"] == false {
                true => String::new(),
                false => format!("v1_{id}"),
            },
            model: &call.model,
            tier: body["service_tier"].as_str().unwrap_or("standard"),
        };
        if is_stream {
            Content::Stream(interaction.events().freeze())
        } else {
            Content::Whole(interaction.whole().to_string().into())
        }
    });
    let content_type = if is_stream {
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

/// The service checks schemas as with `generateContent`.
fn refused_schema(body: &Value) -> Option<String> {
    let functions: Vec<Value> = list(body, "tools")
        .iter()
        .filter(|tool| text_of(tool, "type") == "function")
        .map(|tool| json!({"name": tool["name"], "parametersJsonSchema": tool["parameters"]}))
        .collect();
    let like = json!({
        "generationConfig": {"responseJsonSchema": body["response_format"]["schema"]},
        "tools": [{"functionDeclarations": functions}],
    });
    schema::refused_in("gemini", &like)
}

/// The steps of an input in any of its forms.
fn steps(input: &Value) -> Vec<Value> {
    let user = |content: Value| vec![json!({"type": "user_input", "content": content})];
    match input {
        Value::String(text) => user(json!([{"type": "text", "text": text}])),
        Value::Array(all) => {
            let is_content = |element: &Value| {
                ["text", "image", "audio", "video", "document"].contains(&text_of(element, "type"))
            };
            match all.first().is_some_and(is_content) {
                true => user(input.clone()),
                false => all.clone(),
            }
        }
        element => user(json!([element])),
    }
}

fn ask(call: &Call<'_>, body: &Value, steps: &[Value]) -> ModelRequest {
    let content = |step: &Value| text(step.get("content"));
    let prompt = steps
        .iter()
        .rev()
        .filter(|step| text_of(step, "type") == "user_input")
        .map(content)
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    let result = |step: &Value| match &step["result"] {
        Value::String(text) => text.clone(),
        result @ Value::Array(_) => text(Some(result)),
        result => result.to_string(),
    };
    let tool_result = steps
        .last()
        .filter(|step| text_of(step, "type") == "function_result");
    let tool = |tool: &Value| {
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema: tool.get("parameters").cloned().unwrap_or_default(),
        })
    };
    let config = &body["generation_config"];
    let format = &body["response_format"];
    let json_wanted = format["mime_type"] == "application/json";
    let load = call.load();
    ModelRequest {
        prompt_tokens: steps
            .iter()
            .map(|step| 4 + response::count(&content(step)))
            .sum::<usize>()
            + 2,
        prompt,
        tool_result: tool_result.map(result),
        tools: list(body, "tools")
            .iter()
            .filter(|tool| text_of(tool, "type") == "function")
            .filter_map(tool)
            .collect(),
        choice: match &config["tool_choice"] {
            Value::String(mode) if mode == "none" => Choice::None,
            Value::String(mode) if mode == "any" => Choice::Required,
            choice => match choice["allowed_tools"]["tools"][0].as_str() {
                Some(name) => Choice::Named(name.to_owned()),
                None => Choice::Auto,
            },
        },
        one_call: false,
        schema: format
            .get("schema")
            .cloned()
            .or_else(|| json_wanted.then(|| json!({"properties": {"answer": {"type": "string"}}}))),
        reason: load.is_none() && (call.thinks() || config["thinking_level"].is_string()),
        max_tokens: config["max_output_tokens"].as_u64().map(|n| n as usize),
        stop: strings(config.get("stop_sequences")),
        load,
    }
}

struct Interaction<'a> {
    answer: &'a ModelResponse,
    id: String,
    model: &'a str,
    tier: &'a str,
}

impl Interaction<'_> {
    fn status(&self) -> &'static str {
        match self.answer.finish {
            Finish::Length => "incomplete",
            Finish::ToolCalls => "requires_action",
            Finish::Stop | Finish::StopSequence => "completed",
        }
    }

    fn object(&self, status: &str) -> Value {
        let mut object = json!({"status": status, "object": "interaction", "model": self.model});
        if !self.id.is_empty() {
            object["id"] = self.id.clone().into();
        }
        object
    }

    /// The interaction at its end, without its steps.
    fn end(&self) -> Value {
        let mut object = self.object(self.status());
        let (input, thought) = (self.answer.prompt_tokens, self.answer.thought);
        let said = self.answer.tokens().saturating_sub(thought);
        object["usage"] = json!({
            "total_tokens": input + said + thought, "total_input_tokens": input,
            "input_tokens_by_modality": [{"modality": "text", "tokens": input}],
            "total_cached_tokens": 0, "total_output_tokens": said, "total_tool_use_tokens": 0,
            "total_thought_tokens": thought,
        });
        object["created"] = "2026-06-05T17:35:35Z".into();
        object["updated"] = "2026-06-05T17:35:35Z".into();
        object["service_tier"] = self.tier.into();
        object
    }

    /// Each step as it starts, its deltas, and the complete step.
    fn steps(&self) -> Vec<(Value, Vec<Value>, Value)> {
        let mut steps = Vec::new();
        if self.answer.thought > 0 {
            let text = |text: &str| json!({"type": "text", "text": text});
            let summary: Vec<Value> = self
                .answer
                .reasoning
                .iter()
                .map(|part| text(part))
                .collect();
            let signature = "bG9vcGJhY2s=";
            let mut deltas: Vec<Value> = summary
                .iter()
                .map(|content| json!({"type": "thought_summary", "content": content}))
                .collect();
            deltas.push(json!({"type": "thought_signature", "signature": signature}));
            let mut step = json!({"type": "thought", "signature": signature});
            if !summary.is_empty() {
                step["summary"] = summary.into();
            }
            steps.push((json!({"type": "thought"}), deltas, step));
        }
        if !self.answer.content.is_empty() {
            let deltas = self.answer.content.iter();
            let deltas = deltas.map(|text| json!({"type": "text", "text": text}));
            let content = json!([{"type": "text", "text": self.answer.content.concat()}]);
            steps.push((
                json!({"type": "model_output"}),
                deltas.collect(),
                json!({"type": "model_output", "content": content}),
            ));
        }
        for call in &self.answer.calls {
            let step = |arguments: Value| json!({"type": "function_call", "id": format!("fc_{}", call.id), "name": call.name, "arguments": arguments});
            let deltas = call.arguments.iter();
            let deltas = deltas.map(|part| json!({"type": "arguments_delta", "arguments": part}));
            let arguments = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
            steps.push((step(json!({})), deltas.collect(), step(arguments)));
        }
        steps
    }

    fn whole(&self) -> Value {
        let mut object = self.end();
        let steps = self.steps().into_iter().map(|(_, _, step)| step);
        object["steps"] = steps.collect();
        object
    }

    fn events(&self) -> EventsMut {
        let mut events = EventsMut::default();
        let mut push = |kind: &str, mut payload: Value| {
            payload["event_type"] = kind.into();
            events.push(&named_event(kind, &payload));
        };
        let with_id = |mut object: Value| {
            object["id"] = self.id.clone().into();
            object
        };
        push(
            "interaction.created",
            json!({"interaction": with_id(self.object("in_progress"))}),
        );
        push(
            "interaction.status_update",
            json!({"interaction_id": self.id, "status": "in_progress"}),
        );
        for (index, (start, deltas, _)) in self.steps().into_iter().enumerate() {
            push("step.start", json!({"index": index, "step": start}));
            for delta in deltas {
                push("step.delta", json!({"index": index, "delta": delta}));
            }
            push("step.stop", json!({"index": index}));
        }
        push(
            "interaction.completed",
            json!({"interaction": with_id(self.end())}),
        );
        events.push(b"event: done\ndata: [DONE]\n\n");
        events
    }
}
