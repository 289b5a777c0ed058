//! A chat, from the request to the response.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::check::check;
use super::frame::Frame;
use super::request::ask;
use super::{Cerebras, bad, no_model};
use crate::fault::split_mix;
use crate::protocol::{Call, Content, Reply, is_true, text_of, uuid};
use crate::response::ModelResponse;

pub(super) fn chat(call: &Call<'_>) -> Reply {
    let body = match &call.json {
        Ok(body) => body,
        Err(error) => return bad(&format!("body: not JSON: {error}")),
    };
    if let Err(message) = check(body) {
        return bad(&message);
    }
    if call.model.starts_with("missing") {
        return no_model(&call.model);
    }
    let ask = ask(call, body);
    let streaming = is_true(body, "stream");
    let load = ask.load.filter(|_| plain(body));
    // The id is part of the prepared response.
    let mut seed = if load.is_some() { 0 } else { call.number };
    let id = format!("chatcmpl-{}", uuid(&mut seed));
    let headers = headers(call, &id);
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("cerebras", streaming, load, || {
        let n = body.get("n").and_then(Value::as_u64).unwrap_or(1) as usize;
        let format = text_of(body, "reasoning_format");
        let answers: Vec<ModelResponse> = (0..n)
            .map(|choice| {
                let mut answer = ModelResponse::new(&ask, choice, seed);
                if format == "hidden" {
                    answer.hide_reasoning();
                } else if format == "raw" || call.faults.think_tags {
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
        let frame = Frame {
            id,
            model: call.model.clone(),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
            logprobs: is_true(body, "logprobs"),
            alternatives: body
                .get("top_logprobs")
                .and_then(Value::as_u64)
                .unwrap_or(0) as usize,
            fragments: call.model.contains("oss"),
            pace: call.state.pace.each.as_secs_f64().max(0.0005),
        };
        if streaming {
            Content::Stream(frame.events(&answers).freeze())
        } else {
            Content::Whole(frame.whole(&answers).into())
        }
    });
    Reply {
        wire: &Cerebras,
        status: 200,
        content_type: if streaming {
            "text/event-stream; charset=utf-8"
        } else {
            "application/json"
        },
        headers,
        content,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    }
}

/// Whether a prepared load response may be used.
fn plain(body: &Value) -> bool {
    let asks = [
        "n",
        "logprobs",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "response_format",
    ];
    asks.iter()
        .all(|name| body.get(name).is_none_or(Value::is_null))
}

fn headers(call: &Call<'_>, id: &str) -> Vec<(&'static str, String)> {
    let used = call.number % 100_000;
    vec![
        ("inference-id", id.to_owned()),
        ("x-ratelimit-limit-requests-day", "1440000".to_owned()),
        ("x-ratelimit-limit-tokens-minute", "1000000".to_owned()),
        (
            "x-ratelimit-remaining-requests-day",
            (1_439_999 - used).to_string(),
        ),
        (
            "x-ratelimit-remaining-tokens-minute",
            (999_500 - used).to_string(),
        ),
        (
            "x-ratelimit-reset-requests-day",
            format!("{}.481203079223633", 40_000 - used % 30_000),
        ),
        (
            "x-ratelimit-reset-tokens-minute",
            format!("{}.481203079223633", 59 - used % 50),
        ),
        (
            "x-request-id",
            format!("{:016x}-LOO", split_mix(&mut (call.number ^ 0x5eed))),
        ),
    ]
}
