//! What the wire says and the library has no place for: nothing of it vanishes without a warning.

use crate::{Error, json::Reader, provider::kit::lenient::Raw};

/// Events that only report progress, or whose content the end of their item tells again.
const REPEATED: &[&str] = &[
    "response.in_progress",
    "response.queued",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_part.added",
    "response.reasoning_summary_part.added",
    "response.shell_call_command.added",
    "response.shell_call_output_content.done",
    "response.image_generation_call.partial_image",
];

/// Members that say to what an event belongs, and padding.
const OBJECT_NAMES: &[&str] = &[
    "type",
    "sequence_number",
    "output_index",
    "content_index",
    "summary_index",
    "item_id",
    "response_id",
    "obfuscation",
    "status",
];

/// The members of a response that have a place of their own, and those that repeat the request or the state.
pub(super) const OF_RESPONSE: &[&str] = &[
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "error",
    "incomplete_details",
    "output",
    "output_text",
    "usage",
    "model",
    "service_tier",
    "metadata",
    // The request.
    "background",
    "conversation",
    "frequency_penalty",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The members of the last event.
pub(super) const OF_LAST_EVENT: &[&str] = &["type", "sequence_number", "response"];

/// The members of a message that have a place.
pub(super) const OF_MESSAGE: &[&str] =
    &["type", "id", "status", "role", "phase", "content", "object"];

/// The members of a part that have a place.
pub(super) const OF_PART: &[&str] = &["type", "text", "refusal", "annotations", "logprobs"];

/// Hands out the members of an object that are none of `known` and say anything.
pub(super) fn members<'a>(
    object: Raw<'a>,
    known: &[&str],
    found: &mut dyn FnMut(&str, &'a str) -> Result<(), Error>,
) -> Result<(), Error> {
    let text = object.text().unwrap_or_default();
    let mut result = Ok(());
    if text.starts_with('{') {
        // What cannot be read was refused before.
        let _ = Reader::new(text).object(|name, reader| {
            let value = reader.raw()?;
            let says_nothing = matches!(value, "null" | "\"\"" | "[]" | "{}" | "false");
            if !says_nothing && !known.contains(&name) && result.is_ok() {
                result = found(name, value);
            }
            Ok(())
        });
    }
    result
}

/// Whether an event of a type that is not known says anything that comes nowhere else.
pub(super) fn says_something(name: &str, event: Raw<'_>) -> bool {
    let mut found = false;
    let _ = members(event, OBJECT_NAMES, &mut |_, _| {
        found = true;
        Ok(())
    });
    found && !REPEATED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn raw(text: &str) -> Raw<'_> {
        lenient::parse(text).unwrap()
    }

    #[test]
    fn empty_member_is_ignored() {
        let object = raw(r#"{"id":1,"a":null,"b":"","c":[],"d":{},"e":[0],"f":"x"}"#);
        let names = |object| {
            let mut names = Vec::new();
            let mut found = |name: &str, value| {
                names.push((name.to_owned(), value));
                Ok(())
            };
            members(object, &["id"], &mut found).unwrap();
            names
        };
        assert_eq!(names(object), [("e".into(), "[0]"), ("f".into(), "\"x\"")]);
        assert!(names(raw("[1]")).is_empty());
    }

    #[test]
    fn an_event_says_something_if_it_has_more_than_its_place() {
        for (name, event, expected) in [
            (
                "response.new.delta",
                r#"{"type":"x","item_id":"i","delta":"a"}"#,
                true,
            ),
            (
                "response.new.progress",
                r#"{"type":"x","item_id":"i","output_index":1}"#,
                false,
            ),
            (
                "response.content_part.added",
                r#"{"part":{"type":"output_text"}}"#,
                false,
            ),
        ] {
            assert_eq!(says_something(name, raw(event)), expected, "{name}");
        }
    }
}
