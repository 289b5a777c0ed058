use super::common::bad_usage;
use serde_json::{Map, Value};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};
use unifiedai::{ChatRequest, ContentPart, Error, Message};

/// A file of requests.
pub(crate) struct Input {
    pub(crate) tasks: Vec<Task>,
    pub(crate) refused: Vec<Refused>,
}

/// A line that can be asked.
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) request: ChatRequest,
}

/// A line that cannot.
pub(crate) struct Refused {
    /// Where it has one that is its own.
    pub(crate) id: Option<String>,
    pub(crate) error: Error,
}

impl Input {
    pub(crate) fn read(path: &Path, model: &str) -> Result<Self, Error> {
        let unreadable = |e| bad_usage(format!("cannot read {}: {e}", path.display()));
        let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut input = Input {
            tasks: Vec::new(),
            refused: Vec::new(),
        };
        let (mut ids, mut number, mut line) = (HashSet::new(), 0, Vec::new());
        while lines.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
            number += 1;
            if !line.trim_ascii().is_empty() {
                match parse(&line, model, &mut ids) {
                    Ok(task) => input.tasks.push(task),
                    Err((id, what)) => {
                        let error = bad_usage(format!("line {number}: {what}"));
                        input.refused.push(Refused { id, error });
                    }
                }
            }
            line.clear();
        }
        Ok(input)
    }
}

type Why = (Option<String>, String);

fn parse(line: &[u8], model: &str, ids: &mut HashSet<String>) -> Result<Task, Why> {
    let nameless = |what: &str| (None, what.to_owned());
    let value: Value = serde_json::from_slice(line)
        .map_err(|e| nameless(&format!("this is not JSON, from column {}", e.column())))?;
    let id = value.get("custom_id").and_then(Value::as_str);
    let id = id.ok_or_else(|| nameless("`custom_id` is missing or no text"))?;
    if !ids.insert(id.to_owned()) {
        return Err(nameless(&format!(
            "the custom_id `{}` was used before",
            id.escape_debug()
        )));
    }
    let Some(Value::Object(body)) = value.get("body") else {
        return Err((Some(id.to_owned()), "`body` is missing or no object".into()));
    };
    let request = request(body, model).map_err(|what| (Some(id.to_owned()), what))?;
    Ok(Task {
        id: id.to_owned(),
        request,
    })
}

/// Text messages have a place of their own in a request; every other member goes along as it is.
fn request(body: &Map<String, Value>, model: &str) -> Result<ChatRequest, String> {
    let model = match body.get("model") {
        None => model,
        Some(model) => model.as_str().ok_or("`body.model` is no text")?,
    };
    let Some(Value::Array(messages)) = body.get("messages") else {
        return Err("`body.messages` is missing or no list".into());
    };
    let mut request = ChatRequest::new(model);
    let plain: Option<Vec<Message>> = messages.iter().map(plain).collect();
    match plain {
        Some(plain) => request = request.messages(plain),
        None => {
            // The list as it came takes the place of this one.
            request = request.user("-");
            request = extra(request, "messages", &Value::Array(messages.clone()))?;
        }
    }
    for (name, value) in body {
        match (name.as_str(), value) {
            ("model" | "messages" | "stream", _) => {}
            ("max_tokens" | "max_completion_tokens", value) if value.is_u64() => {
                request.max_tokens = value.as_u64();
            }
            ("temperature", value) if value.is_number() => request.temperature = value.as_f64(),
            _ => request = extra(request, name, value)?,
        }
    }
    Ok(request)
}

fn extra(request: ChatRequest, name: &str, value: &Value) -> Result<ChatRequest, String> {
    request
        .extra(name, value)
        .map_err(|error| error.message().to_owned())
}

/// A message that is nothing but a role and a text.
fn plain(message: &Value) -> Option<Message> {
    let message = message.as_object()?;
    let text = message.get("content")?.as_str()?;
    if message.len() != 2 {
        return None;
    }
    match message.get("role")?.as_str()? {
        "system" => Some(Message::system(text)),
        "user" => Some(Message::user(text)),
        "assistant" => Some(Message::assistant(text)),
        "developer" => Some(Message::new(
            unifiedai::Role::Developer,
            vec![ContentPart::text(text)],
        )),
        _ => None,
    }
}
