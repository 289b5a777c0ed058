//! Every hosted tool call, result and compaction of every recorded response is typed, and goes back unchanged.

use super::{
    WIRES,
    support::{
        corpus,
        drive::{Arrival, chat},
    },
};
use std::collections::BTreeMap;
use unifiedai::{
    ContentPart, Message,
    chat::{HostedToolInput, HostedToolOutput},
    transport::testing::provider_for_recording,
};

/// The number of parts of each kind in the corpus, by wire. Those of Anthropic and Responses were counted independently.
const COUNTS: &[(&str, usize)] = &[
    ("anthropic-messages call advisor", 6),
    ("anthropic-messages call code_execution", 35),
    ("anthropic-messages call mcp", 3),
    ("anthropic-messages call text_editor_code_execution", 64),
    ("anthropic-messages call tool_search", 6),
    ("anthropic-messages call web_fetch", 4),
    ("anthropic-messages call web_search", 14),
    ("anthropic-messages compaction", 1),
    ("anthropic-messages result", 132),
    ("bedrock-converse call code_execution", 3),
    ("bedrock-converse call web_search", 1),
    ("bedrock-converse result", 4),
    ("gemini call code_execution", 17),
    ("gemini call file_search", 4),
    ("gemini call web_fetch", 3),
    ("gemini call web_search", 9),
    ("gemini result", 32),
    ("gemini-interactions call web_search", 2),
    ("gemini-interactions result", 2),
    ("openai-chat call web_fetch", 1),
    ("openai-chat call web_search", 19),
    ("openai-chat result", 20),
    ("openai-responses call code_execution", 12),
    ("openai-responses call file_search", 6),
    ("openai-responses call image_generation", 5),
    ("openai-responses call mcp", 18),
    ("openai-responses call tool_search", 5),
    ("openai-responses call web_fetch", 6),
    ("openai-responses call web_search", 13),
    ("openai-responses call x_semantic_search", 1),
    ("openai-responses compaction", 2),
    ("openai-responses result", 42),
];

#[test]
fn every_hosted_tool_is_typed_and_goes_back_unchanged() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sent_back, mut answers) = (0, 0);
    for (wire, operations) in WIRES {
        for recording in corpus::load(wire, None) {
            if !operations.contains(&recording.operation.as_str()) || recording.status >= 300 {
                continue;
            }
            let provider = provider_for_recording(&recording.provider, wire).unwrap();
            let request = recording.chat_request();
            let answer = chat(&provider, &request, &recording.answer(), Arrival::Whole);
            let Ok(response) = answer.result else {
                continue;
            };
            answers += 1;
            let Some(message) = response.message() else {
                continue;
            };
            for part in &message.content {
                let kind = match part {
                    ContentPart::HostedToolCall(call) => format!("call {}", call.kind()),
                    ContentPart::HostedToolResult(_) => "result".to_owned(),
                    ContentPart::Compaction(_) => "compaction".to_owned(),
                    _ => continue,
                };
                *kinds.entry(format!("{wire} {kind}")).or_insert(0) += 1;
            }
            results_belong_to_calls(&recording.id, message);
            if is_hosted(message) && *wire != "openai-chat" {
                sent_back += 1;
                goes_back_unchanged(
                    &recording.id,
                    &*provider,
                    &recording.chat_request(),
                    message,
                );
            }
        }
    }
    println!("{answers} answers, {sent_back} sent back: {kinds:#?}");
    if answers > 0 {
        for (kind, expected) in COUNTS {
            let found = kinds.get(*kind).copied().unwrap_or(0);
            let is_built = cfg!(feature = "bedrock") || !kind.starts_with("bedrock");
            assert!(
                found == *expected || !is_built,
                "{kind}: {found}, {expected} expected"
            );
        }
    }
}

fn is_hosted(message: &Message) -> bool {
    message.content.iter().any(|part| {
        matches!(
            part,
            ContentPart::HostedToolCall(_)
                | ContentPart::HostedToolResult(_)
                | ContentPart::Compaction(_)
        )
    })
}

/// A result follows its call, unless the call was in an earlier response. Its type fits the call's.
fn results_belong_to_calls(id: &str, message: &Message) {
    for result in message.hosted_tool_results() {
        let mut calls = message.hosted_tool_calls();
        let Some(call) = calls.find(|call| call.id == result.call_id) else {
            continue;
        };
        let fits = match (&call.input, &result.output) {
            (HostedToolInput::WebSearch { .. }, HostedToolOutput::WebSearch { .. })
            | (HostedToolInput::WebFetch { .. }, HostedToolOutput::WebFetch { .. })
            | (HostedToolInput::CodeExecution { .. }, HostedToolOutput::CodeExecution(_))
            | (HostedToolInput::FileSearch { .. }, HostedToolOutput::FileSearch { .. })
            | (HostedToolInput::Mcp { .. }, HostedToolOutput::Mcp { .. })
            | (HostedToolInput::McpListTools { .. }, HostedToolOutput::McpTools { .. })
            | (HostedToolInput::ToolSearch { .. }, HostedToolOutput::ToolSearch { .. })
            | (HostedToolInput::ImageGeneration { .. }, HostedToolOutput::Images { .. })
            | (_, HostedToolOutput::Error(_) | HostedToolOutput::Other { .. })
            | (HostedToolInput::Other { .. }, _) => true,
            // Several calls of Gemini have no id.
            _ => call.id.is_empty(),
        };
        assert!(fits, "{id}: {:?} for {:?}", result.output, call.input);
    }
}

/// The next request has the JSON of each part, in order. Line breaks between its tokens become spaces.
fn goes_back_unchanged(
    id: &str,
    provider: &dyn unifiedai::provider::Provider,
    request: &unifiedai::ChatRequest,
    message: &Message,
) {
    let mut next = request.clone().message(message.clone());
    for call in message.tool_calls() {
        next = next.tool_result(call.answer("done"));
    }
    let next = next.user("Go on.").drop_unsupported();
    let encoded = match provider.encode_chat(&next) {
        Ok(encoded) => encoded,
        // Bedrock requires tools, which the recorded request does not name.
        Err(error) if error.message().contains("requires `tools`") => return,
        Err(error) => panic!("{id}: {error}"),
    };
    let body = std::str::from_utf8(encoded.request.body()).unwrap();
    let mut rest = body;
    for part in message.content.iter().filter(|part| part.raw().is_some()) {
        if matches!(part, ContentPart::ProviderBlock(_)) {
            continue;
        }
        let raw = part
            .raw()
            .unwrap()
            .block
            .as_str()
            .replace(['\n', '\r'], " ");
        let Some(at) = rest.find(&raw) else {
            panic!("{id}: not sent back: {raw}");
        };
        rest = &rest[at + raw.len()..];
    }
}
