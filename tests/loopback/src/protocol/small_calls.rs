//! Small JSON calls as they were recorded: Gemini's cached contents, OpenAI's token counts and compactions, the tokenizers of
//! llama.cpp and vLLM.
//!
//! A token is a word, as in all responses of this server. A cached content needs 8 tokens; its expiry is what the request
//! says, and no clock deletes it. At most 1,024 are kept.

use std::sync::PoisonError;

use serde_json::{Value, json};

use super::{Call, Content, Protocol, Reply, list, text_of};
use crate::response::count;

const MIN_TOKENS: usize = 8;
const CAPACITY: usize = 1024;
/// Instead of a clock.
const NOW: &str = "2026-11-30T00:00:00.000000Z";

/// The cached contents of a server, the newest last.
#[derive(Default)]
pub(crate) struct CachedContents {
    contents: Vec<Value>,
    created: usize,
}

/// The response, if the path is one of these calls.
pub(crate) fn respond(call: &Call<'_>, wire: &'static dyn Protocol) -> Option<Reply> {
    let openai = call.path.strip_prefix("/openai").unwrap_or(call.path);
    let answer = match (call.request.method.as_str(), openai) {
        ("POST", "/v1/responses/input_tokens") => input_tokens(call),
        ("POST", "/v1/responses/compact") => compact(call),
        ("POST", "/tokenize") => tokenize(call),
        ("POST", "/apply-template") => template(call),
        _ => cached_contents(call)?,
    };
    let key = ["authorization", "x-goog-api-key"];
    if key.iter().any(|name| !call.key_is_right(name)) {
        return Some(wire.error(401, None, None));
    }
    Some(match answer {
        Ok(body) => Reply {
            wire,
            status: 200,
            content_type: "application/json",
            headers: Vec::new(),
            content: Content::Whole(body.to_string().into()),
            tokens: 0,
        },
        Err((status, message)) => wire.error(status, None, Some(&message)),
    })
}

type Answer = Result<Value, (u16, String)>;

fn body<'c>(call: &'c Call<'_>, known: &[&str]) -> Result<&'c Value, (u16, String)> {
    let body = call
        .json
        .as_ref()
        .map_err(|error| (400, error.to_string()))?;
    let unknown = body.as_object().and_then(|members| {
        let mut names = members.keys();
        names.find(|name| !known.contains(&name.as_str()))
    });
    match unknown {
        Some(name) => Err((400, format!("Unknown parameter: '{name}'."))),
        None => Ok(body),
    }
}

/// The words of all texts in a value.
fn words(value: &Value) -> usize {
    match value {
        Value::String(text) => count(text),
        Value::Array(values) => values.iter().map(words).sum(),
        Value::Object(members) => members.values().map(words).sum(),
        _ => 0,
    }
}

fn input_tokens(call: &Call<'_>) -> Answer {
    let known = [
        "model",
        "input",
        "instructions",
        "previous_response_id",
        "conversation",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "truncation",
    ];
    let body = body(call, &known)?;
    let tokens: usize = ["input", "instructions", "tools", "text"]
        .iter()
        .map(|name| words(&body[*name]))
        .sum();
    Ok(json!({"object": "response.input_tokens", "input_tokens": tokens}))
}

/// The messages of the user stay; the rest becomes one item.
fn compact(call: &Call<'_>) -> Answer {
    let known = [
        "model",
        "input",
        "instructions",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
    ];
    let body = body(call, &known)?;
    let user = list(body, "input")
        .iter()
        .filter(|item| text_of(item, "role") == "user");
    let mut output: Vec<Value> = user
        .enumerate()
        .map(|(at, item)| {
            let content = match &item["content"] {
                Value::String(text) => json!([{"type": "input_text", "text": text}]),
                content => content.clone(),
            };
            json!({"type": "message", "id": format!("msg_{at}"), "status": "completed", "role": "user", "content": content})
        })
        .collect();
    output.push(
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "loopback-compaction"}),
    );
    let (input, written) = (words(body), 5);
    Ok(json!({
        "id": "resp_compacted", "object": "response.compaction", "created_at": 1_760_000_000, "output": output,
        "usage": {"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + written},
    }))
}

/// Of a text as llama.cpp, of messages as vLLM.
fn tokenize(call: &Call<'_>) -> Answer {
    let body = call
        .json
        .as_ref()
        .map_err(|error| (400, error.to_string()))?;
    let numbers = |n: usize| (0..n).collect::<Vec<_>>();
    match body.get("content") {
        Some(content) => Ok(json!({"tokens": numbers(words(content))})),
        None => {
            let n = words(&body["messages"]) + words(&body["tools"]);
            Ok(json!({"count": n, "max_model_len": 4096, "tokens": numbers(n), "token_strs": null}))
        }
    }
}

fn template(call: &Call<'_>) -> Answer {
    let body = body(call, &["messages", "tools", "chat_template_kwargs"])?;
    let turns = list(body, "messages").iter().map(|message| {
        let content = super::text(message.get("content"));
        format!("{} {content}\n", text_of(message, "role"))
    });
    Ok(json!({"prompt": turns.collect::<String>()}))
}

fn cached_contents(call: &Call<'_>) -> Option<Answer> {
    let (folder, id) = call.path.split_once("/cachedContents")?;
    let parent = match folder {
        "/v1beta" => "",
        other => other
            .strip_prefix("/v1/")
            .filter(|p| p.starts_with("projects/"))?,
    };
    let collection = match parent {
        "" => "cachedContents".to_owned(),
        parent => format!("{parent}/cachedContents"),
    };
    let mut store = call.state.cached_contents.lock();
    let store = match &mut store {
        Ok(store) => &mut **store,
        Err(poisoned) => &mut **poisoned.get_mut(),
    };
    let name = format!("{collection}{id}");
    let at = store
        .contents
        .iter()
        .position(|content| content["name"] == *name);
    let missing = || {
        (
            403,
            "CachedContent not found (or permission denied)".to_owned(),
        )
    };
    Some(match (call.request.method.as_str(), id) {
        ("POST", "") => store.create(call, &collection),
        ("GET", "") => Ok(store.page(call)),
        ("GET", _) => at.map(|at| store.contents[at].clone()).ok_or_else(missing),
        ("DELETE", _) => at
            .map(|at| {
                store.contents.remove(at);
                json!({})
            })
            .ok_or_else(missing),
        ("PATCH", _) => at.ok_or_else(missing).and_then(|at| {
            let body = body(call, &["ttl", "expireTime"])?;
            store.contents[at]["expireTime"] = expiry(body);
            Ok(store.contents[at].clone())
        }),
        _ => Err((404, "There is no such method.".to_owned())),
    })
}

/// Times are not computed: the expiry of a life is its text.
fn expiry(body: &Value) -> Value {
    match (&body["expireTime"], &body["ttl"]) {
        (Value::String(time), _) => json!(time),
        (_, Value::String(life)) => json!(format!("{NOW}+{life}")),
        _ => json!(format!("{NOW}+3600s")),
    }
}

impl CachedContents {
    fn create(&mut self, call: &Call<'_>, collection: &str) -> Answer {
        let known = [
            "model",
            "contents",
            "systemInstruction",
            "tools",
            "toolConfig",
            "displayName",
            "ttl",
            "expireTime",
        ];
        let body = body(call, &known)?;
        let tokens: usize = ["contents", "systemInstruction", "tools"]
            .iter()
            .map(|name| words(&body[*name]))
            .sum();
        if tokens < MIN_TOKENS {
            let message = format!(
                "Cached content is too small. total_token_count={tokens}, min_total_token_count={MIN_TOKENS}"
            );
            return Err((400, message));
        }
        if self.contents.len() == CAPACITY {
            self.contents.remove(0);
        }
        self.created += 1;
        let content = json!({
            "name": format!("{collection}/c{}", self.created), "model": body["model"], "displayName": text_of(body, "displayName"),
            "createTime": NOW, "updateTime": NOW, "expireTime": expiry(body), "usageMetadata": {"totalTokenCount": tokens},
        });
        self.contents.push(content.clone());
        Ok(content)
    }

    /// Pages of two, whatever the client wants, so that a list has several.
    fn page(&self, call: &Call<'_>) -> Value {
        let token = call.request.path.split_once("pageToken=");
        let first: usize = token.map_or(0, |(_, token)| token.parse().unwrap_or(0));
        let page: Vec<_> = self.contents.iter().rev().skip(first).take(2).collect();
        let mut answer = json!({});
        if !page.is_empty() {
            answer["cachedContents"] = json!(page);
        }
        if first + 2 < self.contents.len() {
            answer["nextPageToken"] = json!((first + 2).to_string());
        }
        answer
    }
}

/// The tokens of a cached content, if a request names one.
pub(crate) fn cached_tokens(call: &Call<'_>, body: &Value) -> Option<Result<usize, Reply>> {
    let name = body.get("cachedContent")?.as_str()?;
    let store = call
        .state
        .cached_contents
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let content = store
        .contents
        .iter()
        .find(|content| content["name"] == name);
    let tokens = content.and_then(|content| content["usageMetadata"]["totalTokenCount"].as_u64());
    Some(match tokens {
        Some(tokens) => Ok(tokens as usize),
        None => Err(super::gemini::Gemini { array: false }.error(
            403,
            None,
            Some("CachedContent not found (or permission denied)"),
        )),
    })
}
