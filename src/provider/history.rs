//! What of a conversation stays behind when it goes on with another wire.

use crate::{ContentPart, Message, chat::Warning};

/// What a wire takes back of what stands in a history beside plain text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistorySupport<'a> {
    /// What its opaque blocks are called.
    pub(crate) block_providers: &'a [&'a str],
    /// The signatures of thoughts.
    pub(crate) signatures: bool,
    /// That a tool's result is an error.
    pub(crate) errors: bool,
}

/// A warning for each piece of `messages` that is not sent to `provider` because only another wire has a place for it.
pub(crate) fn dropped_part_warnings(
    provider: &str,
    takes: HistorySupport<'_>,
    messages: &[Message],
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for message in messages {
        parts(provider, takes, &message.content, &mut warnings);
    }
    warnings
}

fn parts(
    provider: &str,
    takes: HistorySupport<'_>,
    content: &[ContentPart],
    warnings: &mut Vec<Warning>,
) {
    let foreign = |vendor: &str| !takes.block_providers.contains(&vendor);
    for part in content {
        let (code, what) = match part {
            ContentPart::ProviderBlock(block) if foreign(&block.provider) => (
                "opaque_left_out",
                format!("a block of `{}`", block.provider),
            ),
            ContentPart::ToolCall(call) => match &call.provider_data {
                Some(data) if foreign(&data.provider) => (
                    "opaque_left_out",
                    format!("what `{}` added to tool call `{}`", data.provider, call.id),
                ),
                _ => continue,
            },
            ContentPart::Reasoning {
                signature: Some(_), ..
            } if !takes.signatures => ("signature_left_out", "the signature of a thought".into()),
            ContentPart::ToolResult(result) => {
                parts(provider, takes, &result.content, warnings);
                if !result.is_error || takes.errors {
                    continue;
                }
                let what = format!("that the result of `{}` is an error", result.call_id);
                ("tool_error_unmarked", what)
            }
            _ => continue,
        };
        let message = format!("{what} was not sent to `{provider}`");
        warnings.push(Warning::new(code, message));
    }
}
