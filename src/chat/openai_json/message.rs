use super::{Failure, Object, Read, decode, kind_of, read_all, read_object};
use crate::{
    ContentPart, Json, Media, Message, Role, ToolCall, ToolResult,
    chat::{Citation, ImageDetail},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::Error};

impl<'de> Deserialize<'de> for Message {
    /// Reads the format that [`Message`] is written in: a message of OpenAI's chat completions API. It also reads the
    /// message of a serialised [`UnifiedChatResponse`](crate::UnifiedChatResponse).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        message(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub(super) fn message(json: &Json) -> Read<Message> {
    let mut object = Object::read(json)?;
    let role: Role = object.require("role")?;
    let name = object.take_as("name")?;
    let text = match object.take("content") {
        Some(content) => read_content(&content).map_err(|failure| failure.in_member("content"))?,
        // Only an assistant message may have no content.
        None if role == Role::Assistant => Vec::new(),
        None => return Err(Failure::new("is missing").in_member("content")),
    };
    let reasoning: Option<String> = object.take_as("reasoning")?;
    let other: Option<String> = object.take_as("reasoning_content")?;
    if reasoning.is_some() && other.is_some() && reasoning != other {
        let failure = Failure::new("differs from `reasoning`: a message can have only one of them");
        return Err(failure.in_member("reasoning_content"));
    }
    let mut parts = Vec::new();
    parts.extend(
        reasoning
            .or(other)
            .filter(|text| !text.is_empty())
            .map(|text| ContentPart::Reasoning {
                text,
                signature: None,
            }),
    );
    parts.extend(text);
    if let Some(text) = object.take_as("refusal")? {
        parts.push(ContentPart::Refusal { text });
    }
    let calls = object.take_list("tool_calls", tool_call)?;
    parts.extend(calls.into_iter().map(ContentPart::ToolCall));
    cite(&mut parts, object.take_as("citations")?.unwrap_or_default());
    cite(&mut parts, object.take_list("annotations", annotation)?);
    if let Some(call_id) = object.take_as("tool_call_id")? {
        parts = vec![ContentPart::ToolResult(ToolResult {
            call_id,
            name: name.clone(),
            content: parts,
            ..ToolResult::default()
        })];
    }
    // A serialised response has the parts too, if the fields above cannot express all of them.
    if let Some(all) = object.take_as("parts")? {
        parts = all;
    }
    object.end()?;
    Ok(Message {
        role,
        content: parts,
        name,
    })
}

fn read_content(content: &Json) -> Read<Vec<ContentPart>> {
    match content.as_str().as_bytes().first() {
        Some(b'"') => Ok(vec![ContentPart::text(decode::<String>(content)?)]),
        Some(b'[') => read_all(&decode::<Vec<Json>>(content)?, part),
        _ => Err(Failure::new(format_args!(
            "must be a string or a list of parts, not {}",
            kind_of(content)
        ))),
    }
}

/// Reads a part in OpenAI's format, or in that of [`ContentPart`].
fn part(json: &Json) -> Read<ContentPart> {
    let mut object = Object::read(json)?;
    let kind: String = object.require("type")?;
    let part = match kind.as_str() {
        "text" => ContentPart::Text {
            text: object.require("text")?,
            citations: object.take_as("citations")?.unwrap_or_default(),
        },
        "image_url" => {
            let (url, detail) = address(&mut object, "image_url")?;
            ContentPart::Image {
                media: Media::Url {
                    url,
                    mime_type: None,
                },
                detail,
            }
        }
        "video_url" => ContentPart::Video {
            media: Media::Url {
                url: address(&mut object, "video_url")?.0,
                mime_type: None,
            },
        },
        "input_audio" => ContentPart::Audio {
            media: object.require_object("input_audio", audio)?,
        },
        "file" => object.require_object("file", file)?,
        "refusal" => ContentPart::Refusal {
            text: match object.take_as("refusal")? {
                Some(text) => text,
                None => object.require("text")?,
            },
        },
        "image" | "audio" | "video" | "document" | "reasoning" | "tool_call" | "tool_result"
        | "opaque" => return decode(json),
        _ => {
            let message = format!("unknown part type `{}`", kind.escape_debug());
            return Err(Failure::new(message).in_member("type"));
        }
    };
    object.end()?;
    Ok(part)
}

/// Reads `{"url": .., "detail": ..}`, or the URL alone, as several servers write it.
fn address(object: &mut Object, member: &str) -> Read<(String, Option<ImageDetail>)> {
    let value: Json = object.require(member)?;
    if value.as_str().starts_with('"') {
        return Ok((decode(&value)?, None));
    }
    read_object(&value, |object| {
        Ok((object.require("url")?, object.take_as("detail")?))
    })
    .map_err(|failure| failure.in_member(member))
}

fn audio(object: &mut Object) -> Read<Media> {
    let format: String = object.require("format")?;
    let mime_type = match format.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    Ok(Media::inline(
        mime_type,
        base64(object, "data", str::to_owned)?,
    ))
}

fn file(object: &mut Object) -> Read<ContentPart> {
    let name = object.take_as("filename")?;
    if let Some(id) = object.take_as("file_id")? {
        return Ok(ContentPart::Document {
            media: Media::File { id },
            name,
        });
    }
    let mut mime_type = String::from("application/pdf");
    let data = base64(object, "file_data", |text| {
        match text
            .strip_prefix("data:")
            .and_then(|url| url.split_once(";base64,"))
        {
            Some((kind, data)) => {
                kind.clone_into(&mut mime_type);
                data.to_owned()
            }
            None => text.to_owned(),
        }
    })?;
    Ok(ContentPart::Document {
        media: Media::inline(mime_type, data),
        name,
    })
}

fn base64(object: &mut Object, member: &str, strip: impl FnOnce(&str) -> String) -> Read<Vec<u8>> {
    let text: String = object.require(member)?;
    STANDARD
        .decode(strip(&text))
        .map_err(|e| Failure::new(format_args!("not base64: {e}")).in_member(member))
}

fn tool_call(json: &Json) -> Read<ToolCall> {
    let mut object = Object::read(json)?;
    let id = object.take_as("id")?.unwrap_or_default();
    let kind: Option<String> = object.take_as("type")?;
    if let Some(kind) = kind.filter(|kind| kind != "function") {
        let message = format!(
            "unsupported tool call type `{}`: only `function` is supported",
            kind.escape_debug()
        );
        return Err(Failure::new(message).in_member("type"));
    }
    // The position of a call in a stream, which some servers also write into complete messages.
    object.take("index");
    let (name, arguments) = object.require_object("function", |function| {
        let name = function.require("name")?;
        let arguments = match function.take("arguments") {
            Some(text) if text.as_str().starts_with('"') => decode(&text)?,
            // Ollama and others write the arguments as an object.
            Some(value) => value.as_str().to_owned(),
            None => String::new(),
        };
        Ok((name, arguments))
    })?;
    object.end()?;
    Ok(ToolCall {
        id,
        name,
        arguments,
        provider_data: None,
    })
}

fn annotation(json: &Json) -> Read<Citation> {
    #[derive(Default, Deserialize)]
    struct Source {
        url: Option<String>,
        title: Option<String>,
    }
    #[derive(Deserialize)]
    struct Annotation {
        url_citation: Option<Source>,
    }
    let source = decode::<Annotation>(json)?.url_citation.unwrap_or_default();
    Ok(Citation {
        url: source.url,
        title: source.title,
        cited_text: None,
        raw: Some(json.clone()),
    })
}

/// Adds citations to the first text.
fn cite(parts: &mut Vec<ContentPart>, found: Vec<Citation>) {
    if found.is_empty() {
        return;
    }
    for part in parts.iter_mut() {
        if let ContentPart::Text { citations, .. } = part {
            citations.extend(found);
            return;
        }
    }
    parts.push(ContentPart::Text {
        text: String::new(),
        citations: found,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<Message, String> {
        serde_json::from_str(&value.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn messages_in_openais_shape_are_read() {
        let user = read(json!({"role": "user", "content": "Hi."})).unwrap();
        assert_eq!(user, Message::user("Hi."));
        let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
        let assistant = read(
            json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null, "annotations": []}),
        );
        let calls = vec![ContentPart::ToolCall(ToolCall::new("c1", "f", "{\"a\":1}"))];
        assert_eq!(assistant.unwrap(), Message::new(Role::Assistant, calls));
        let result = read(json!({"role": "tool", "tool_call_id": "c1", "content": "24"}));
        assert_eq!(result.unwrap(), Message::tool("c1", "24"));
        let nothing = read(json!({"role": "assistant", "content": null}));
        assert_eq!(nothing.unwrap(), Message::new(Role::Assistant, Vec::new()));
        let thought =
            read(json!({"role": "assistant", "reasoning_content": "Hm.", "content": "Yes."}));
        assert_eq!(thought.unwrap().reasoning(), "Hm.");
    }

    #[test]
    fn media_in_openais_format_are_read() {
        let message = read(json!({"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAEC", "format": "mp3"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAEC"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]}))
        .unwrap();
        let image = Media::Url {
            url: "https://a.test/b.png".into(),
            mime_type: None,
        };
        let expected = vec![
            ContentPart::text("What is this?"),
            ContentPart::Image {
                media: image,
                detail: Some(ImageDetail::Low),
            },
            ContentPart::audio("audio/mpeg", vec![0, 1, 2]),
            ContentPart::document("a.pdf", "application/pdf", vec![0, 1, 2]),
            ContentPart::Document {
                media: Media::File {
                    id: "file-1".into(),
                },
                name: None,
            },
        ];
        assert_eq!(message.content, expected);
    }

    #[test]
    fn every_field_of_a_message_is_read_or_refused() {
        let cases = [
            (json!({"content": "Hi."}), "`role`: is missing"),
            (json!({"role": "user"}), "`content`: is missing"),
            (
                json!({"role": "system", "content": null}),
                "`content`: is missing",
            ),
            (
                json!({"role": "tool", "tool_call_id": "1"}),
                "`content`: is missing",
            ),
            (
                json!({"role": "assistant", "reasoning": "a", "reasoning_content": "b"}),
                "`reasoning_content`: differs from `reasoning`",
            ),
            (
                json!({"role": "user", "content": 7}),
                "`content`: must be a string or a list of parts, not a number",
            ),
            (
                json!({"role": "user", "content": "a", "cache": true}),
                "`cache`: unknown field",
            ),
            (
                json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "thing"}]}),
                "`content[1].type`: unknown part type `thing`",
            ),
            (
                json!({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}),
                "`content[0].cache_control`: unknown field",
            ),
            (
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "low"}}]}),
                "`content[0].image_url.url`: is missing",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]}),
                "`tool_calls[0].type`: unsupported tool call type `custom`",
            ),
        ];
        for (value, expected) in cases {
            let error = read(value).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let list = serde_json::from_str::<Message>("[]").unwrap_err();
        assert!(list.to_string().contains("not a JSON object but a list"));
    }

    #[test]
    fn the_message_of_a_serialised_response_is_read_back() {
        let mut call = ToolCall::new("c", "f", "{}");
        call.provider_data = Some(crate::chat::ProviderData::new(
            "p",
            Json::parse("{}").unwrap(),
        ));
        let cited = ContentPart::Text {
            text: "Yes.".into(),
            citations: vec![Citation {
                url: Some("https://a.test".into()),
                ..Citation::default()
            }],
        };
        let reasoning = ContentPart::Reasoning {
            text: "Hm.".into(),
            signature: Some("s".into()),
        };
        for content in [
            vec![ContentPart::text("Yes.")],
            vec![cited.clone()],
            vec![reasoning, cited, ContentPart::ToolCall(call)],
        ] {
            let message = Message::new(Role::Assistant, content);
            let response = crate::UnifiedChatResponse {
                choices: vec![crate::chat::Choice {
                    message: message.clone(),
                    ..crate::chat::Choice::default()
                }],
                ..crate::UnifiedChatResponse::default()
            };
            let written = serde_json::to_value(&response).unwrap();
            let read: Message =
                serde_json::from_str(&written["choices"][0]["message"].to_string()).unwrap();
            assert_eq!(read, message);
        }
    }
}
