//! Warnings for content that a decoder does not know, and for repeated content that differs. Nothing that a server
//! sends is dropped without a warning.

use super::lenient::{Raw, UnknownFields};
use crate::{
    Error,
    chat::{ProviderMetadata, Warning},
    error::excerpt,
    provider::ResponseBuilder,
};
use std::collections::BTreeSet;

/// The warnings of a response so far: one for each kind of content, however often it is sent.
#[derive(Debug, Default)]
pub(crate) struct UnknownFieldWarnings {
    warned: BTreeSet<String>,
}

/// Further kinds are not named one by one.
const MAX_WARNINGS: usize = 64;
/// Names are shown up to this length, in characters.
const MAX_NAME_CHARS: usize = 128;

impl UnknownFieldWarnings {
    /// An event of unknown type.
    #[cold]
    pub(crate) fn event(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "unknown_event",
            format!("the event type `{kind}` is unknown and was dropped; `raw_frames` has it"),
            out,
        );
    }

    /// An event after the one that ends the response.
    #[cold]
    pub(crate) fn behind_end(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "behind_end",
            format!(
                "an event `{kind}` after the end of the response was dropped; `raw_frames` has it"
            ),
            out,
        );
    }

    /// A delta of a content block, of unknown type.
    #[cold]
    pub(crate) fn delta(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "unknown_delta",
            format!("the delta type `{kind}` is unknown and was dropped"),
            out,
        );
    }

    /// A delta of a content block of unknown type, described by its fields that are not empty.
    #[cfg(feature = "bedrock")]
    #[cold]
    pub(crate) fn block<'n>(
        &mut self,
        block: u32,
        members: impl Iterator<Item = &'n str>,
        out: &mut ResponseBuilder,
    ) {
        let members: Vec<String> = members
            .take(4)
            .map(|name| format!("`{}`", shown(name)))
            .collect();
        let members = match members.as_slice() {
            [] => "empty".to_owned(),
            names => names.join(", "),
        };
        self.warn(
            "unknown_block",
            format!(
                "a delta of content block {block} has an unknown type and was dropped ({members})"
            ),
            out,
        );
    }

    /// Unknown fields of an object, such as `a text block`.
    #[inline]
    pub(crate) fn members(
        &mut self,
        place: &str,
        others: &UnknownFields<'_>,
        out: &mut ResponseBuilder,
    ) {
        for (name, _) in others.iter() {
            self.member(place, name, out);
        }
    }

    /// An unknown field of an object, such as `a text block`.
    #[cold]
    pub(crate) fn member(&mut self, place: &str, name: &str, out: &mut ResponseBuilder) {
        let name = shown(name);
        self.warn(
            "unknown_member",
            format!("the field `{name}` of {place} is unknown and was dropped; `provider_metadata.raw` or `raw_frames` has it"),
            out,
        );
    }

    /// Fields without a place in a response: each is kept as an [`extra`](Self::extra).
    pub(crate) fn extras(
        &mut self,
        prefix: &str,
        others: &UnknownFields<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (name, raw) in others.iter() {
            self.extra(prefix, name, raw, out)?;
        }
        Ok(())
    }

    /// A field without a place in a response. Its name is its path in the response. Fields of the response itself and
    /// of its first choice have no `prefix`; if the JSON form of the metadata has a field with this name, the prefix
    /// is `answer.`. The number is limited, because each is compared with all.
    pub(crate) fn extra(
        &mut self,
        prefix: &str,
        name: &str,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_taken = prefix.is_empty() && ProviderMetadata::MEMBERS.contains(&name);
        let name = [if is_taken { "answer." } else { prefix }, name].concat();
        let Some(value) = raw.json() else {
            return Ok(());
        };
        let mut known = out.extras().iter().rev();
        match known.find(|(other, _)| *other == name) {
            // Many servers repeat them in each chunk.
            Some((_, old)) if *old == value => Ok(()),
            None if out.extras().len() >= MAX_WARNINGS => {
                self.member("the response", &name, out);
                Ok(())
            }
            _ => out.extra(&name, value),
        }
    }

    /// A value of another type than the field `name` has.
    #[cold]
    pub(crate) fn value(&mut self, name: &str, value: &str, out: &mut ResponseBuilder) {
        let value = excerpt(value.as_bytes());
        self.warn(
            "unknown_value",
            format!("a value in `{name}` has an unknown type and was dropped: {value}"),
            out,
        );
    }

    /// Adds a warning with this message, unless it was added before.
    #[cold]
    pub(crate) fn warn(&mut self, code: &'static str, message: String, out: &mut ResponseBuilder) {
        if self.warned.len() < MAX_WARNINGS && !self.warned.contains(&message) {
            out.warn(Warning::new(code, message.as_str()));
            self.warned.insert(message);
        }
    }
}

/// A name as a message shows it: shortened, and without control characters.
pub(crate) fn shown(name: &str) -> String {
    let name: String = name.chars().take(MAX_NAME_CHARS).collect();
    name.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ResponseLimits;

    #[test]
    fn each_kind_is_named_once_and_the_number_is_bounded() {
        let mut out = ResponseBuilder::new(false, ResponseLimits::default());
        let mut unknown = UnknownFieldWarnings::default();
        for _ in 0..3 {
            unknown.event("late", &mut out);
            unknown.delta("late", &mut out);
            unknown.member("a text block", "late", &mut out);
        }
        for number in 0..1000 {
            unknown.event(&format!("{number}{}", "é".repeat(1000)), &mut out);
        }
        let warnings = &out.response_mut().warnings;
        assert_eq!(warnings.len(), MAX_WARNINGS);
        assert_eq!(
            warnings[0].message,
            "the event type `late` is unknown and was dropped; `raw_frames` has it"
        );
        let max = warnings
            .iter()
            .map(|warning| warning.message.chars().count());
        assert!(max.max().unwrap() < 2 * MAX_NAME_CHARS);
    }
}
