//! `reasoning_details` (OpenRouter and its like): opaque pieces that must go back as they came.

use crate::{
    Assembler, Error, Json, OpaqueBlock,
    json::{Fault, Reader},
    provider::lenient::{Fill, Raw},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The details of one answer. In a stream one detail comes in pieces that repeat its type and index.
#[derive(Debug, Default)]
pub(super) struct Details {
    open: Vec<Detail>,
}

#[derive(Debug)]
struct Detail {
    choice: u32,
    /// As it came, while it is in one piece.
    whole: Option<Json>,
    members: Members,
}

/// A detail's members in the order in which they first came.
#[derive(Debug, Default)]
struct Members(Vec<(String, Member)>);

#[derive(Debug)]
enum Member {
    Raw(Json),
    Text(String),
}

/// Members whose text comes in pieces.
const GROWING: [&str; 4] = ["text", "summary", "data", "signature"];

impl Details {
    /// Adds a piece and returns the text that a reader may see.
    pub(super) fn add(&mut self, choice: u32, piece: Raw<'_>) -> Option<String> {
        let whole = piece.json();
        let members: Members = piece.read()?;
        let shown = members.text("text").or(members.text("summary"));
        let shown = shown.map(str::to_owned);
        let last = self.open.iter_mut().rfind(|open| open.choice == choice);
        match last.filter(|open| open.members.goes_on(&members)) {
            Some(open) => {
                open.whole = None;
                open.members.extend(members);
            }
            None => self.open.push(Detail {
                choice,
                whole,
                members,
            }),
        }
        shown
    }

    /// Keeps a member of a message in the same way.
    pub(super) fn add_member(&mut self, choice: u32, name: &str, value: Json) {
        let members = Members(vec![(name.to_owned(), Member::Raw(value))]);
        let known = self
            .open
            .iter_mut()
            .find(|open| open.choice == choice && open.members.has(name));
        match known {
            Some(open) => open.members = members,
            None => self.open.push(Detail {
                choice,
                whole: None,
                members,
            }),
        }
    }

    /// Hands them over, in their order, from `first_part` on.
    pub(super) fn finish(
        &mut self,
        provider: &str,
        first_part: u32,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        for (n, detail) in (0_u32..).zip(std::mem::take(&mut self.open)) {
            let block = match detail.whole {
                Some(whole) => whole,
                None => Json::new(&detail.members)?,
            };
            let block = OpaqueBlock::new(provider, block);
            out.opaque(detail.choice, first_part.saturating_add(n), block)?;
        }
        Ok(())
    }
}

impl Members {
    fn find(&self, name: &str) -> Option<&Member> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, member)| member)
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.find(name)? {
            Member::Text(text) => Some(text),
            Member::Raw(_) => None,
        }
    }

    fn raw(&self, name: &str) -> Option<&str> {
        match self.find(name)? {
            Member::Raw(raw) => Some(raw.as_str()),
            Member::Text(_) => None,
        }
    }

    fn goes_on(&self, piece: &Members) -> bool {
        piece.has("index")
            && self.raw("index") == piece.raw("index")
            && self.raw("type") == piece.raw("type")
    }

    fn extend(&mut self, piece: Members) {
        for (name, member) in piece.0 {
            let known = self.0.iter_mut().find(|(other, _)| *other == name);
            match (known, member) {
                (_, Member::Raw(raw)) if raw.as_str() == "null" => {}
                (Some((_, Member::Text(text))), Member::Text(more)) => text.push_str(&more),
                (Some((_, old)), member) => *old = member,
                (None, member) => self.0.push((name, member)),
            }
        }
    }
}

impl<'de> Fill<'de> for Members {
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), Fault> {
        reader.object(|name, reader| {
            let member = match reader.peek()? {
                b'"' if GROWING.contains(&name) => Member::Text(reader.string()?.into_owned()),
                _ => Member::Raw(Json::part(reader.raw()?)),
            };
            self.0.push((name.to_owned(), member));
            Ok(())
        })
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, member) in &self.0 {
            match member {
                Member::Raw(raw) => map.serialize_entry(name, raw)?,
                Member::Text(text) => map.serialize_entry(name, text)?,
            }
        }
        map.end()
    }
}
