//! Conversions between Bedrock's types and the library's.

use super::shapes::{
    ConverseBlock, ConverseMessage, ConverseMetrics, ConverseOutput, ConverseRequest,
    ConverseResponse, ConverseTool, ConverseToolChoice, ReasoningContent, TokenUsage, ToolConfig,
    ToolResultBlock, ToolResultContent, ToolUse,
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, FinishReason, Json, Message, Role, Tool, ToolCall,
    ToolChoice, ToolResult, UnifiedChatResponse, Usage, chat::CallMetrics,
};

pub(super) fn request(converse: ConverseRequest) -> Result<ChatRequest, Error> {
    let mut request = ChatRequest::new(converse.model_id);
    for block in converse.system {
        request = request.message(Message::new(Role::System, vec![part(block)?]));
    }
    for message in converse.messages {
        let role = match message.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => {
                return Err(refuse(format!(
                    "the role of a message must be `user` or `assistant`, not `{}`",
                    other.escape_debug()
                )));
            }
        };
        let parts: Result<_, Error> = message.content.into_iter().map(part).collect();
        request = request.message(Message::new(role, parts?));
    }
    let config = converse.inference_config;
    request.max_tokens = config.max_tokens;
    request.temperature = config.temperature;
    request.top_p = config.top_p;
    request.stop = config.stop_sequences;
    if let Some(tools) = converse.tool_config {
        request = with_tools(request, tools);
    }
    match converse.additional_model_request_fields {
        Some(fields) => request.extra("additionalModelRequestFields", &fields),
        None => Ok(request),
    }
}

fn with_tools(mut request: ChatRequest, config: ToolConfig) -> ChatRequest {
    request.tools = config
        .tools
        .into_iter()
        .map(|tool| match tool {
            ConverseTool::ToolSpec {
                name,
                description,
                input_schema,
            } => Tool::Function {
                name,
                description,
                parameters: Some(input_schema.json),
                strict: None,
            },
        })
        .collect();
    request.tool_choice = config.tool_choice.map(|choice| match choice {
        ConverseToolChoice::Auto {} => ToolChoice::Auto,
        ConverseToolChoice::Any {} => ToolChoice::Required,
        ConverseToolChoice::Tool { name } => ToolChoice::Function(name),
    });
    request
}

fn part(block: ConverseBlock) -> Result<ContentPart, Error> {
    Ok(match block {
        ConverseBlock::Text(text) => ContentPart::text(text),
        ConverseBlock::ToolUse(call) => ContentPart::ToolCall(ToolCall::new(
            call.tool_use_id,
            call.name,
            call.input.as_str(),
        )),
        ConverseBlock::ToolResult(result) => ContentPart::ToolResult(tool_result(result)),
        ConverseBlock::ReasoningContent(ReasoningContent::ReasoningText { text, signature }) => {
            ContentPart::Reasoning { text, signature }
        }
    })
}

fn tool_result(block: ToolResultBlock) -> ToolResult {
    let mut result = ToolResult::new(block.tool_use_id, "");
    result.is_error = block.status.as_deref() == Some("error");
    result.content = block
        .content
        .into_iter()
        .map(|content| match content {
            ToolResultContent::Text(text) => ContentPart::text(text),
            ToolResultContent::Json(json) => ContentPart::text(json.as_str()),
        })
        .collect();
    result
}

pub(super) fn response(response: &UnifiedChatResponse) -> ConverseResponse {
    let choice = response.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.message.content);
    let stop_reason = choice.map_or("", |choice| {
        stop_reason(
            choice.finish_reason.as_ref(),
            choice.native_finish_reason.as_deref(),
        )
    });
    ConverseResponse {
        output: ConverseOutput {
            message: ConverseMessage {
                role: "assistant".into(),
                content: parts.iter().filter_map(block).collect(),
            },
        },
        stop_reason: stop_reason.to_owned(),
        usage: response.usage.as_ref().map(usage).unwrap_or_default(),
        metrics: metrics(&response.metrics),
    }
}

/// Bedrock's own stop reason if the response is from Bedrock.
pub(super) fn stop_reason<'a>(
    reason: Option<&'a FinishReason>,
    native: Option<&'a str>,
) -> &'a str {
    const OWN: [&str; 7] = [
        "end_turn",
        "tool_use",
        "max_tokens",
        "stop_sequence",
        "guardrail_intervened",
        "content_filtered",
        "model_context_window_exceeded",
    ];
    match (reason, native) {
        (_, Some(native)) if OWN.contains(&native) => native,
        (Some(FinishReason::Stop), _) => "end_turn",
        (Some(FinishReason::Length), _) => "max_tokens",
        (Some(FinishReason::ToolCalls), _) => "tool_use",
        (Some(FinishReason::ContentFilter), _) => "content_filtered",
        (Some(other), _) => other.as_str(),
        (None, _) => "end_turn",
    }
}

/// Bedrock counts tokens read from and written to a cache separately.
pub(super) fn usage(usage: &Usage) -> TokenUsage {
    let cached = usage.cached_tokens.unwrap_or(0);
    let cached = cached.saturating_add(usage.cache_write_tokens.unwrap_or(0));
    TokenUsage {
        input_tokens: usage.prompt_tokens.map(|all| all.saturating_sub(cached)),
        output_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
        cache_read_input_tokens: usage.cached_tokens,
        cache_write_input_tokens: usage.cache_write_tokens,
    }
}

pub(super) fn metrics(metrics: &CallMetrics) -> ConverseMetrics {
    let latency = metrics.server.total.or(metrics.duration);
    ConverseMetrics {
        latency_ms: latency.and_then(|latency| u64::try_from(latency.as_millis()).ok()),
    }
}

fn block(part: &ContentPart) -> Option<ConverseBlock> {
    match part {
        ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
            Some(ConverseBlock::Text(text.clone()))
        }
        ContentPart::Reasoning { text, signature } => Some(ConverseBlock::ReasoningContent(
            ReasoningContent::ReasoningText {
                text: text.clone(),
                signature: signature.clone(),
            },
        )),
        ContentPart::ToolCall(call) => Some(ConverseBlock::ToolUse(ToolUse {
            tool_use_id: call.id.clone(),
            name: call.name.clone(),
            input: arguments(call)?,
        })),
        _ => None,
    }
}

/// Bedrock has arguments as JSON, so arguments that are not valid JSON are sent as a string.
fn arguments(call: &ToolCall) -> Option<Json> {
    Json::parse(call.arguments_json())
        .or_else(|_| Json::new(&call.arguments))
        .ok()
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}
