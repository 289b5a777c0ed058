//! Members that are left out, and why: what they say is told elsewhere, or repeats the request.

/// Wire, name with `*` for the rest of a step and `**` for all further steps, and the reason.
type Entry = (&'static str, &'static str, &'static str);

pub fn reason(wire: &str, name: &str) -> Option<&'static Entry> {
    LEFT_OUT
        .iter()
        .find(|(of, pattern, _)| *of == wire && fits(pattern, name))
}

pub fn all() -> impl Iterator<Item = &'static Entry> {
    LEFT_OUT.iter()
}

fn fits(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('/'), name.split('/'));
    loop {
        match (pattern.next(), name.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found => {}
            (Some(wanted), Some(found))
                if wanted
                    .strip_suffix('*')
                    .is_some_and(|begin| found.starts_with(begin)) => {}
            _ => return false,
        }
    }
}

#[rustfmt::skip]
const LEFT_OUT: &[Entry] = &[
    (
        "openai-responses",
        "whole/object",
        "says what the document is",
    ),
    (
        "openai-responses",
        "*/response/object",
        "says what the document is",
    ),
    (
        "openai-responses",
        "whole/background",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/frequency_penalty",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/presence_penalty",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/instructions",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/max_output_tokens",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/parallel_tool_calls",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/previous_response_id",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/prompt_cache_key",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/prompt_cache_options/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/prompt_cache_retention",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/reasoning/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/safety_identifier",
        "repeats the request",
    ),
    ("openai-responses", "whole/store", "repeats the request"),
    (
        "openai-responses",
        "whole/temperature",
        "repeats the request",
    ),
    ("openai-responses", "whole/text/**", "repeats the request"),
    (
        "openai-responses",
        "whole/tool_choice",
        "repeats the request",
    ),
    (
        "openai-responses",
        "whole/tool_choice/**",
        "repeats the request",
    ),
    ("openai-responses", "whole/tools/**", "repeats the request"),
    (
        "openai-responses",
        "whole/top_logprobs",
        "repeats the request",
    ),
    ("openai-responses", "whole/top_p", "repeats the request"),
    (
        "openai-responses",
        "whole/truncation",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/background",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/frequency_penalty",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/presence_penalty",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/instructions",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/max_output_tokens",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/parallel_tool_calls",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/prompt_cache_key",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/prompt_cache_retention",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/reasoning/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/safety_identifier",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/store",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/temperature",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/text/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/tool_choice",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/tool_choice/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/tools/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/top_logprobs",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/top_p",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/truncation",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/response/conversation/**",
        "repeats the request",
    ),
    (
        "openai-responses",
        "*/sequence_number",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/item_id",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/output_index",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/content_index",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/summary_index",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/annotation_index",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/command_index",
        "links an event to its item, or numbers events",
    ),
    (
        "openai-responses",
        "*/obfuscation",
        "hides the length of a delta",
    ),
    (
        "openai-responses",
        "whole/completed_at",
        "the time of the end, beside that of the begin",
    ),
    (
        "openai-responses",
        "*/response/completed_at",
        "the time of the end, beside that of the begin",
    ),
    (
        "openai-responses",
        "response.created/response/status",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.created/response/tool_usage/**",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/created_at",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/id",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/model",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/service_tier",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/status",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/metadata/**",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.in_progress/response/tool_usage/**",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.queued/response/created_at",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.queued/response/id",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.queued/response/model",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.queued/response/service_tier",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.queued/response/status",
        "a snapshot: the first and the last say it, too",
    ),
    (
        "openai-responses",
        "response.completed/response/metadata/**",
        "a snapshot: the first and the last say it, too",
    ),
    ("openai-responses", "whole/output_text", "repeats the items"),
    (
        "openai-responses",
        "response.completed/response/output/**",
        "repeats the items",
    ),
    (
        "openai-responses",
        "response.incomplete/response/output/**",
        "repeats the items",
    ),
    (
        "openai-responses",
        "response.output_item.added/item/**",
        "the item's `done` has it",
    ),
    (
        "openai-responses",
        "whole/output/*/status",
        "the item's `done` has it",
    ),
    (
        "openai-responses",
        "response.output_item.done/item/content/**",
        "the item's `done` has it",
    ),
    (
        "openai-responses",
        "*/part/**",
        "repeats deltas and annotations",
    ),
    (
        "openai-responses",
        "response.output_text.done/logprobs/**",
        "repeats deltas and annotations",
    ),
    (
        "openai-responses",
        "response.code_interpreter_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.image_generation_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.web_search_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.file_search_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.mcp_*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.apply_patch_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.shell_call*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.custom_tool_call_input*/**",
        "progress of a tool of the provider, whose item has it",
    ),
    (
        "openai-responses",
        "response.failed/**",
        "the `error` before it has ended the answer",
    ),
    (
        "openai-responses",
        "keepalive/type",
        "says that the connection stands",
    ),
    (
        "anthropic-messages",
        "message_start/message/role",
        "says what the document is",
    ),
    (
        "anthropic-messages",
        "message_start/message/type",
        "says what the document is",
    ),
    (
        "anthropic-messages",
        "whole/role",
        "says what the document is",
    ),
    (
        "anthropic-messages",
        "whole/type",
        "says what the document is",
    ),
    (
        "anthropic-vertex",
        "message_start/message/role",
        "says what the document is",
    ),
    (
        "anthropic-vertex",
        "message_start/message/type",
        "says what the document is",
    ),
    (
        "anthropic-vertex",
        "whole/role",
        "says what the document is",
    ),
    (
        "anthropic-vertex",
        "whole/type",
        "says what the document is",
    ),
    (
        "anthropic-messages",
        "message_start/message/container/**",
        "a second message behind the end of the first",
    ),
    (
        "anthropic-messages",
        "message_start/message/content/**",
        "a second message behind the end of the first",
    ),
    (
        "anthropic-messages",
        "message_start/message/stop_reason",
        "a second message behind the end of the first",
    ),
    (
        "anthropic-messages",
        "message_start/message/usage/server_tool_use/web_search_requests",
        "a second message behind the end of the first",
    ),
    (
        "gemini",
        "whole/candidates/*/content/role",
        "is always the model",
    ),
    (
        "gemini",
        "event/candidates/*/content/role",
        "is always the model",
    ),
    (
        "gemini",
        "whole/*/candidates/*/content/role",
        "is always the model",
    ),
    (
        "gemini",
        "event/candidates/*/content/parts/*/functionCall/partialArgs/*/willContinue",
        "more of the same argument follows, or does not",
    ),
    (
        "gemini",
        "whole/candidates/*/logprobsResult/chosenCandidates/*/tokenId",
        "the token itself stands beside its number",
    ),
    (
        "gemini",
        "whole/candidates/*/logprobsResult/topCandidates/*/candidates/*/tokenId",
        "the token itself stands beside its number",
    ),
    ("cohere-v2", "whole/message/role", "is always the assistant"),
    (
        "cohere-v2",
        "message-start/delta/message/role",
        "is always the assistant",
    ),
    (
        "cohere-v2",
        "tool-call-start/delta/message/tool_calls/type",
        "says what stands beside it",
    ),
    (
        "cohere-v2",
        "whole/message/tool_calls/*/type",
        "says what stands beside it",
    ),
    ("ollama", "whole/message/role", "is always the assistant"),
    ("ollama", "event/message/role", "is always the assistant"),
    (
        "ollama",
        "whole/message/tool_calls/*/function/index",
        "the order of the list",
    ),
    (
        "ollama",
        "event/message/tool_calls/*/function/index",
        "the order of the list",
    ),
    (
        "bedrock-converse",
        "whole/output/message/role",
        "is always the assistant",
    ),
    (
        "bedrock-converse",
        "messageStart/role",
        "is always the assistant",
    ),
    ("bedrock-converse", "*/p", "hides the length of a frame"),
    (
        "bedrock-converse",
        "whole/output/message/content/*/toolUse/type",
        "says what stands beside it",
    ),
    (
        "bedrock-converse",
        "contentBlockStart/start/toolUse/type",
        "says what stands beside it",
    ),
    (
        "bedrock-converse",
        "whole/output/message/content/*/type",
        "says what stands beside it",
    ),
    (
        "bedrock-converse",
        "contentBlockStop/contentBlockIndex",
        "the block that is open",
    ),
    ("openai-chat", "whole/object", "says what the document is"),
    ("openai-chat", "event/object", "says what the document is"),
    (
        "openai-chat",
        "whole/choices/*/message/role",
        "is always the assistant",
    ),
    (
        "openai-chat",
        "whole/choices/*/delta/role",
        "is always the assistant",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/role",
        "is always the assistant",
    ),
    (
        "openai-chat",
        "event/choices/*/message/role",
        "is always the assistant",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/name",
        "is always the assistant",
    ),
    (
        "openai-chat",
        "whole/choices/*/message/tool_calls/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/tool_calls/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "whole/choices/*/message/content/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/content/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "whole/choices/*/message/content/*/thinking/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/content/*/thinking/*/type",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/channel",
        "says what stands beside it",
    ),
    (
        "openai-chat",
        "whole/choices/*/message/tool_calls/*/index",
        "the order of the list, or of one call alone",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/tool_calls/*/index",
        "the order of the list, or of one call alone",
    ),
    (
        "openai-chat",
        "whole/choices/*/message/content/*/closed",
        "more of the same thinking follows, or does not",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/content/*/closed",
        "more of the same thinking follows, or does not",
    ),
    (
        "openai-chat",
        "event/obfuscation",
        "hides the length of a chunk",
    ),
    ("openai-chat", "event/p", "hides the length of a chunk"),
    (
        "openai-chat",
        "whole/choices/*/message/padding",
        "hides the length of a chunk",
    ),
    (
        "openai-chat",
        "whole/choices/*/logprobs/content/*/id",
        "the token itself stands beside its number",
    ),
    (
        "openai-chat",
        "whole/choices/*/logprobs/content/*/top_logprobs/*/id",
        "the token itself stands beside its number",
    ),
    (
        "openai-chat",
        "event/choices/*/content_filter_results/**",
        "the last chunk that has it counts",
    ),
    (
        "openai-chat",
        "event/provider",
        "the last chunk that has it counts",
    ),
    (
        "openai-chat",
        "event/sla_metrics/**",
        "the last chunk that has it counts",
    ),
    (
        "openai-chat",
        "event/x_groq/id",
        "the last chunk that has it counts",
    ),
    (
        "openai-chat",
        "event/x_groq/seed",
        "the last chunk that has it counts",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/reasoning_details/*/format",
        "plain reasoning goes back as text, without these",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/reasoning_details/*/id",
        "plain reasoning goes back as text, without these",
    ),
    (
        "openai-chat",
        "event/choices/*/delta/reasoning_details/*/index",
        "plain reasoning goes back as text, without these",
    ),
    (
        "openai-chat",
        "event/x_groq/usage/**",
        "repeats the counts beside it",
    ),
];
