//! Warnings that name what a server sent and a decoder does not know. Nothing that was sent vanishes without one.

use super::lenient::Others;
use crate::{Assembler, Error, Warning, error::excerpt};
use std::collections::BTreeSet;

/// What an answer has been warned of: each kind of thing once, however often it is sent.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    seen: BTreeSet<String>,
    /// The names of the extras that were kept.
    extras: BTreeSet<String>,
}

/// More different things than these are not named one by one.
const MOST: usize = 64;
/// Names are shown up to this length, in characters.
const LONGEST: usize = 128;

impl Unknown {
    /// An event of a type that is not known.
    #[cold]
    pub(crate) fn event(&mut self, kind: &str, out: &mut Assembler) {
        let kind = shown(kind);
        self.warn(
            "unknown_event",
            format!("an event of type `{kind}` is not known and was left out"),
            out,
        );
    }

    /// A piece of a content block, of a type that is not known.
    #[cold]
    pub(crate) fn delta(&mut self, kind: &str, out: &mut Assembler) {
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
        out: &mut Assembler,
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
    pub(crate) fn members(&mut self, place: &str, others: &Others<'_>, out: &mut Assembler) {
        for (name, _) in others.iter() {
            self.member(place, name, out);
        }
    }

    /// A member of an object of the wire, such as `a text block`.
    #[cold]
    pub(crate) fn member(&mut self, place: &str, name: &str, out: &mut Assembler) {
        let name = shown(name);
        self.warn(
            "unknown_member",
            format!("the member `{name}` of {place} is not known and was left out"),
            out,
        );
    }

    /// Members that have no place in a response: they are kept as extras, named with `prefix`. So many names are kept and no
    /// more, because each is looked for among all.
    pub(crate) fn extras(
        &mut self,
        prefix: &str,
        others: &Others<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        for (name, raw) in others.iter() {
            let name = [prefix, name].concat();
            let is_known = self.extras.contains(&name);
            if !is_known && self.extras.len() >= MOST {
                self.member("the answer", &name, out);
                continue;
            }
            if let Some(value) = raw.json() {
                out.extra(&name, value)?;
            }
            if !is_known {
                self.extras.insert(name);
            }
        }
        Ok(())
    }

    /// A value of another type than the member `name` has.
    #[cold]
    pub(crate) fn value(&mut self, name: &str, value: &str, out: &mut Assembler) {
        let value = excerpt(value.as_bytes());
        self.warn(
            "unknown_value",
            format!("a value in `{name}` has a type that is not known and was left out: {value}"),
            out,
        );
    }

    fn warn(&mut self, code: &'static str, message: String, out: &mut Assembler) {
        if self.seen.len() < MOST && !self.seen.contains(&message) {
            out.warn(Warning::new(code, message.as_str()));
            self.seen.insert(message);
        }
    }
}

fn shown(name: &str) -> String {
    let name: String = name.chars().take(LONGEST).collect();
    name.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AssemblerLimits;

    #[test]
    fn each_thing_is_named_once_and_not_without_bound() {
        let mut out = Assembler::new(false, AssemblerLimits::default());
        let mut unknown = Unknown::default();
        for _ in 0..3 {
            unknown.event("late", &mut out);
            unknown.delta("late", &mut out);
            unknown.member("a text block", "late", &mut out);
        }
        for number in 0..1000 {
            unknown.event(&format!("{number}{}", "é".repeat(1000)), &mut out);
        }
        let warnings = &out.response_mut().warnings;
        assert_eq!(warnings.len(), MOST);
        assert_eq!(
            warnings[0].message,
            "an event of type `late` is not known and was left out"
        );
        let longest = warnings
            .iter()
            .map(|warning| warning.message.chars().count());
        assert!(longest.max().unwrap() < 2 * LONGEST);
    }
}
