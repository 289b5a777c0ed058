//! Messages in the JSON of OpenTelemetry's conventions: `[{"role", "parts": [{"type", ..}]}]`.

use crate::{
    ChatRequest, ContentPart, FinishReason, Media, Message, ToolResult, UnifiedChatResponse,
    chat::{Choice, HostedToolInput, HostedToolOutput},
};
use serde::Serialize;

/// `gen_ai.input.messages`.
pub(super) fn input_messages(request: &ChatRequest) -> String {
    let messages = request.messages.iter();
    json(
        messages
            .map(|message| MessageContent::new(message, None))
            .collect(),
    )
}

/// `gen_ai.output.messages`.
pub(super) fn output_messages(response: &UnifiedChatResponse) -> String {
    let choices = response.choices.iter();
    let said = choices.map(|choice| MessageContent::new(&choice.message, finish(choice)));
    json(said.collect())
}

#[derive(Serialize)]
struct MessageContent<'a> {
    role: &'a str,
    parts: Vec<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text {
        content: &'a str,
    },
    Reasoning {
        content: &'a str,
    },
    Refusal {
        content: &'a str,
    },
    ToolCall {
        id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    ToolCallResponse {
        id: &'a str,
        response: String,
    },
    Uri {
        modality: &'static str,
        uri: &'a str,
    },
    File {
        modality: &'static str,
        file_id: &'a str,
    },
    /// Media, without its bytes.
    Blob {
        modality: &'static str,
        mime_type: &'a str,
    },
    #[serde(rename = "server_tool_call")]
    HostedToolCall {
        id: &'a str,
        name: &'a str,
        server_tool_call: &'a HostedToolInput,
    },
    #[serde(rename = "server_tool_call_response")]
    HostedToolResult {
        id: &'a str,
        server_tool_call_response: &'a HostedToolOutput,
    },
    /// A block in the provider's own JSON.
    Provider {
        provider: &'a str,
    },
}

impl<'a> MessageContent<'a> {
    fn new(message: &'a Message, finish_reason: Option<&'a str>) -> Self {
        MessageContent {
            role: message.role.as_str(),
            parts: message.content.iter().map(Part::new).collect(),
            finish_reason,
        }
    }
}

impl<'a> Part<'a> {
    fn new(part: &'a ContentPart) -> Self {
        match part {
            ContentPart::Text { text, .. } => Part::Text { content: text },
            ContentPart::Reasoning { text, .. } => Part::Reasoning { content: text },
            ContentPart::Refusal { text } => Part::Refusal { content: text },
            ContentPart::Image { media, .. } => Part::media("image", media),
            ContentPart::Audio { media } => Part::media("audio", media),
            ContentPart::Video { media } => Part::media("video", media),
            ContentPart::Document { media, .. } => Part::media("document", media),
            ContentPart::ToolCall(call) => Part::ToolCall {
                id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
            },
            ContentPart::ToolResult(result) => Part::ToolCallResponse {
                id: &result.call_id,
                response: text(result),
            },
            ContentPart::HostedToolCall(call) => Part::HostedToolCall {
                id: &call.id,
                name: &call.name,
                server_tool_call: &call.input,
            },
            ContentPart::HostedToolResult(result) => Part::HostedToolResult {
                id: &result.call_id,
                server_tool_call_response: &result.output,
            },
            ContentPart::Compaction(_) | ContentPart::ProviderBlock(_) => Part::Provider {
                provider: part.raw().map_or("", |block| &block.provider),
            },
        }
    }

    fn media(modality: &'static str, media: &'a Media) -> Self {
        match media {
            Media::Url { url, .. } => match url.strip_prefix("data:") {
                Some(data) => Part::Blob {
                    modality,
                    mime_type: data.split([';', ',']).next().unwrap_or_default(),
                },
                None => Part::Uri { modality, uri: url },
            },
            Media::Inline { mime_type, .. } => Part::Blob {
                modality,
                mime_type,
            },
            Media::File { id } => Part::File {
                modality,
                file_id: id,
            },
        }
    }
}

fn text(result: &ToolResult) -> String {
    let texts = result.content.iter().filter_map(|part| match part {
        ContentPart::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The conventions have `tool_call` for `tool_calls`.
fn finish(choice: &Choice) -> Option<&str> {
    choice.finish_reason.as_ref().map(|reason| match reason {
        FinishReason::ToolCalls => "tool_call",
        other => other.as_str(),
    })
}

fn json(messages: Vec<MessageContent<'_>>) -> String {
    serde_json::to_string(&messages).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolCall;

    #[test]
    fn messages_have_the_shape_of_the_conventions_and_no_media_bytes() {
        let mut request = ChatRequest::new("m")
            .system("Be brief.")
            .user("What is this?");
        request.messages.push(Message::new(
            crate::Role::User,
            vec![
                ContentPart::image("image/png", vec![1, 2, 3]),
                ContentPart::image_url("data:image/gif;base64,R0lGODlh"),
                ContentPart::image_url("https://example.org/a.png"),
            ],
        ));
        request.messages.push(Message::new(
            crate::Role::Assistant,
            vec![ContentPart::ToolCall(ToolCall::new("c1", "look", "{}"))],
        ));
        request.messages.push(Message::tool("c1", "a cat"));
        assert_eq!(
            input_messages(&request),
            concat!(
                r#"[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},"#,
                r#"{"role":"user","parts":[{"type":"text","content":"What is this?"}]},"#,
                r#"{"role":"user","parts":[{"type":"blob","modality":"image","mime_type":"image/png"},"#,
                r#"{"type":"blob","modality":"image","mime_type":"image/gif"},"#,
                r#"{"type":"uri","modality":"image","uri":"https://example.org/a.png"}]},"#,
                r#"{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"look","arguments":"{}"}]},"#,
                r#"{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"a cat"}]}]"#,
            )
        );
    }
}
