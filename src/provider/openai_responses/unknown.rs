//! What the wire says and the library has no place for: nothing of it vanishes without a warning.

use super::parts::hash;
use crate::{Assembler, Error, Warning, json::Reader, provider::lenient::Raw};

/// Events that only report progress, or whose content the end of their item tells again.
const REPEATED: &[&str] = &[
    "response.in_progress",
    "response.queued",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_part.added",
    "response.reasoning_summary_part.added",
    "response.code_interpreter_call_code.delta",
    "response.custom_tool_call_input.delta",
    "response.mcp_call_arguments.delta",
    "response.apply_patch_call_operation_diff.delta",
    "response.apply_patch_call_operation_diff.done",
    "response.shell_call_command.added",
    "response.shell_call_command.delta",
    "response.shell_call_command.done",
    "response.shell_call_output_content.delta",
    "response.shell_call_output_content.done",
    "response.image_generation_call.partial_image",
];

/// Members that say to what an event belongs, and padding.
const PLACES: &[&str] = &[
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

/// More kinds of notices than this are not told apart.
const MOST_NOTICES: usize = 64;

/// The warnings of an answer. Each is given once, however often its reason returns.
#[derive(Debug, Default)]
pub(super) struct Notices {
    given: Vec<u64>,
}

impl Notices {
    /// A warning that is given once for each `subject`.
    pub(super) fn warn(
        &mut self,
        code: &'static str,
        subject: &str,
        message: impl FnOnce() -> String,
        out: &mut Assembler,
    ) {
        let key = hash(code).rotate_left(1) ^ hash(subject);
        if self.given.len() < MOST_NOTICES && !self.given.contains(&key) {
            self.given.push(key);
            out.warn(Warning::new(code, message()));
        }
    }

    /// An event of a type that is not known.
    pub(super) fn event(&mut self, name: &str, event: Raw<'_>, out: &mut Assembler) {
        let mut says_something = false;
        let _ = members(event, PLACES, &mut |_, _| {
            says_something = true;
            Ok(())
        });
        if REPEATED.contains(&name) || !says_something {
            return;
        }
        let name: String = name.chars().take(100).collect();
        self.warn(
            "unknown_event",
            &name,
            || format!("an event `{name}` has content that the library has no place for; `raw_frames` gives it as it came"),
            out,
        );
    }

    /// Members of an object that have no place.
    pub(super) fn members(
        &mut self,
        place: &str,
        object: Raw<'_>,
        known: &[&str],
        out: &mut Assembler,
    ) {
        let _ = members(object, known, &mut |name, _| {
            let name: String = name.chars().take(100).collect();
            let message = || {
                format!(
                    "the member `{name}` of {place} has no place in the response; `provider_metadata.raw` or `raw_frames` gives it as it came"
                )
            };
            self.warn("unknown_member", &name, message, out);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AssemblerLimits, provider::lenient};

    fn raw(text: &str) -> Raw<'_> {
        lenient::parse(text).unwrap()
    }

    #[test]
    fn a_member_that_says_nothing_is_nothing() {
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
    fn an_unknown_event_is_named_once_and_only_if_it_says_anything() {
        let mut out = Assembler::new(false, AssemblerLimits::default());
        let mut notices = Notices::default();
        for (name, event) in [
            (
                "response.new.delta",
                r#"{"type":"x","item_id":"i","delta":"a"}"#,
            ),
            (
                "response.new.delta",
                r#"{"type":"x","item_id":"i","delta":"b"}"#,
            ),
            (
                "response.new.progress",
                r#"{"type":"x","item_id":"i","output_index":1}"#,
            ),
            ("response.mcp_call_arguments.delta", r#"{"delta":"a"}"#),
        ] {
            notices.event(name, raw(event), &mut out);
        }
        let warnings = Box::new(out).into_response().warnings;
        let codes: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, ["unknown_event"]);
        assert!(warnings[0].message.contains("`response.new.delta`"));
    }
}
