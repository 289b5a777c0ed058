//! Unknown content of a message, kept as provider blocks in the API's own format: `{"message": {"images": ..}}`.

use super::hosted;
use crate::{
    Error, Json,
    chat::ProviderBlock,
    json::{JsonError, Reader},
    provider::{
        ResponseBuilder,
        kit::{
            json_object::JsonObject,
            lenient::{Raw, ReadFields},
        },
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// Unknown fields and parts. In a stream they arrive as deltas, which are assembled.
#[derive(Debug, Default)]
pub(super) struct KeptFields(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    choice: u32,
    kind: KeptKind,
    value: PartialJson,
}

/// Which deltas belong together.
#[derive(Debug, PartialEq, Eq)]
enum KeptKind {
    /// A field of the message.
    Member(String),
    /// A part of its content; each is complete.
    Part,
    /// The unknown fields of a known part of the content.
    Rest,
    /// A tool call, by its index and id.
    Call(Option<u64>, Option<String>),
}

impl KeptKind {
    fn is_member(&self, name: &str) -> bool {
        matches!(self, KeptKind::Member(own) if own == name)
    }
}

/// A value that is being assembled.
#[derive(Debug)]
enum PartialJson {
    /// A single value, as text.
    Complete(Json),
    /// A text, with its escapes and without quotation marks.
    Text(String),
    /// The elements of a list.
    List(Vec<Json>),
    Object(Vec<(String, PartialJson)>),
}

/// The fields or elements of a value that are compared with those of a further delta.
const MAX_COMPARED: usize = 64;
/// Below this level a further delta replaces the earlier one.
const MAX_MERGE_DEPTH: u32 = 8;

/// Fields whose text is complete in each delta: it is replaced instead of continued.
const REPLACED_FIELDS: [&str; 12] = [
    "id",
    "type",
    "name",
    "index",
    "object",
    "role",
    "format",
    "status",
    "url",
    "mime_type",
    "media_type",
    "call_id",
];

impl KeptFields {
    /// Adds a field of a message, or a delta of one.
    pub(super) fn member(
        &mut self,
        choice: u32,
        name: &str,
        raw: Raw<'_>,
        is_whole: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.add(
            choice,
            KeptKind::Member(name.to_owned()),
            raw,
            is_whole,
            out,
        )
    }

    /// Adds a part of the content. `is_rest`: its text is known, and only its other fields are unknown.
    pub(super) fn part(
        &mut self,
        choice: u32,
        raw: Raw<'_>,
        is_rest: bool,
        is_whole: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let what = if is_rest {
            KeptKind::Rest
        } else {
            KeptKind::Part
        };
        let is_known = |entry: &Entry| {
            entry.choice == choice
                && entry.kind == what
                && matches!(&entry.value, PartialJson::Complete(json) if Some(json.as_str()) == raw.text())
        };
        if is_whole && self.0.iter().any(is_known) {
            return Ok(());
        }
        self.push(choice, what, raw, out)
    }

    /// Adds a call of an unknown type, or a delta of one.
    pub(super) fn call(
        &mut self,
        choice: u32,
        index: Option<u64>,
        id: Option<&str>,
        raw: Raw<'_>,
        is_whole: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let what = match self.find_call(choice, index, id) {
            Some(KeptKind::Call(index, id)) => KeptKind::Call(*index, id.clone()),
            _ => KeptKind::Call(index, id.map(str::to_owned)),
        };
        self.add(choice, what, raw, is_whole, out)
    }

    /// Whether a call with this index or id is kept here.
    pub(super) fn has_call(&self, choice: u32, index: Option<u64>, id: Option<&str>) -> bool {
        self.find_call(choice, index, id).is_some()
    }

    fn find_call(&self, choice: u32, index: Option<u64>, id: Option<&str>) -> Option<&KeptKind> {
        let mut own = self.0.iter().rev().filter(|entry| entry.choice == choice);
        let found = own.find(|entry| match &entry.kind {
            KeptKind::Call(own_index, own_id) => match (id, own_id) {
                (Some(id), Some(own)) => id == own,
                // Without both it is the last one.
                _ => index.is_none() || index == *own_index,
            },
            _ => false,
        });
        found.map(|entry| &entry.kind)
    }

    /// A complete value replaces its earlier deltas.
    fn add(
        &mut self,
        choice: u32,
        what: KeptKind,
        raw: Raw<'_>,
        is_whole: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let known = self
            .0
            .iter_mut()
            .find(|entry| entry.choice == choice && entry.kind == what);
        let Some(entry) = known else {
            return self.push(choice, what, raw, out);
        };
        let text = raw.text().unwrap_or_default();
        out.charge(text.len().saturating_add(size_of::<Entry>()))?;
        let mut nodes = 0;
        match &entry.value {
            PartialJson::Complete(json) if json.as_str() == text && is_whole => {}
            _ if is_whole => entry.value = PartialJson::Complete(Json::part(text)),
            _ => entry.value.extend(text, false, 0, &mut nodes),
        }
        out.charge(nodes.saturating_mul(size_of::<(String, PartialJson)>()))
    }

    fn push(
        &mut self,
        choice: u32,
        what: KeptKind,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(value) = raw.json() else {
            return Ok(());
        };
        let bytes = value.as_str().len();
        out.charge(bytes.saturating_add(size_of::<Entry>()))?;
        let value = PartialJson::Complete(value);
        self.0.push(Entry {
            choice,
            kind: what,
            value,
        });
        Ok(())
    }

    /// Adds them to the response, in the order of their start, from `first_part` on.
    pub(super) fn finish(
        &mut self,
        provider: &str,
        first_part: u32,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (n, entry) in (0_u32..).zip(std::mem::take(&mut self.0)) {
            let block = Json::new(&Block(&entry))?;
            let number = first_part.saturating_add(n);
            if entry.kind.is_member("executed_tools") {
                hosted::executed(entry.choice, number, block, provider, out)?;
                continue;
            }
            let block = ProviderBlock::new(provider, block);
            out.provider_block(entry.choice, number, block)?;
        }
        Ok(())
    }
}

/// Fields that a server accepts in its own messages, in addition to content parts and audio by its id: calls
/// unchanged, images (OpenRouter), and signed or encrypted reasoning (LiteLLM, Copilot). Many servers refuse a
/// message with any other field.
const ACCEPTED_BACK: [&str; 4] = [
    "tool_calls",
    "images",
    "thinking_blocks",
    "reasoning_opaque",
];

/// The field in a provider block, if it is not sent back to the server.
pub(super) fn dropped_field(block: &Json) -> Option<String> {
    let outer = JsonObject::read(block.as_str())?;
    let mut names = outer.iter().map(|(name, _)| name);
    let ("message", None) = (names.next()?, names.next()) else {
        return None;
    };
    let members = JsonObject::read(outer.get("message")?.as_str())?;
    let (name, value) = members.iter().next()?;
    let has_id = || JsonObject::read(value.as_str()).is_some_and(|audio| audio.get("id").is_some());
    let goes_back = match name {
        "audio" => has_id(),
        "content" => value.as_str().starts_with('['),
        name => ACCEPTED_BACK.contains(&name),
    };
    (!goes_back).then(|| name.to_owned())
}

impl PartialJson {
    /// Parses a value as far as deltas can follow.
    fn open(text: &str, nodes: &mut usize) -> PartialJson {
        let whole = || PartialJson::Complete(Json::part(text));
        let mut reader = Reader::new(text);
        match reader.peek() {
            Ok(b'"') => {
                string_content(text).map_or_else(whole, |inner| PartialJson::Text(inner.to_owned()))
            }
            Ok(b'[') => elements(text, nodes).map_or_else(whole, PartialJson::List),
            Ok(b'{') => {
                let mut members = Vec::new();
                let read = reader.object(|name, reader| {
                    members.push((
                        name.to_owned(),
                        PartialJson::Complete(Json::part(reader.raw()?)),
                    ));
                    Ok(())
                });
                if read.is_err() {
                    return whole();
                }
                *nodes = nodes.saturating_add(members.len());
                PartialJson::Object(members)
            }
            _ => whole(),
        }
    }

    /// Adds a delta: texts and lists are continued, objects field by field, any other value is replaced.
    fn extend(&mut self, more: &str, is_fixed: bool, depth: u32, nodes: &mut usize) {
        let first = more.as_bytes().first().copied().unwrap_or(b'n');
        if first == b'n' {
            return;
        }
        if let PartialJson::Complete(json) = self {
            if !is_fixed && depth < MAX_MERGE_DEPTH {
                *self = PartialJson::open(json.as_str(), nodes);
            }
        }
        match (&mut *self, first) {
            (PartialJson::Text(text), b'"') if !is_fixed => {
                text.push_str(string_content(more).unwrap_or_default());
            }
            (PartialJson::List(list), b'[') => {
                for element in elements(more, nodes).unwrap_or_default() {
                    let is_new = list.len() > MAX_COMPARED || !list.contains(&element);
                    if is_new {
                        list.push(element);
                    }
                }
            }
            (PartialJson::Object(members), b'{') => {
                let deeper = depth.saturating_add(1);
                let read = Reader::new(more).object(|name, reader| {
                    let value = reader.raw()?;
                    let mut compared = members.iter_mut().take(MAX_COMPARED);
                    match compared.find(|(other, _)| other == name) {
                        Some((_, old)) => {
                            old.extend(value, REPLACED_FIELDS.contains(&name), deeper, nodes)
                        }
                        None => {
                            *nodes = nodes.saturating_add(1);
                            members
                                .push((name.to_owned(), PartialJson::Complete(Json::part(value))));
                        }
                    }
                    Ok(())
                });
                debug_assert!(read.is_ok(), "it was parsed before");
            }
            _ => *self = PartialJson::Complete(Json::part(more)),
        }
    }
}

/// The content between a text's quotation marks.
fn string_content(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn elements(text: &str, nodes: &mut usize) -> Option<Vec<Json>> {
    let mut elements = Vec::new();
    let mut reader = Reader::new(text);
    let read = reader.list(|reader| {
        elements.push(Json::part(reader.raw()?));
        Ok(())
    });
    *nodes = nodes.saturating_add(elements.len());
    read.ok().map(|()| elements)
}

impl Serialize for PartialJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PartialJson::Complete(json) => json.serialize(serializer),
            PartialJson::Text(text) => {
                Json::part(&["\"", text, "\""].concat()).serialize(serializer)
            }
            PartialJson::List(list) => list.serialize(serializer),
            PartialJson::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

struct Block<'a>(&'a Entry);

impl Serialize for Block<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Message<'a>(&'a Entry);
        impl Serialize for Message<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Entry {
                    kind: what, value, ..
                } = self.0;
                let mut map = serializer.serialize_map(Some(1))?;
                match what {
                    KeptKind::Member(name) => map.serialize_entry(name, value)?,
                    KeptKind::Part => map.serialize_entry("content", &[value])?,
                    KeptKind::Rest => map.serialize_entry("content_details", &[value])?,
                    KeptKind::Call(..) => map.serialize_entry("tool_calls", &[value])?,
                }
                map.end()
            }
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("message", &Message(self.0))?;
        map.end()
    }
}

// `reasoning_details` (OpenRouter and others): opaque objects that must be sent back unchanged.

/// The details of a response. In a stream one detail arrives as deltas that repeat its type and index.
#[derive(Debug, Default)]
pub(super) struct Details {
    open: Vec<Detail>,
    /// The index of the last detail of each choice.
    last: BTreeMap<u32, usize>,
    /// The index of each choice's `extra_content`.
    extra: BTreeMap<u32, usize>,
}

#[derive(Debug)]
struct Detail {
    choice: u32,
    /// Unchanged, while there is only one delta.
    whole: Option<Json>,
    members: DetailsFields,
}

/// A detail's fields in the order of their first occurrence.
#[derive(Debug, Default)]
struct DetailsFields(Vec<(String, Member)>);

#[derive(Debug)]
enum Member {
    Raw(Json),
    Text(String),
}

/// Fields whose text arrives in deltas.
const GROWING: [&str; 4] = ["text", "summary", "data", "signature"];

/// A detail with more fields has no deltas. Each field of a delta is searched among the existing ones.
const MAX_FIELDS: usize = 64;

impl Details {
    /// Adds a delta and returns its readable text.
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

    /// Whether a detail has readable text.
    pub(super) fn has_text(&self) -> bool {
        let texts = ["text", "summary"];
        let mut all = self
            .open
            .iter()
            .flat_map(|detail| texts.map(|name| detail.members.text(name)));
        all.any(|text| text.is_some_and(|text| !text.is_empty()))
    }

    /// All details of a choice are repeated.
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

    /// A short detail takes many times its size in memory.
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

    /// Adds them to the response, in order, from `first_part` on.
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
            // A growing list needs twice its size.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&str]) -> String {
        let mut value = PartialJson::Complete(Json::part(pieces[0]));
        for piece in &pieces[1..] {
            value.extend(piece, false, 0, &mut 0);
        }
        Json::new(&value).unwrap().as_str().to_owned()
    }

    #[test]
    fn deltas_are_joined() {
        for (pieces, whole) in [
            (&["1.0"][..], "1.0"),
            (&["1", "2"], "2"),
            (&[r#""a\n""#, r#""b""#], r#""a\nb""#),
            (&["\"a\"", "null", "\"b\""], r#""ab""#),
            (&["[1]", "[2,1]"], "[1,2]"),
            (
                &[
                    r#"{"id":"a","data":"UklG"}"#,
                    r#"{"id":"a","data":"Rg==","expires_at":1}"#,
                    r#"{"transcript":"Yes","expires_at":2}"#,
                ],
                r#"{"id":"a","data":"UklGRg==","expires_at":2,"transcript":"Yes"}"#,
            ),
            (
                &[
                    r#"{"custom":{"name":"f","input":"pri"}}"#,
                    r#"{"custom":{"name":"f","input":"nt"}}"#,
                ],
                r#"{"custom":{"name":"f","input":"print"}}"#,
            ),
        ] {
            assert_eq!(joined(pieces), whole, "{pieces:?}");
        }
    }
}
