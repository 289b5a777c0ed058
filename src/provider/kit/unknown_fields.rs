//! Warnings that name what a server sent and a decoder does not know, or sent twice and not alike. Nothing that was sent
//! vanishes without one.

use super::lenient::{Raw, UnknownFields};
use crate::{
    Error,
    chat::{ProviderMetadata, Warning},
    error::excerpt,
    provider::ResponseBuilder,
};
use std::collections::BTreeSet;

/// What an answer has been warned of: each kind of thing once, however often it is sent.
#[derive(Debug, Default)]
pub(crate) struct UnknownFieldWarnings {
    warned: BTreeSet<String>,
}

/// More different things than these are not named one by one.
const MAX_WARNINGS: usize = 64;
/// Names are shown up to this length, in characters.
const MAX_NAME_CHARS: usize = 128;

impl UnknownFieldWarnings {
    /// An event of a type that is not known.
    #[cold]
    pub(crate) fn event(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "unknown_event",
            format!("an event of type `{kind}` is not known and was left out; `raw_frames` gives it as it came"),
            out,
        );
    }

    /// An event behind the one that ends the answer.
    #[cold]
    pub(crate) fn behind_end(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "behind_end",
            format!("an event `{kind}` came behind the end of the answer and was left out; `raw_frames` gives it as it came"),
            out,
        );
    }

    /// A piece of a content block, of a type that is not known.
    #[cold]
    pub(crate) fn delta(&mut self, kind: &str, out: &mut ResponseBuilder) {
        let kind = shown(kind);
        self.warn(
            "unknown_delta",
            format!("a delta of type `{kind}` is not known and was left out"),
            out,
        );
    }

    /// A piece of a content block of a kind that is not known, by its members that are not empty.
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
            format!("a piece of content block {block} is of a kind that is not known and was left out ({members})"),
            out,
        );
    }

    /// Members of an object of the wire, such as `a text block`.
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

    /// A member of an object of the wire, such as `a text block`.
    #[cold]
    pub(crate) fn member(&mut self, place: &str, name: &str, out: &mut ResponseBuilder) {
        let name = shown(name);
        self.warn(
            "unknown_member",
            format!("the member `{name}` of {place} is not known and was left out; `provider_metadata.raw` or `raw_frames` gives it as it came"),
            out,
        );
    }

    /// Members that have no place in a response: each is kept as an [`extra`](Self::extra).
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

    /// A member that has no place in a response. Its name is its path in the whole answer. Members of the answer itself and of
    /// its first choice have no `prefix`; where the JSON form of the metadata has a member of this name, it is `answer.`. So
    /// many are kept and no more, because each is looked for among all.
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
                self.member("the answer", &name, out);
                Ok(())
            }
            _ => out.extra(&name, value),
        }
    }

    /// A value of another type than the member `name` has.
    #[cold]
    pub(crate) fn value(&mut self, name: &str, value: &str, out: &mut ResponseBuilder) {
        let value = excerpt(value.as_bytes());
        self.warn(
            "unknown_value",
            format!("a value in `{name}` has a type that is not known and was left out: {value}"),
            out,
        );
    }

    /// A warning with this message, unless it was given before.
    #[cold]
    pub(crate) fn warn(&mut self, code: &'static str, message: String, out: &mut ResponseBuilder) {
        if self.warned.len() < MAX_WARNINGS && !self.warned.contains(&message) {
            out.warn(Warning::new(code, message.as_str()));
            self.warned.insert(message);
        }
    }
}

/// A name as a message shows it: not endless, and without control characters.
pub(crate) fn shown(name: &str) -> String {
    let name: String = name.chars().take(MAX_NAME_CHARS).collect();
    name.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ResponseLimits;

    #[test]
    fn each_thing_is_named_once_and_not_without_bound() {
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
            "an event of type `late` is not known and was left out; `raw_frames` gives it as it came"
        );
        let max = warnings
            .iter()
            .map(|warning| warning.message.chars().count());
        assert!(max.max().unwrap() < 2 * MAX_NAME_CHARS);
    }
}
