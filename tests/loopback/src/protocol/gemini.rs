//! Gemini generateContent: complete response objects as events, or one JSON array that grows.

use serde_json::{Value, json};

use super::embed::{self, Shape};
use super::{
    Call, Content, EventsMut, Protocol, Reply, letters, list, schema, sigv4, small_calls, strings,
    text_of,
};
use crate::response::{self, Choice, Finish, ModelRequest, ModelResponse, Tool};

const MODEL: &str = "models/gemini-loopback";

/// The protocol, in one of its two framings.
pub(crate) struct Gemini {
    /// A stream is an array, not events.
    pub(crate) array: bool,
}

impl Protocol for Gemini {
    fn model(&self, path: &str, _: Option<&Value>) -> Option<String> {
        let name = path.rsplit_once("/models/")?.1.rsplit_once(':')?.0;
        String::from_utf8(sigv4::decode(name)).ok()
    }

    fn respond(&self, call: &Call<'_>) -> Reply {
        let query = call
            .request
            .path
            .split_once('?')
            .map_or("", |(_, query)| query);
        let is_vertex = call.path.starts_with("/v1/projects/");
        if is_vertex && !call.key_is_right("authorization") {
            return self.error(401, None, None);
        }
        if !call.key_is_right("x-goog-api-key") || query.split('&').any(|pair| pair == "key=wrong")
        {
            let mut reply = self.error(400, None, Some("The API key is not valid."));
            let reason = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
            reply.content = Content::Whole(
                error(
                    400,
                    "INVALID_ARGUMENT",
                    "The API key is not valid.",
                    &reason,
                )
                .to_string()
                .into(),
            );
            return reply;
        }
        let operation = call
            .path
            .rsplit_once(':')
            .map_or("", |(_, operation)| operation);
        let model = json!({
            "name": MODEL, "version": "001", "displayName": "Gemini of the loopback", "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "countTokens"],
        });
        match (call.request.method.as_str(), operation) {
            ("POST", "generateContent") => self.generate(call, false),
            ("POST", "streamGenerateContent") => self.generate(call, true),
            ("POST", "countTokens") => match &call.json {
                Ok(body) => self.count(call, body),
                Err(_) => self.error(400, None, None),
            },
            ("POST", "batchEmbedContents") => match &call.json {
                Ok(body) => match embed::answer(Shape::Gemini, &call.model, body) {
                    Ok(answer) => self.whole(&answer),
                    Err(wrong) => self.error(400, None, Some(&wrong)),
                },
                Err(_) => self.error(400, None, None),
            },
            ("GET", _) if call.path == "/v1beta/models" => self.whole(&json!({"models": [model]})),
            ("GET", _) if call.path.strip_prefix("/v1beta/") == Some(MODEL) => self.whole(&model),
            _ => self.error(404, None, None),
        }
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let (kind, usual) = match status {
            401 => ("UNAUTHENTICATED", "The credentials are not valid."),
            403 => ("PERMISSION_DENIED", "This key may not do that."),
            404 => ("NOT_FOUND", "There is no such model for this method."),
            429 => (
                "RESOURCE_EXHAUSTED",
                "The quota is used up. Please retry in 2s.",
            ),
            499 => ("CANCELLED", "The request was given up."),
            503 => ("UNAVAILABLE", "The model is overloaded."),
            504 => ("DEADLINE_EXCEEDED", "The answer took too long."),
            400..=498 => ("INVALID_ARGUMENT", "The request cannot be served as it is."),
            _ => ("INTERNAL", "Something broke on the way to an answer."),
        };
        let details = match status {
            429 => {
                json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}])
            }
            _ => Value::Null,
        };
        let body = error(
            status,
            code.unwrap_or(kind),
            message.unwrap_or(usual),
            &details,
        );
        Reply {
            status,
            ..self.whole(&body)
        }
    }

    fn overflow(&self) -> Reply {
        let message = "The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).";
        self.error(400, None, Some(message))
    }

    fn error_in_200(&self) -> String {
        error(
            429,
            "RESOURCE_EXHAUSTED",
            "The quota is used up.",
            &Value::Null,
        )
        .to_string()
    }

    fn error_event(&self, code: Option<&str>, first: bool) -> Vec<u8> {
        let error = error(
            503,
            code.unwrap_or("UNAVAILABLE"),
            "The model is overloaded.",
            &Value::Null,
        );
        match (self.array, first) {
            (false, _) => format!("data: {error}\r\n\r\n"),
            (true, true) => format!("[{error}\n]"),
            (true, false) => format!(",\r\n{error}\n]"),
        }
        .into_bytes()
    }

    fn filler(&self) -> Vec<u8> {
        if self.array {
            b"\n".to_vec()
        } else {
            b": ping\r\n\r\n".to_vec()
        }
    }

    fn end_marker(&self) -> &'static [u8] {
        if self.array {
            b""
        } else {
            b"data: [DONE]\r\n\r\n"
        }
    }
}

fn error(status: u16, code: &str, message: &str, details: &Value) -> Value {
    let mut error = json!({"error": {"code": status, "message": message, "status": code}});
    if !details.is_null() {
        error["error"]["details"] = details.clone();
    }
    error
}

impl Gemini {
    fn whole(&self, body: &Value) -> Reply {
        let content = Content::Whole(body.to_string().into());
        let wire: &'static dyn Protocol = if self.array {
            &Self { array: true }
        } else {
            &Self { array: false }
        };
        Reply {
            wire,
            status: 200,
            content_type: "application/json; charset=UTF-8",
            headers: Vec::new(),
            content,
            tokens: 0,
        }
    }

    /// The complete request is inside of a member, or `contents` stands alone; on Vertex AI all is flat.
    fn count(&self, call: &Call<'_>, body: &Value) -> Reply {
        let inner = body.get("generateContentRequest");
        let flat = body.get("contents").is_some();
        let is_vertex = call.path.starts_with("/v1/projects/");
        let is_wrong = match inner {
            Some(inner) => is_vertex || flat || inner.get("model").is_none(),
            None => !is_vertex && body.get("systemInstruction").is_some(),
        };
        if is_wrong {
            return self.error(400, None, None);
        }
        let tokens = ask(call, inner.unwrap_or(body)).prompt_tokens;
        self.whole(&json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}))
    }

    fn generate(&self, call: &Call<'_>, streaming: bool) -> Reply {
        let Ok(body) = &call.json else {
            return self.error(400, None, Some("The body is not JSON."));
        };
        if list(body, "contents")
            .iter()
            .all(|content| list(content, "parts").is_empty())
        {
            return self.error(400, None, Some("contents: contents is not specified"));
        }
        if call.model.starts_with("missing") {
            return self.error(404, None, None);
        }
        if let Some(wrong) = schema::refused_in("gemini", body) {
            return self.error(400, None, Some(&wrong));
        }
        let mut ask = ask(call, body);
        match small_calls::cached_tokens(call, body) {
            Some(Ok(tokens)) => ask.prompt_tokens += tokens,
            Some(Err(reply)) => return reply,
            None => {}
        }
        let alone = ["systemInstruction", "tools", "toolConfig"];
        if body.get("cachedContent").is_some() && alone.iter().any(|name| body.get(name).is_some())
        {
            let message = "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.";
            return self.error(400, None, Some(message));
        }
        let load = ask
            .load
            .filter(|_| body.get("generationConfig").is_none() && body.get("tools").is_none());
        let framing = if self.array { "gemini array" } else { "gemini" };
        let mut tokens = load.unwrap_or_default();
        let content = call.prepared(framing, streaming, load, || {
            let mut answer = ModelResponse::new(&ask, 0, call.number);
            if call.faults.think_tags {
                answer.tag_reasoning();
            } else if body
                .pointer("/generationConfig/thinkingConfig/includeThoughts")
                .and_then(Value::as_bool)
                != Some(true)
            {
                answer.hide_reasoning();
            }
            tokens = answer.tokens();
            let id = letters(&mut call.number.clone(), 23);
            if streaming {
                Content::Stream(self.events(&answer, &call.model, &id).freeze())
            } else {
                let all = [
                    (answer.reasoning.concat(), true),
                    (answer.content.concat(), false),
                ];
                let texts = all
                    .iter()
                    .filter(|(text, _)| !text.is_empty())
                    .map(|(text, thought)| text_part(text, *thought));
                let parts = texts.chain(calls(&answer)).collect();
                Content::Whole(
                    response(&answer, parts, answer.tokens(), true, &call.model, &id)
                        .to_string()
                        .into(),
                )
            }
        });
        let content_type = if streaming && !self.array {
            "text/event-stream"
        } else {
            "application/json; charset=UTF-8"
        };
        Reply {
            content_type,
            content,
            tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            ..self.whole(&Value::Null)
        }
    }

    fn events(&self, answer: &ModelResponse, model: &str, id: &str) -> EventsMut {
        let mut parts: Vec<Value> = answer
            .reasoning
            .iter()
            .map(|text| text_part(text, true))
            .collect();
        parts.extend(answer.content.iter().map(|text| text_part(text, false)));
        parts.extend(calls(answer));
        let mut events = EventsMut::default();
        let mut parts: Vec<Vec<Value>> = parts.into_iter().map(|part| vec![part]).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        let shown = answer.reasoning.len() + answer.content.len();
        for (at, part) in parts.into_iter().enumerate() {
            let said = if at < shown {
                answer.tokens() - shown + at + 1
            } else {
                answer.tokens()
            };
            let response = response(answer, part, said, at == last, model, id);
            match (self.array, at) {
                (false, _) => events.push(format!("data: {response}\r\n\r\n").as_bytes()),
                (true, 0) => events.push(format!("[{response}\n").as_bytes()),
                (true, _) => events.push(format!(",\r\n{response}\n").as_bytes()),
            }
        }
        if self.array {
            events.push(b"]");
        }
        events
    }
}

fn text_part(text: &str, thought: bool) -> Value {
    if thought {
        json!({"text": text, "thought": true})
    } else {
        json!({"text": text})
    }
}

fn calls(answer: &ModelResponse) -> impl Iterator<Item = Value> {
    answer.calls.iter().map(|call| {
        let arguments: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
        let mut part = json!({"functionCall": {"name": call.name}});
        if arguments
            .as_object()
            .is_some_and(|arguments| !arguments.is_empty())
        {
            part["functionCall"]["args"] = arguments;
        }
        if answer.thought > 0 {
            part["thoughtSignature"] = "bG9vcGJhY2s=".into();
        }
        part
    })
}

fn response(
    answer: &ModelResponse,
    parts: Vec<Value>,
    said: usize,
    last: bool,
    model: &str,
    id: &str,
) -> Value {
    let mut candidate = json!({"content": {"role": "model"}, "index": 0});
    // If a model is cut off while it reasons, it has no parts to show.
    if !parts.is_empty() {
        candidate["content"]["parts"] = parts.into();
    }
    if last {
        candidate["finishReason"] = if answer.finish == Finish::Length {
            "MAX_TOKENS"
        } else {
            "STOP"
        }
        .into();
    }
    let prompt = answer.prompt_tokens;
    let mut usage = json!({
        "promptTokenCount": prompt, "totalTokenCount": prompt + said.max(answer.thought),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    });
    if said > answer.thought {
        usage["candidatesTokenCount"] = (said - answer.thought).into();
    }
    if answer.thought > 0 {
        usage["thoughtsTokenCount"] = answer.thought.into();
    }
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": id})
}

/// A field in either of the two accepted notations.
fn member<'a>(json: &'a Value, camel: &str, snake: &str) -> &'a Value {
    json.get(camel)
        .or_else(|| json.get(snake))
        .unwrap_or(&Value::Null)
}

fn ask(call: &Call<'_>, body: &Value) -> ModelRequest {
    let contents = list(body, "contents");
    let texts = |content: &Value| {
        let texts = list(content, "parts")
            .iter()
            .filter_map(|part| part.get("text")?.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    let last_user = contents
        .iter()
        .rev()
        .find(|content| text_of(content, "role") != "model" && !texts(content).is_empty());
    let result = |content: &Value| {
        let response = list(content, "parts")
            .iter()
            .map(|part| member(part, "functionResponse", "function_response"));
        Some(
            response
                .into_iter()
                .find(|response| !response.is_null())?
                .get("response")?
                .to_string(),
        )
    };
    let tools = list(body, "tools")
        .iter()
        .flat_map(|tool| member(tool, "functionDeclarations", "function_declarations").as_array());
    let tool = |tool: &Value| {
        let schema = member(tool, "parameters", "parameters_json_schema");
        let schema = tool.get("parametersJsonSchema").unwrap_or(schema).clone();
        Some(Tool {
            name: tool.get("name")?.as_str()?.to_owned(),
            schema,
        })
    };
    let config = member(body, "generationConfig", "generation_config");
    let schema = ["responseJsonSchema", "responseSchema", "response_schema"]
        .iter()
        .find_map(|name| config.get(name));
    let json_wanted =
        member(config, "responseMimeType", "response_mime_type") == "application/json";
    let calling = member(
        member(body, "toolConfig", "tool_config"),
        "functionCallingConfig",
        "function_calling_config",
    );
    let budget = config
        .pointer("/thinkingConfig/thinkingBudget")
        .and_then(Value::as_i64);
    let load = call.load();
    ModelRequest {
        prompt: last_user.map(texts).unwrap_or_default(),
        prompt_tokens: contents
            .iter()
            .map(|content| 4 + response::count(&texts(content)))
            .sum::<usize>()
            + 2,
        tool_result: contents.last().and_then(result),
        tools: tools.flatten().filter_map(tool).collect(),
        choice: match (
            text_of(calling, "mode"),
            list(calling, "allowedFunctionNames")
                .first()
                .and_then(Value::as_str),
        ) {
            ("NONE", _) => Choice::None,
            ("ANY", Some(name)) => Choice::Named(name.to_owned()),
            ("ANY", None) => Choice::Required,
            _ => Choice::Auto,
        },
        one_call: false,
        schema: schema
            .cloned()
            .or_else(|| json_wanted.then(|| json!({"properties": {"answer": {"type": "string"}}}))),
        reason: load.is_none() && budget.map_or(call.thinks(), |budget| budget != 0),
        max_tokens: member(config, "maxOutputTokens", "max_output_tokens")
            .as_u64()
            .map(|n| n as usize),
        stop: strings(config.get("stopSequences")),
        load,
    }
}
