//! Helpers for the tests of the response builder.

use super::{ResponseBuilder, ResponseLimits, ToolFragment, key_of};
use crate::{Error, ErrorKind, Json, StreamEvent};

pub(super) fn stream() -> ResponseBuilder {
    ResponseBuilder::new(true, ResponseLimits::default())
}

pub(super) fn limited(change: impl FnOnce(&mut ResponseLimits)) -> ResponseBuilder {
    let mut limits = ResponseLimits::default();
    change(&mut limits);
    ResponseBuilder::new(true, limits)
}

pub(super) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

/// The queued events in a short form, with the decoder's keys.
pub(super) fn event_log(builder: &mut ResponseBuilder) -> String {
    use StreamEvent as E;
    let mut all = Vec::new();
    while let Some(event) = builder.next_event() {
        all.push(match event {
            E::Start(_) => "start".to_owned(),
            E::TextStart { part, .. } => format!("text {}", key_of(part)),
            E::ReasoningStart { part, .. } => format!("reasoning {}", key_of(part)),
            E::TextEnd { part, .. } | E::ReasoningEnd { part, .. } => {
                format!("end {}", key_of(part))
            }
            E::TextDelta { text, .. } | E::ReasoningDelta { text, .. } => format!("'{text}'"),
            E::RefusalDelta { text, .. } => format!("refusal '{text}'"),
            E::ReasoningSignature { signature, .. } => format!("signature {signature}"),
            E::ToolCallStart { part, id, name, .. } => {
                format!("call {} {id} {name}", key_of(part))
            }
            E::ToolCallDelta {
                part, arguments, ..
            } => format!("{} {arguments}", key_of(part)),
            E::ToolCallEnd { part, call, .. } => {
                format!("called {} {} {}", key_of(part), call.id, call.arguments)
            }
            E::HostedToolCall { part, call, .. } => {
                format!("hosted call {} {}", key_of(part), call.name)
            }
            E::HostedToolResult { part, .. } => {
                format!("hosted result {}", key_of(part))
            }
            E::Compaction { part, .. } => format!("compaction {}", key_of(part)),
            E::ProviderBlock { part, .. } => format!("opaque {}", key_of(part)),
            E::Citation { part, .. } => format!("citation {}", key_of(part)),
            E::Logprobs { .. } => "logprobs".to_owned(),
            E::Usage(_) => "usage".to_owned(),
            E::Timing { .. } => "timing".to_owned(),
            E::Extra { name, .. } => format!("extra {name}"),
            E::Finish { choice, native, .. } => {
                format!("finish {choice} {}", native.unwrap_or_default())
            }
            E::Warning(warning) => format!("warning {}", warning.message),
            E::Raw(_) => "raw".to_owned(),
        });
    }
    all.join(", ")
}

pub(super) fn fragment(
    builder: &mut ResponseBuilder,
    index: Option<u64>,
    id: &str,
    name: &str,
    arguments: &str,
) -> Result<(), Error> {
    let fragment = ToolFragment::new(index, Some(id), Some(name), Some(arguments));
    builder.tool_fragment(0, fragment)
}

pub(super) fn is_too_large<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::TooLarge)
}
