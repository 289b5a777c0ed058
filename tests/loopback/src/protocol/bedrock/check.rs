//! Requests that the service would refuse.

use serde_json::Value;

use crate::protocol::{list, schema, text_of};

pub(super) fn check(body: &Value) -> Result<(), String> {
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err("The messages must not be empty.".to_owned());
    }
    if text_of(&messages[0], "role") != "user" {
        return Err("A conversation must start with a message of the user.".to_owned());
    }
    let mut tools = false;
    for (at, message) in messages.iter().enumerate() {
        if !["user", "assistant", "system"].contains(&text_of(message, "role")) {
            return Err(format!("messages.{at}.role must be user or assistant."));
        }
        let blocks = list(message, "content");
        if blocks.is_empty() {
            return Err(format!("The content of messages.{at} is empty."));
        }
        for block in blocks {
            if block.as_object().is_none_or(|block| block.len() != 1) {
                return Err(format!(
                    "A content block of messages.{at} must have exactly one member."
                ));
            }
            if block
                .get("text")
                .is_some_and(|text| text.as_str().is_none_or(|text| text.trim().is_empty()))
            {
                return Err(format!(
                    "The text of a content block of messages.{at} is blank."
                ));
            }
            tools |= block.get("toolUse").is_some() || block.get("toolResult").is_some();
        }
    }
    if tools && body.get("toolConfig").is_none() {
        return Err("The toolConfig must be given where messages use tools.".to_owned());
    }
    if body
        .get("toolConfig")
        .is_some_and(|config| list(config, "tools").is_empty())
    {
        return Err("The toolConfig must have at least one tool.".to_owned());
    }
    for (name, least, most) in [
        ("temperature", 0.0, 1.0),
        ("topP", 0.0, 1.0),
        ("maxTokens", 1.0, 1e9),
    ] {
        let value = body
            .get("inferenceConfig")
            .and_then(|config| config.get(name));
        if value.is_some_and(|value| {
            value
                .as_f64()
                .is_none_or(|value| !(least..=most).contains(&value))
        }) {
            return Err(format!(
                "The value of {name} must be from {least} to {most}."
            ));
        }
    }
    match schema::refused_in("bedrock", body) {
        Some(wrong) => Err(wrong),
        None => Ok(()),
    }
}
