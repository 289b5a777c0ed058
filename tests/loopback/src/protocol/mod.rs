//! One file per protocol. A protocol renders a response as a [`Reply`] and defines the format of its errors.

mod anthropic;
pub(crate) mod batches;
mod bedrock;
mod cerebras;
mod cohere;
mod embed;
mod gemini;
mod hosted;
mod interactions;
pub(crate) mod kept;
mod ollama;
mod openai;
mod paused;
pub(crate) mod prompt_cache;
mod responses;
mod schema;
mod sigv4;
pub(crate) mod small_calls;

pub use schema::{refusal as schema_refusal, tool_refusal};

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use crate::fault::{Faults, split_mix};
use crate::script::{self, Script};
use crate::{Config, Request, State};

/// The protocol of an API.
pub(crate) trait Protocol: Sync {
    /// The model that a request is for.
    fn model(&self, path: &str, json: Option<&Value>) -> Option<String> {
        let _ = path;
        Some(json?.get("model")?.as_str()?.to_owned())
    }

    fn respond(&self, call: &Call<'_>) -> Reply;

    /// The service's error with this status, or with this code and message.
    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply;

    /// The error for a conversation that is too long.
    fn overflow(&self) -> Reply;

    /// An error instead of a single-body response, whatever the status.
    fn error_in_200(&self) -> String;

    /// An error instead of an event, perhaps the first.
    fn error_event(&self, code: Option<&str>, first: bool) -> Vec<u8>;

    /// The event that ends a stream. Empty if the protocol has none.
    fn end_marker(&self) -> &'static [u8] {
        b""
    }

    /// Data that a reader must skip.
    fn filler(&self) -> Vec<u8> {
        b": ping\n\n".to_vec()
    }

    /// The first half of an event, framed as a complete one.
    fn half(&self, event: &[u8]) -> Vec<u8> {
        [&event[..event.len() / 2], b"\n\n"].concat()
    }

    /// The beginning of an endless event.
    fn endless(&self) -> Vec<u8> {
        b"data: {\"id\":\"".to_vec()
    }

    /// Whether events are lines of text.
    fn is_text(&self) -> bool {
        true
    }
}

/// A response before its faults.
pub(crate) struct Reply {
    pub(crate) wire: &'static dyn Protocol,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
    /// The number of tokens of a single-body response.
    pub(crate) tokens: u32,
}

#[derive(Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    Stream(Events),
}

/// The events of a stream, concatenated.
#[derive(Clone, Default)]
pub(crate) struct Events {
    pub(crate) bytes: Bytes,
    pub(crate) ends: Arc<[usize]>,
    /// The events in HTTP chunks, if they were prepared.
    pub(crate) chunked: Option<(Bytes, Arc<[usize]>)>,
}

/// Events that are being assembled.
#[derive(Default)]
pub(crate) struct EventsMut {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A request and its context.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) request: &'a Request,
    /// The path without the query.
    pub(crate) path: &'a str,
    pub(crate) json: Result<Value, serde_json::Error>,
    /// The model's name without the fault.
    pub(crate) model: String,
    /// The service in the path of OpenAI's protocols: `/as/mistral/v1/...`.
    pub(crate) service: Option<&'a str>,
    pub(crate) faults: Faults,
    /// The number of the call on this server.
    pub(crate) number: u64,
}

/// The protocol of a path, and whether the path is for responses.
fn route(request: &Request, path: &str) -> (&'static dyn Protocol, bool) {
    let starts = |prefix: &str| path.starts_with(prefix);
    let wire: &'static dyn Protocol = if [
        "/model/",
        "/model-invocation-job",
        "/s3/",
        "/foundation-models",
        "/inference-profiles",
    ]
    .into_iter()
    .any(starts)
    {
        &bedrock::Bedrock
    } else if starts("/v2/")
        || (starts("/v1/models")
            && (request.path.contains("page_size=") || starts("/v1/models/command-")))
    {
        &cohere::Cohere
    } else if starts("/api/") {
        &ollama::Ollama
    } else if starts("/v1/projects/") && path.contains("/publishers/anthropic/") {
        &anthropic::Anthropic
    } else if starts("/v1beta")
        && (path.ends_with("/interactions") || path.contains("/interactions/"))
    {
        &interactions::Interactions
    } else if starts("/v1beta/") || starts("/v1/projects/") {
        let array = path.ends_with(":streamGenerateContent") && !request.path.contains("alt=sse");
        if array {
            &gemini::Gemini { array: true }
        } else {
            &gemini::Gemini { array: false }
        }
    } else if starts("/v1/messages")
        || (starts("/v1/models") && request.header("anthropic-version").is_some())
    {
        &anthropic::Anthropic
    } else if starts("/v1/responses") || starts("/openai/v1/responses") {
        &responses::Responses
    } else if starts("/openai/") {
        &openai::OpenAi
    } else {
        &cerebras::Cerebras
    };
    (wire, request.method == "POST")
}

/// Responds to a request.
pub(crate) fn respond(state: &State, request: &Request) -> Script {
    let number = state.served.fetch_add(1, Relaxed);
    let path = request.path.split('?').next().unwrap_or_default();
    let named = path
        .strip_prefix("/as/")
        .and_then(|rest| rest.split_once('/'));
    let service = named.map(|(service, _)| service);
    let renamed = named.map(|(_, rest)| ["/openai/", rest].concat());
    let path = renamed.as_deref().unwrap_or(path);
    let (wire, answers) = route(request, path);
    let json = serde_json::from_slice::<Value>(&request.body);
    let asked = wire.model(path, json.as_ref().ok()).unwrap_or_default();
    let (model, in_model) = match (asked.strip_prefix("fault-"), asked.split_once('~')) {
        (Some(spec), _) => (asked.as_str(), Some(spec)),
        (None, Some((model, spec))) => (model, Some(spec)),
        _ => (asked.as_str(), None),
    };
    let faults = match request.header("x-loopback-fault").or(in_model) {
        Some(spec) => state.chooser.named(spec),
        None if answers || batches::is_api(path) => Ok(state.chooser.random()),
        None => Ok(Faults::default()),
    };
    let model = model.to_owned();
    let (reply, faults) = match faults {
        Ok(faults) => {
            // A refused call does nothing.
            let batches = match faults.is_refused() {
                true => None,
                false => batches::respond(state, request, path, wire),
            };
            let call = Call {
                state,
                request,
                path,
                json,
                model,
                service,
                faults,
                number,
            };
            let reply = match batches.or_else(|| small_calls::respond(&call, wire)) {
                Some(reply) => reply,
                None => wire.respond(&call),
            };
            (reply, call.faults)
        }
        Err(error) => (wire.error(400, None, Some(&error)), Faults::default()),
    };
    let pace = if answers && reply.status == 200 {
        &state.pace
    } else {
        &Config::fast().pace
    };
    Script::new(reply, &faults, pace, request)
}

impl Call<'_> {
    /// Load responses are prepared once, so that later ones cost only their bytes.
    fn prepared(
        &self,
        wire: &str,
        stream: bool,
        load: Option<usize>,
        make: impl FnOnce() -> Content,
    ) -> Content {
        let Some(tokens) = load else { return make() };
        let key = format!("{wire} {stream} {tokens}");
        let loads = || {
            self.state
                .loads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(content) = loads().get(&key) {
            return content.clone();
        }
        let mut content = make();
        if let Content::Stream(events) = &mut content {
            events.chunked = Some(script::chunked(
                events,
                self.state.pace.group(),
                None,
                None,
                true,
            ));
        }
        // Clients choose their length, so the number of prepared ones is limited.
        if loads().len() < 64 {
            loads().insert(key, content.clone());
        }
        content
    }

    /// The number of content tokens of a load model.
    fn load(&self) -> Option<usize> {
        let tokens: usize = self.model.strip_prefix("load-")?.parse().ok()?;
        Some(tokens.min(100_000))
    }

    /// Whether the model reasons.
    fn thinks(&self) -> bool {
        self.faults.think_tags
            || ["oss", "think", "glm"]
                .iter()
                .any(|part| self.model.contains(part))
    }

    /// Whether a bearer key, or one in the header of this name, is accepted.
    fn key_is_right(&self, header: &str) -> bool {
        let key = self
            .request
            .header(header)
            .or_else(|| self.request.header("authorization"));
        let key = key.map(|key| key.strip_prefix("Bearer ").unwrap_or(key));
        key != Some("wrong")
            && self
                .state
                .api_key
                .as_deref()
                .is_none_or(|right| key == Some(right))
    }
}

impl Events {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(self.ends.iter());
        starts
            .zip(self.ends.iter())
            .map(|(from, to)| &self.bytes[*from..*to])
    }

    pub(crate) fn last(&self) -> &[u8] {
        self.iter().last().unwrap_or_default()
    }

    /// Half of the events, and half of one more that is framed as a complete one.
    pub(crate) fn half(&self, wire: &dyn Protocol) -> Self {
        let at = self.len() / 2;
        let mut half = EventsMut::default();
        self.iter().take(at).for_each(|event| half.push(event));
        if let Some(event) = self.iter().nth(at) {
            half.push(&wire.half(event));
        }
        half.freeze()
    }
}

impl EventsMut {
    pub(crate) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }

    /// Bytes that belong to the next event.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn freeze(self) -> Events {
        Events {
            bytes: self.bytes.into(),
            ends: self.ends.into(),
            chunked: None,
        }
    }

    pub(crate) fn freeze_with_crlf(self) -> Events {
        let events = self.freeze();
        let mut changed = Self::default();
        for event in events.iter() {
            for line in event.split_inclusive(|byte| *byte == b'\n') {
                match line
                    .strip_suffix(b"\n")
                    .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
                {
                    Some(line) => {
                        changed.append(line);
                        changed.append(b"\r\n");
                    }
                    None => changed.append(line),
                }
            }
            changed.push(b"");
        }
        changed.freeze()
    }
}

fn text_of<'a>(json: &'a Value, name: &str) -> &'a str {
    json.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_true(json: &Value, name: &str) -> bool {
    json.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn list<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json.get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The text of a content that is a string or a list of parts.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

fn strings(json: Option<&Value>) -> Vec<String> {
    match json {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all
            .iter()
            .filter_map(|one| Some(one.as_str()?.to_owned()))
            .collect(),
        _ => Vec::new(),
    }
}

/// An event with a name and data.
fn named_event(name: &str, payload: &Value) -> Vec<u8> {
    format!("event: {name}\ndata: {payload}\n\n").into_bytes()
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn uuid(seed: &mut u64) -> String {
    let (a, b) = (split_mix(seed), split_mix(seed));
    let (c, d, e) = (a as u32, (a >> 32) as u16, (a >> 48) as u16 & 0xfff);
    format!(
        "{c:08x}-{d:04x}-4{e:03x}-{:04x}-{:012x}",
        (b >> 48) & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}

/// An id of `n` letters and digits.
fn letters(seed: &mut u64, n: usize) -> String {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (0..n)
        .map(|_| LETTERS[(split_mix(seed) % 62) as usize] as char)
        .collect()
}
