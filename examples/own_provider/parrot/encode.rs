//! A `ChatRequest` as Parrot's JSON. Each part of it is sent, refused by name, or dropped with a warning.

use serde_json::{Map, Value, json};
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind, Message, Tool,
    chat::{Param, Warning},
};

pub(super) fn body(provider: &str, request: &ChatRequest) -> Result<(String, Vec<Warning>), Error> {
    let mut warnings = Vec::new();
    let mut unsupported = |what: &str| {
        let message = format!("`{provider}` does not support {what}");
        if !request.drop_unsupported {
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        warnings.push(Warning::new("unsupported_parameter", message));
        Ok(())
    };
    for param in request.params() {
        match param {
            Param::MaxTokens | Param::Tools => {}
            other => unsupported(&format!("`{}`", other.name()))?,
        }
    }
    let mut tools = Vec::new();
    for tool in &request.tools {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                strict: None | Some(false),
            } => tools.push(json!({"trick": name, "about": description, "input": parameters})),
            Tool::Function { name, .. } => unsupported(&format!("`strict` of the tool `{name}`"))?,
            _ => unsupported("tools of another provider")?,
        }
    }
    if request
        .messages
        .iter()
        .any(|message| message.name.is_some())
    {
        unsupported("the `name` of a message")?;
    }
    let mut lines = Vec::new();
    for message in &request.messages {
        lines.push(line(message, &mut warnings)?);
    }
    let known = [
        ("bird", json!(request.model)),
        ("lines", Value::Array(lines)),
        ("tricks", json!(tools)),
        ("limit", json!(request.max_tokens)),
        ("live", json!(request.stream)),
    ];
    let mut body = Map::from_iter(known.map(|(name, value)| (name.to_owned(), value)));
    // Fields that the library does not know are merged last.
    for (name, value) in &request.extra {
        body.insert(name.clone(), value.decode()?);
    }
    Ok((Value::Object(body).to_string(), warnings))
}

fn line(message: &Message, warnings: &mut Vec<Warning>) -> Result<Value, Error> {
    let mut left_out = |code, what: &str| {
        warnings.push(Warning::new(code, format!("{what} was not sent")));
    };
    let mut parts = Vec::new();
    for part in &message.content {
        parts.push(match part {
            ContentPart::Text { text, .. } | ContentPart::Refusal { text } => json!({"text": text}),
            ContentPart::ToolCall(call) => {
                if call.provider_data.is_some() {
                    left_out(
                        "opaque_left_out",
                        "data of another provider with a tool call",
                    );
                }
                json!({"id": call.id, "trick": call.name, "with": call.arguments})
            }
            ContentPart::ToolResult(result) => {
                let mut text = String::new();
                for part in &result.content {
                    match part {
                        ContentPart::Text { text: more, .. } => text.push_str(more),
                        _ => return Err(cannot_send("a tool result with other content than text")),
                    }
                }
                json!({"of": result.call_id, "text": text, "failed": result.is_error})
            }
            // The conversation makes sense without these two.
            ContentPart::Reasoning { .. } => {
                left_out("reasoning_left_out", "the reasoning of an earlier response");
                continue;
            }
            ContentPart::ProviderBlock(_)
            | ContentPart::HostedToolCall(_)
            | ContentPart::HostedToolResult(_)
            | ContentPart::Compaction(_) => {
                left_out("opaque_left_out", "a block of another provider");
                continue;
            }
            // Without an image the message has another meaning: refused even with `drop_unsupported`.
            _ => return Err(cannot_send("an image, audio, video or document")),
        });
    }
    Ok(json!({"who": message.role, "says": parts}))
}

fn cannot_send(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("{what} cannot be sent to `parrot`"),
    )
}
