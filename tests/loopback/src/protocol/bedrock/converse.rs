//! A chat, from the request to the response.

use serde_json::Value;

use super::check::check;
use super::events::events;
use super::message::message;
use super::request::ask;
use super::{FRONT, exception, invalid, whole};
use crate::protocol::{Call, Content, Reply};
use crate::response::ModelResponse;

pub(super) fn converse(call: &Call<'_>, streaming: bool) -> Reply {
    let Ok(body) = &call.json else {
        return exception(
            400,
            FRONT,
            "SerializationException",
            "The body is not JSON.",
        );
    };
    if let Err(message) = check(body) {
        return invalid(&message);
    }
    if call.model.starts_with("missing") {
        return invalid("The provided model identifier is invalid.");
    }
    let ask = ask(call, body);
    let load = ask
        .load
        .filter(|_| body.get("toolConfig").is_none() && body.get("inferenceConfig").is_none());
    let mut tokens = load.unwrap_or_default();
    let content = call.prepared("bedrock", streaming, load, || {
        let mut answer = ModelResponse::new(&ask, 0, call.number);
        if call.faults.think_tags {
            answer.tag_reasoning();
        }
        tokens = answer.tokens();
        let latency = 30 + tokens;
        if streaming {
            Content::Stream(events(&answer, &call.model, latency).freeze())
        } else {
            Content::Whole(message(&answer, latency).to_string().into())
        }
    });
    let content_type = if streaming {
        "application/vnd.amazon.eventstream"
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
