//! The batch APIs of OpenAI, Anthropic, Gemini and Mistral as they were recorded, and OpenAI's files. Those of Bedrock are in
//! `bedrock/jobs.rs`.
//!
//! A batch is checked, runs and ends with time ([`Config::batch_step`](crate::Config::batch_step) each). Its lines are answered by
//! the protocol as calls are, in reverse order. A line with `batch fault: lost` in its text has no result, one with
//! `batch fault: expired` expires, one with `batch fault: status-NNN` is refused with that status.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, Content, Protocol, Reply};
use crate::fault::Faults;
use crate::{Request, State};

/// The files and batches of a server.
#[derive(Default)]
pub(crate) struct Store {
    files: Vec<Bytes>,
    pub(crate) batches: Vec<Batch>,
    /// Objects of S3, by bucket and key.
    pub(crate) objects: BTreeMap<String, Bytes>,
}

pub(crate) struct Batch {
    /// Ids, and bodies of requests.
    pub(crate) lines: Vec<(String, Value)>,
    created: Instant,
    pub(crate) created_at: u64,
    pub(crate) model: String,
    /// The name or the metadata; at Bedrock the whole creation.
    pub(crate) tag: Value,
    pub(crate) file: Option<String>,
    pub(crate) is_cancelled: bool,
}

impl Batch {
    pub(crate) fn new(
        lines: Vec<(String, Value)>,
        model: String,
        tag: Value,
        file: Option<String>,
    ) -> Self {
        Batch {
            lines,
            created: Instant::now(),
            created_at: now(),
            model,
            tag,
            file,
            is_cancelled: false,
        }
    }

    /// How many steps of its life it has behind it.
    pub(crate) fn step(&self, state: &State) -> u128 {
        let step = state.batch_step.as_nanos().max(1);
        self.created.elapsed().as_nanos() / step
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    OpenAi,
    Mistral,
    Anthropic,
    Gemini,
}

/// The response, if the path is of a batch or file API.
pub(crate) fn respond(
    state: &State,
    request: &Request,
    path: &str,
    wire: &'static dyn Protocol,
) -> Option<Reply> {
    let (shape, rest) = shape(path)?;
    let mut api = Api {
        state,
        request,
        path,
        wire,
        shape,
    };
    Some(api.operate(rest))
}

/// Whether a path is of a batch or file API.
pub(crate) fn is_api(path: &str) -> bool {
    let bedrock = ["/model-invocation-job", "/s3/"];
    shape(path).is_some() || bedrock.iter().any(|begin| path.starts_with(begin))
}

/// The API of a path, and the path within it.
fn shape(path: &str) -> Option<(Shape, &str)> {
    let openai = path.strip_prefix("/openai").unwrap_or(path);
    if let Some(rest) = openai.strip_prefix("/v1/batch/jobs") {
        return Some((Shape::Mistral, rest));
    }
    for folder in ["/v1/files", "/v1/batches"] {
        if openai.starts_with(folder) {
            return Some((Shape::OpenAi, openai.strip_prefix("/v1")?));
        }
    }
    if let Some(rest) = path.strip_prefix("/v1/messages/batches") {
        return Some((Shape::Anthropic, rest));
    }
    let gemini = path.strip_prefix("/v1beta")?;
    let is_batch = gemini.starts_with("/batches") || gemini.ends_with(":batchGenerateContent");
    is_batch.then_some((Shape::Gemini, gemini))
}

struct Api<'a> {
    state: &'a State,
    request: &'a Request,
    path: &'a str,
    wire: &'static dyn Protocol,
    shape: Shape,
}

impl Api<'_> {
    fn operate(&mut self, rest: &str) -> Reply {
        let key = ["authorization", "x-api-key", "x-goog-api-key"];
        let key = key.iter().find_map(|name| self.request.header(name));
        if key.is_some_and(|key| key.trim_start_matches("Bearer ") == "wrong") {
            return self.wire.error(401, None, None);
        }
        let state = self.state;
        let mut store = state.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let is_post = self.request.method == "POST";
        if self.shape == Shape::OpenAi && rest == "/files" && is_post {
            return self.upload(&mut store);
        }
        if let (Shape::OpenAi, Some(rest)) = (self.shape, rest.strip_prefix("/files/")) {
            return self.file(&store, rest);
        }
        let rest = match self.shape {
            Shape::OpenAi => rest.strip_prefix("/batches").unwrap_or(rest),
            Shape::Gemini if !rest.contains(":batchGenerateContent") => {
                rest.strip_prefix("/batches").unwrap_or(rest)
            }
            _ => rest,
        };
        let is_create = rest.is_empty() || rest.contains(":batchGenerateContent");
        match (is_create, is_post) {
            (true, true) => self.create(&mut store, rest),
            (true, false) => self.list(&store),
            _ => self.one(&mut store, rest.trim_start_matches('/')),
        }
    }

    fn json(&self, body: &Value) -> Reply {
        self.bytes("application/json", body.to_string().into())
    }

    fn bytes(&self, content_type: &'static str, body: Bytes) -> Reply {
        Reply {
            wire: self.wire,
            status: 200,
            content_type,
            headers: Vec::new(),
            content: Content::Whole(body),
            tokens: 0,
        }
    }

    fn upload(&self, store: &mut Store) -> Reply {
        let body = &self.request.body;
        let text = String::from_utf8_lossy(body);
        let Some((_, part)) = text.split_once("name=\"file\"") else {
            return self.wire.error(400, None, Some("The form has no file."));
        };
        let content = part
            .split_once("\r\n\r\n")
            .map_or("", |(_, content)| content);
        let content = content
            .rsplit_once("\r\n--")
            .map_or(content, |(content, _)| content);
        let content = content
            .rsplit_once("\r\n--")
            .map_or(content, |(content, _)| content);
        store.files.push(Bytes::copy_from_slice(content.as_bytes()));
        let id = store.files.len() - 1;
        self.json(&json!({"object": "file", "id": format!("file-{id}"), "purpose": "batch", "filename": "upload",
            "bytes": content.len(), "created_at": now(), "status": "processed", "status_details": null}))
    }

    fn file(&self, store: &Store, rest: &str) -> Reply {
        let (id, is_content) = match rest.strip_suffix("/content") {
            Some(id) => (id, true),
            None => (rest, false),
        };
        if let Some(index) = id
            .strip_prefix("file-")
            .and_then(|n| n.parse::<usize>().ok())
        {
            if let Some(content) = store.files.get(index) {
                return match is_content {
                    true => self.bytes("application/octet-stream", content.clone()),
                    false => self.json(&json!({"object": "file", "id": id, "purpose": "batch", "bytes": content.len(),
                        "created_at": now(), "status": "processed"})),
                };
            }
        }
        let output = id.strip_prefix("output-").or(id.strip_prefix("errors-"));
        let batch = output.and_then(|n| store.batches.get(n.parse::<usize>().ok()?));
        match batch {
            Some(batch) if is_content => {
                let lines = self.lines(batch, Some(id.starts_with("errors-")));
                self.bytes("application/octet-stream", lines.into())
            }
            _ => self.wire.error(404, None, None),
        }
    }

    fn create(&self, store: &mut Store, rest: &str) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&self.request.body) else {
            return self.wire.error(400, None, Some("This is not JSON."));
        };
        let input = &body["batch"]["inputConfig"]["requests"]["requests"];
        let list = [&body["requests"], input]
            .into_iter()
            .find_map(|list| list.as_array());
        let file = body["input_file_id"].as_str();
        let lines: Vec<Value> = match (list, file) {
            (Some(list), _) => list.clone(),
            (None, Some(file)) => {
                let index = file
                    .strip_prefix("file-")
                    .and_then(|n| n.parse::<usize>().ok());
                let Some(content) = index.and_then(|index| store.files.get(index)) else {
                    return self.wire.error(400, None, Some("There is no such file."));
                };
                let lines = content
                    .split(|b| *b == b'\n')
                    .filter(|line| !line.is_empty());
                lines
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .collect()
            }
            _ => return self.wire.error(400, None, Some("There are no requests.")),
        };
        let line = |line: &Value| {
            let ids = [&line["custom_id"], &line["metadata"]["custom_id"]];
            let id = ids.into_iter().find_map(Value::as_str).unwrap_or_default();
            let bodies = [&line["body"], &line["params"], &line["request"]];
            let body = bodies.into_iter().find(|body| body.is_object());
            (id.to_owned(), body.cloned().unwrap_or_default())
        };
        let in_path = rest
            .strip_prefix("/models/")
            .unwrap_or_default()
            .split(':')
            .next();
        let model = body["model"]
            .as_str()
            .or(in_path)
            .unwrap_or_default()
            .to_owned();
        let tags = [&body["metadata"], &body["batch"]["displayName"]];
        let tag = tags.into_iter().find(|tag| !tag.is_null());
        store.batches.push(Batch::new(
            lines.iter().map(line).collect(),
            model,
            tag.cloned().unwrap_or_default(),
            file.map(str::to_owned),
        ));
        let index = store.batches.len() - 1;
        self.json(&self.describe(index, &store.batches[index]))
    }

    fn list(&self, store: &Store) -> Reply {
        let batches = store.batches.iter().enumerate().rev().take(100);
        let all: Vec<Value> = batches
            .map(|(index, batch)| self.describe(index, batch))
            .collect();
        self.json(&match self.shape {
            Shape::Gemini => json!({"operations": all}),
            _ => json!({"object": "list", "data": all, "has_more": false, "total": all.len()}),
        })
    }

    fn one(&self, store: &mut Store, rest: &str) -> Reply {
        let (id, action) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
        let index = id
            .rsplit(['_', '-'])
            .next()
            .and_then(|n| n.parse::<usize>().ok());
        let Some((index, batch)) = index.and_then(|at| Some((at, store.batches.get_mut(at)?)))
        else {
            return self.wire.error(404, None, None);
        };
        batch.is_cancelled |= action == "cancel";
        match (action, self.shape) {
            ("results", Shape::Anthropic) => {
                let lines = self.lines(batch, None);
                self.bytes("application/x-jsonl", lines.into())
            }
            ("cancel", Shape::Gemini) => self.json(&json!({})),
            _ => self.json(&self.describe(index, batch)),
        }
    }

    fn describe(&self, index: usize, batch: &Batch) -> Value {
        let total = batch.lines.len();
        let step = batch.step(self.state);
        let (is_new, is_over) = (step == 0, step >= 2);
        let done = if is_over { total } else { 0 };
        match self.shape {
            Shape::OpenAi => {
                let file = |name: &str| is_over.then(|| format!("{name}-{index}"));
                let status = match (is_new, is_over, batch.is_cancelled) {
                    (_, true, true) => "cancelled",
                    (_, false, true) => "cancelling",
                    (true, ..) => "validating",
                    (_, true, _) => "completed",
                    _ => "in_progress",
                };
                json!({"id": format!("batch_{index}"), "object": "batch", "endpoint": "/v1/chat/completions", "errors": null,
                    "input_file_id": batch.file, "completion_window": "24h", "status": status, "output_file_id": file("output"),
                    "error_file_id": file("errors"), "created_at": batch.created_at, "expires_at": batch.created_at + 86_400,
                    "request_counts": {"total": if is_new { 0 } else { total }, "completed": done, "failed": 0},
                    "metadata": batch.tag})
            }
            Shape::Mistral => {
                let status = match (is_new, is_over, batch.is_cancelled) {
                    (_, true, true) => "CANCELLED",
                    (_, false, true) => "CANCELLATION_REQUESTED",
                    (true, ..) => "QUEUED",
                    (_, true, _) => "SUCCESS",
                    _ => "RUNNING",
                };
                let lines = self.lines(batch, None);
                let lines = lines
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap_or_default());
                let outputs: Option<Vec<Value>> = is_over.then(|| lines.collect());
                json!({"id": format!("job-{index}"), "object": "batch", "input_files": [], "metadata": batch.tag,
                    "endpoint": "/v1/chat/completions", "model": batch.model, "output_file": null, "error_file": null, "errors": [],
                    "outputs": outputs, "status": status, "created_at": batch.created_at, "total_requests": total,
                    "completed_requests": done, "succeeded_requests": done, "failed_requests": 0})
            }
            Shape::Anthropic => {
                let status = match (is_over, batch.is_cancelled) {
                    (true, _) => "ended",
                    (false, true) => "canceling",
                    _ => "in_progress",
                };
                json!({"id": format!("msgbatch_{index}"), "type": "message_batch", "processing_status": status,
                    "request_counts": {"processing": total - done, "succeeded": done, "errored": 0, "canceled": 0, "expired": 0},
                    "created_at": rfc3339(batch.created_at), "expires_at": rfc3339(batch.created_at + 86_400),
                    "results_url": is_over.then(|| format!("{}/v1/messages/batches/msgbatch_{index}/results", self.state.origin))})
            }
            Shape::Gemini => {
                let name = format!("batches/b-{index}");
                let status = match (is_new, is_over, batch.is_cancelled) {
                    (_, true, true) => "BATCH_STATE_CANCELLED",
                    (true, ..) => "BATCH_STATE_PENDING",
                    (_, true, _) => "BATCH_STATE_SUCCEEDED",
                    _ => "BATCH_STATE_RUNNING",
                };
                let mut operation = json!({"name": name, "metadata": {"model": batch.model, "displayName": batch.tag,
                    "createTime": rfc3339(batch.created_at), "batchStats": {"requestCount": total.to_string()}, "state": status,
                    "name": name}});
                if is_over {
                    let lines = self.lines(batch, None);
                    let lines = lines
                        .lines()
                        .map(|line| serde_json::from_str(line).unwrap_or_default());
                    let lines: Vec<Value> = lines.collect();
                    operation["done"] = true.into();
                    operation["response"] =
                        json!({"inlinedResponses": {"inlinedResponses": lines}});
                }
                operation
            }
        }
    }

    /// The results, the last line first. With `errors`, only those that failed or only those that did not.
    fn lines(&self, batch: &Batch, errors: Option<bool>) -> String {
        let mut all = String::new();
        for (id, body) in batch.lines.iter().rev() {
            let model = body["model"].as_str().unwrap_or(&batch.model);
            let fault = fault_of(&body.to_string());
            if fault == "lost" {
                continue;
            }
            let (status, answer) = match fault.strip_prefix("status-").and_then(|n| n.parse().ok())
            {
                Some(status) => (status, content(&self.wire.error(status, None, None))),
                None => self.answer(model, body),
            };
            let is_expired = fault == "expired";
            let failed = is_expired || status >= 300;
            if errors.is_some_and(|errors| errors != failed) {
                continue;
            }
            let line = match self.shape {
                Shape::OpenAi | Shape::Mistral if is_expired => {
                    json!({"id": "r", "custom_id": id, "response": null, "error": {"code": "batch_expired", "message": "Too late."}})
                }
                Shape::OpenAi | Shape::Mistral => json!({"id": "r", "custom_id": id,
                    "response": {"status_code": status, "request_id": "q", "body": answer}, "error": null}),
                Shape::Anthropic => {
                    let result = match (is_expired, failed) {
                        (true, _) => json!({"type": "expired"}),
                        (_, true) => json!({"type": "errored", "error": answer}),
                        _ => json!({"type": "succeeded", "message": answer}),
                    };
                    json!({"custom_id": id, "result": result})
                }
                Shape::Gemini => match failed {
                    true => json!({"error": answer["error"], "metadata": {"custom_id": id}}),
                    false => json!({"response": answer, "metadata": {"custom_id": id}}),
                },
            };
            all.push_str(&line.to_string());
            all.push('\n');
        }
        all
    }

    /// The protocol's answer to a call with this body.
    fn answer(&self, model: &str, body: &Value) -> (u16, Value) {
        let mut body = body.clone();
        if self.shape == Shape::Mistral {
            body["model"] = model.into();
        }
        let base = self.path.find("/v1/").map_or("", |at| &self.path[..at]);
        let path = match self.shape {
            Shape::OpenAi | Shape::Mistral => format!("{base}/v1/chat/completions"),
            Shape::Anthropic => "/v1/messages".to_owned(),
            Shape::Gemini => format!("/v1beta/models/{model}:generateContent"),
        };
        let request = Request {
            method: "POST".to_owned(),
            path: path.clone(),
            body: body.to_string().into(),
            ..self.request.clone()
        };
        let reply = self.wire.respond(&Call {
            state: self.state,
            request: &request,
            path: &path,
            json: Ok(body),
            model: model.to_owned(),
            service: None,
            faults: Faults::default(),
            number: 0,
        });
        (reply.status, content(&reply))
    }
}

/// The fault that the text of a line asks for; empty if it asks for none.
pub(crate) fn fault_of(line: &str) -> String {
    let fault = line
        .split_once("batch fault: ")
        .map_or("", |(_, rest)| rest);
    let end = fault.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    fault[..end.unwrap_or(fault.len())].to_owned()
}

pub(crate) fn content(reply: &Reply) -> Value {
    match &reply.content {
        Content::Whole(body) => serde_json::from_slice(body).unwrap_or_default(),
        Content::Stream(_) => Value::Null,
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Days are counted from 1 March of the year 0, as in Howard Hinnant's `civil_from_days`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month, year) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
        year + era * 400,
    );
    let year = year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000000+00:00",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}
