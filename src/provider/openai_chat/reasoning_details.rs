//! `reasoning_details` (OpenRouter and its like): opaque pieces that must go back as they came.

use crate::{
    Error, Json,
    chat::ProviderBlock,
    json::{JsonError, Reader},
    provider::{
        ResponseBuilder,
        kit::lenient::{Raw, ReadFields},
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// The details of an answer. In a stream one detail comes in pieces that repeat its type and index.
#[derive(Debug, Default)]
pub(super) struct Details {
    open: Vec<Detail>,
    /// Where the last one of each choice stands.
    last: BTreeMap<u32, usize>,
    /// Where the `extra_content` of each choice stands.
    extra: BTreeMap<u32, usize>,
}

#[derive(Debug)]
struct Detail {
    choice: u32,
    /// As it came, while it is in one piece.
    whole: Option<Json>,
    members: DetailsFields,
}

/// A detail's members in the order in which they first came.
#[derive(Debug, Default)]
struct DetailsFields(Vec<(String, Member)>);

#[derive(Debug)]
enum Member {
    Raw(Json),
    Text(String),
}

/// Members whose text comes in pieces.
const GROWING: [&str; 4] = ["text", "summary", "data", "signature"];

/// What has more members is no detail that comes in pieces. Each member of a piece is looked for among those that are there.
const MAX_FIELDS: usize = 64;

impl Details {
    /// Adds a piece and returns the text that a reader may see.
    pub(super) fn add(
        &mut self,
        choice: u32,
        piece: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<Option<String>, Error> {
        let whole = piece.json();
        let Some(members) = piece.read::<DetailsFields>() else {
            return Ok(None);
        };
        out.charge(piece.text().map_or(0, str::len))?;
        let shown = members.text("text").or(members.text("summary"));
        let shown = shown.map(str::to_owned);
        let last = self.last.get(&choice).and_then(|at| self.open.get_mut(*at));
        match last.filter(|open| open.members.is_continued_by(&members)) {
            Some(open) => {
                open.whole = None;
                open.members.extend(members);
            }
            None => {
                let detail = Detail {
                    choice,
                    whole,
                    members,
                };
                self.push(detail, out)?;
            }
        }
        Ok(shown)
    }

    /// Whether a detail has text that a reader may see.
    pub(super) fn has_text(&self) -> bool {
        let texts = ["text", "summary"];
        let mut all = self
            .open
            .iter()
            .flat_map(|detail| texts.map(|name| detail.members.text(name)));
        all.any(|text| text.is_some_and(|text| !text.is_empty()))
    }

    /// The details of a choice come once more, all of them.
    pub(super) fn clear_choice(&mut self, choice: u32) {
        let extra = self.extra.get(&choice).copied();
        for (at, detail) in self.open.iter_mut().enumerate() {
            if detail.choice == choice && extra != Some(at) {
                *detail = Detail {
                    choice,
                    whole: None,
                    members: DetailsFields::default(),
                };
            }
        }
        self.last.remove(&choice);
    }

    /// Keeps a message's `extra_content` in the same way. The last one counts.
    pub(super) fn add_extra_content(
        &mut self,
        choice: u32,
        value: Json,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.charge(value.as_str().len())?;
        let members = DetailsFields(vec![("extra_content".to_owned(), Member::Raw(value))]);
        match self
            .extra
            .get(&choice)
            .and_then(|at| self.open.get_mut(*at))
        {
            Some(open) => open.members = members,
            None => {
                let detail = Detail {
                    choice,
                    whole: None,
                    members,
                };
                let at = self.push(detail, out)?;
                self.extra.insert(choice, at);
            }
        }
        Ok(())
    }

    /// A detail of few bytes takes many times as much by itself.
    fn push(&mut self, detail: Detail, out: &mut ResponseBuilder) -> Result<usize, Error> {
        let members = detail.members.0.capacity();
        out.charge(
            size_of::<Detail>()
                .saturating_add(members.saturating_mul(size_of::<(String, Member)>())),
        )?;
        let at = self.open.len();
        self.last.insert(detail.choice, at);
        self.open.push(detail);
        Ok(at)
    }

    /// Hands them over, in their order, from `first_part` on.
    pub(super) fn finish(
        &mut self,
        provider: &str,
        first_part: u32,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (n, detail) in (0_u32..).zip(std::mem::take(self).open) {
            if detail.whole.is_none() && detail.members.0.is_empty() {
                continue;
            }
            let block = match detail.whole {
                Some(whole) => whole,
                None => Json::new(&detail.members)?,
            };
            let block = ProviderBlock::new(provider, block);
            out.provider_block(detail.choice, first_part.saturating_add(n), block)?;
        }
        Ok(())
    }
}

impl DetailsFields {
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

    fn is_continued_by(&self, piece: &DetailsFields) -> bool {
        self.0.len().saturating_add(piece.0.len()) <= MAX_FIELDS
            && piece.has("index")
            && self.raw("index") == piece.raw("index")
            && self.raw("type") == piece.raw("type")
    }

    fn extend(&mut self, piece: DetailsFields) {
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

impl<'de> ReadFields<'de> for DetailsFields {
    fn fill(&mut self, reader: &mut Reader<'de>) -> Result<(), JsonError> {
        reader.object(|name, reader| {
            let member = match reader.peek()? {
                b'"' if GROWING.contains(&name) => Member::Text(reader.string()?.into_owned()),
                _ => Member::Raw(Json::part(reader.raw()?)),
            };
            // A list that grows is there twice.
            reader.charge(size_of::<(String, Member)>().saturating_mul(3))?;
            self.0.push((name.to_owned(), member));
            Ok(())
        })
    }
}

impl Serialize for DetailsFields {
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
