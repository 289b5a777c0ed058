//! Which output items a stream has started, and which of them the items of the final response are.

use super::{
    decode,
    parts::{self, hash, too_many},
};
use crate::{
    Error, Json,
    provider::kit::{
        json_object::JsonObject,
        lenient::{List, Object, Raw, object},
    },
};
use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

/// More items than this are refused.
const MAX_ITEMS: usize = 4096;

/// The type of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    #[default]
    Unknown,
    Message,
    Call,
    Reasoning,
    /// Another type, by its hash.
    Other(u64),
}

/// The key by which an item of the final response is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// The hash of its id, or of a call's `call_id`; zero if it has none.
    pub(super) id: u64,
}

/// The items of a response.
#[derive(Debug, Default)]
pub(super) struct OutputItems {
    slots: Vec<OutputItem>,
}

/// An item of a response.
#[derive(Debug, Default)]
pub(super) struct OutputItem {
    /// The API's `output_index`. Some servers reuse an index once its item is done.
    index: u64,
    /// The item's position among all items.
    pub(super) number: u32,
    pub(super) key: Key,
    /// The hash of the `item_id` in its events.
    item_id: u64,
    /// The announced item, until it is done.
    pub(super) announced: Option<Json>,
    /// The streamed content of an item without typed content.
    pub(super) streamed: Streamed,
    /// The fingerprint of the finished item, to compare it with the final response.
    pub(super) fingerprint: ItemFingerprint,
    /// A finished reasoning item without encrypted content: the final response may contain the item with it, and only
    /// one of both may be sent back to the server.
    pub(super) unencrypted: Option<Json>,
    /// The arguments of a call are complete.
    pub(super) has_arguments: bool,
    pub(super) done: bool,
}

impl OutputItems {
    /// Starts an item. Starting it twice has no effect, unless the first one is done.
    pub(super) fn add(&mut self, index: Option<u64>, item_id: u64) -> Result<u32, Error> {
        let index = index.unwrap_or(self.slots.len() as u64);
        let number = match self.last(index).filter(|slot| !slot.done) {
            Some(slot) => slot.number,
            None => self.push(index)?,
        };
        if let Some(slot) = self.get(number) {
            slot.item_id = item_id;
        }
        Ok(number)
    }

    /// The item of an event; an item that was not announced starts now. Without an index it is found by its id,
    /// or it is the last one.
    pub(super) fn of(&mut self, index: Option<u64>, item_id: Option<&str>) -> Result<u32, Error> {
        let id = |text: Option<&str>| text.map_or(0, hash);
        let index = match index {
            Some(index) => index,
            None => {
                let id = id(item_id);
                let known = |slot: &&OutputItem| id != 0 && slot.item_id == id;
                if let Some(slot) = self.slots.iter().rfind(known) {
                    return Ok(slot.number);
                }
                self.slots.last().map_or(0, |slot| slot.index)
            }
        };
        let number = match self.slots.iter().rfind(|slot| slot.index == index) {
            // Another item with the index of a finished one.
            Some(slot)
                if slot.done
                    && slot.item_id != 0
                    && item_id.is_some_and(|id| slot.item_id != hash(id)) =>
            {
                None
            }
            Some(slot) if slot.item_id != 0 => return Ok(slot.number),
            slot => slot.map(|slot| slot.number),
        };
        let number = match number {
            Some(number) => number,
            None => self.push(index)?,
        };
        if let Some(slot) = self.get(number) {
            slot.item_id = id(item_id);
        }
        Ok(number)
    }

    /// Whether an event of an item with this index was decoded; true without an index.
    pub(super) fn has(&self, index: Option<u64>) -> bool {
        let known = |index| self.slots.iter().any(|slot| slot.index == index);
        index.is_none_or(known)
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut OutputItem> {
        self.slots.iter_mut().rfind(|slot| slot.number == number)
    }

    /// The numbers of all items, in order.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.slots.iter().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Sets the type of an item that was not announced.
    pub(super) fn is(&mut self, number: u32, kind: Kind) {
        match self.get(number) {
            Some(slot) if slot.key.kind == Kind::Unknown => slot.key.kind = kind,
            _ => {}
        }
    }

    /// Matches the items of the final `output` with those received. They are matched by their ids; if the ids differ,
    /// by their positions if the numbers of items are equal, and else as the last of their type, because servers that
    /// omit some omit the first. An item without a match starts now.
    pub(super) fn resolve(&mut self, finals: &[Key]) -> Result<Vec<u32>, Error> {
        if finals.len() > MAX_ITEMS {
            return Err(too_many("items", MAX_ITEMS));
        }
        self.slots.sort_by_key(|slot| slot.number);
        let mut found: Vec<Option<usize>> = vec![None; finals.len()];
        let mut free: BTreeSet<usize> = (0..self.slots.len()).collect();
        let mut by_id: BTreeMap<Key, VecDeque<usize>> = BTreeMap::new();
        for (at, slot) in self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.key.id != 0)
        {
            by_id.entry(slot.key).or_default().push_back(at);
        }
        for (found, key) in found.iter_mut().zip(finals).filter(|(_, key)| key.id != 0) {
            *found = by_id.get_mut(key).and_then(VecDeque::pop_front);
            found.map(|at| free.remove(&at));
        }
        let fits = |slot: &OutputItem, key: &Key| {
            matches!(slot.key.kind, Kind::Unknown) || slot.key.kind == key.kind
        };
        let mut by_index: BTreeMap<u64, usize> = BTreeMap::new();
        for (at, slot) in self.slots.iter().enumerate() {
            by_index.entry(slot.index).or_insert(at);
        }
        for (place, (found, key)) in found.iter_mut().zip(finals).enumerate() {
            let at = match self.slots.len().cmp(&finals.len()) {
                Ordering::Equal => Some(place),
                Ordering::Less => by_index.get(&(place as u64)).copied(),
                Ordering::Greater => None,
            };
            let slot = at.filter(|at| found.is_none() && free.contains(at));
            if let Some(at) =
                slot.filter(|at| self.slots.get(*at).is_some_and(|slot| fits(slot, key)))
            {
                free.remove(&at);
                *found = Some(at);
            }
        }
        let mut by_kind: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for &at in &free {
            if let Some(slot) = self.slots.get(at) {
                by_kind.entry(slot.key.kind).or_default().push(at);
            }
        }
        for (found, key) in found
            .iter_mut()
            .zip(finals)
            .rev()
            .filter(|(found, _)| found.is_none())
        {
            *found = by_kind.get_mut(&key.kind).and_then(Vec::pop);
        }
        let mut numbers = Vec::with_capacity(finals.len());
        for (place, found) in found.into_iter().enumerate() {
            numbers.push(match found.and_then(|at| self.slots.get(at)) {
                Some(slot) => slot.number,
                None => self.push(place as u64)?,
            });
        }
        Ok(numbers)
    }

    fn last(&self, index: u64) -> Option<&OutputItem> {
        self.slots.iter().rfind(|slot| slot.index == index)
    }

    fn push(&mut self, index: u64) -> Result<u32, Error> {
        if self.slots.len() >= MAX_ITEMS {
            return Err(too_many("items", MAX_ITEMS));
        }
        let taken = |number: u32| self.slots.iter().any(|slot| slot.number == number);
        let own = u32::try_from(index)
            .ok()
            .filter(|&n| n < u32::MAX / 65_536 && !taken(n));
        let next = || {
            self.slots
                .iter()
                .map(|slot| slot.number.saturating_add(1))
                .max()
        };
        let number = own.or_else(next).unwrap_or(0);
        self.slots.push(OutputItem {
            index,
            number,
            ..OutputItem::default()
        });
        Ok(number)
    }
}

// Streamed content of items without typed content (custom calls, code, patches, commands), and its comparison with the
// finished item. Such an item is emitted only when it is finished; the finished one counts.

/// A streamed text of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// The input of a custom call.
    Input,
    /// The arguments of an MCP call.
    Arguments,
    /// The code of the code interpreter.
    Code,
    /// `operation.diff` of a patch.
    Diff,
    /// One of the `action.commands` of a shell call.
    Command(u64),
    /// `stdout` of one of the `output` elements of a shell call.
    Stdout(u64),
    Stderr(u64),
}

/// The texts of one item.
#[derive(Debug, Default)]
pub(super) struct Streamed(BTreeMap<Member, Piece>);

#[derive(Debug, Default)]
struct Piece {
    text: String,
    /// An event had the complete text.
    is_whole: bool,
}

object! {
    /// The streamed fields of an item.
    struct Shape<'a> {
        input: Raw<'a>,
        arguments: Raw<'a>,
        code: Raw<'a>,
        operation: Object<Operation<'a>>,
        action: Object<Action<'a>>,
        output: Raw<'a>,
    }
}

object! {
    struct Operation<'a> {
        diff: Raw<'a>,
    }
}

object! {
    struct Action<'a> {
        commands: List<Raw<'a>>,
    }
}

object! {
    struct Output<'a> {
        stdout: Raw<'a>,
        stderr: Raw<'a>,
    }
}

impl Member {
    pub(super) fn name(self) -> &'static str {
        match self {
            Member::Input => "input",
            Member::Arguments => "arguments",
            Member::Code => "code",
            Member::Diff => "operation.diff",
            Member::Command(_) => "action.commands",
            Member::Stdout(_) => "output.stdout",
            Member::Stderr(_) => "output.stderr",
        }
    }

    fn of<'a>(self, item: &Shape<'a>, output: &[Output<'a>]) -> Raw<'a> {
        let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let raw = match self {
            Member::Input => Some(item.input),
            Member::Arguments => Some(item.arguments),
            Member::Code => Some(item.code),
            Member::Diff => item.operation.0.as_ref().map(|operation| operation.diff),
            Member::Command(n) => {
                let action = item.action.0.as_ref();
                action.and_then(|action| action.commands.0.get(at(n)).copied())
            }
            Member::Stdout(n) => output.get(at(n)).map(|output| output.stdout),
            Member::Stderr(n) => output.get(at(n)).map(|output| output.stderr),
        };
        raw.unwrap_or_default()
    }
}

impl Streamed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an event had a complete text.
    pub(super) fn has_whole(&self) -> bool {
        self.0.values().any(|piece| piece.is_whole)
    }

    /// Adds to a text. Returns false if it was complete before.
    pub(super) fn add(&mut self, member: Member, delta: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        if !piece.is_whole {
            piece.text.push_str(delta);
        }
        !piece.is_whole || delta.is_empty()
    }

    /// Sets a complete text, which replaces its deltas. An empty one is ignored. Returns false if they differ.
    pub(super) fn whole(&mut self, member: Member, text: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        piece.is_whole = true;
        let is_same = text.is_empty() || piece.text.is_empty() || is_same(&piece.text, text);
        if !text.is_empty() {
            text.clone_into(&mut piece.text);
        }
        is_same
    }

    /// The finished item with the streamed texts that it lacks, and the fields that differ.
    pub(super) fn complete(&self, item: Json) -> Result<(Json, Vec<&'static str>), Error> {
        let raw: Raw<'_> = crate::provider::kit::lenient::parse(item.as_str())?;
        let shape: Shape<'_> = raw.read().unwrap_or_default();
        let output: List<Object<Output<'_>>> = shape.output.read().unwrap_or_default();
        let output: Vec<Output<'_>> = output
            .0
            .into_iter()
            .map(|output| output.0.unwrap_or_default())
            .collect();
        let (mut differing, mut missing) = (Vec::new(), Vec::new());
        for (member, piece) in self.0.iter().filter(|(_, piece)| !piece.text.is_empty()) {
            let finished = text_of(member.of(&shape, &output));
            if finished.is_empty() {
                missing.push((*member, &*piece.text));
            } else if !is_same(&piece.text, &finished) && !differing.contains(&member.name()) {
                differing.push(member.name());
            }
        }
        let mut commands = Vec::new();
        let mut filled: Option<JsonObject> = None;
        for (member, text) in missing {
            let all = match &mut filled {
                Some(all) => all,
                None => match JsonObject::read(item.as_str()) {
                    Some(all) => filled.insert(all),
                    None => return Ok((item, differing)),
                },
            };
            match member {
                Member::Input | Member::Arguments | Member::Code => {
                    all.set(member.name(), Json::new(text)?);
                }
                Member::Diff => set_inner(all, "operation", "diff", Json::new(text)?)?,
                Member::Command(_) => commands.push(text),
                Member::Stdout(_) | Member::Stderr(_) => differing.push(member.name()),
            }
        }
        let has_commands = shape
            .action
            .0
            .as_ref()
            .is_some_and(|action| !action.commands.0.is_empty());
        match &mut filled {
            Some(all) if !commands.is_empty() && !has_commands => {
                set_inner(all, "action", "commands", Json::new(&commands)?)?;
            }
            _ if !commands.is_empty() => differing.push(Member::Command(0).name()),
            _ => {}
        }
        match filled {
            Some(all) => Ok((all.to_json()?, differing)),
            None => Ok((item, differing)),
        }
    }
}

/// Sets a field of a nested object.
fn set_inner(all: &mut JsonObject, outer: &str, inner: &str, value: Json) -> Result<(), Error> {
    let object = all
        .get(outer)
        .and_then(|json| JsonObject::read(json.as_str()));
    let mut object = object.unwrap_or_default();
    object.set(inner, value);
    all.set(outer, object.to_json()?);
    Ok(())
}

/// A text, or another value as JSON.
pub(super) fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    raw.arguments()
        .unwrap_or_else(|_| raw.text().unwrap_or_default().into())
}

/// Whether two texts are equal, or two notations of one JSON value.
fn is_same(one: &str, other: &str) -> bool {
    let is_json = |text: &str| text.trim_ascii_start().starts_with(['{', '[']);
    one == other || (is_json(one) && parts::same_arguments(one, other))
}

/// Hashes of name and value of a finished item's fields, to detect a repetition that differs.
#[derive(Debug, Default)]
pub(super) struct ItemFingerprint(Vec<(u64, u64)>);

/// Fields that may differ without a change of content: servers change ids and encryption between events.
const CHANGING: &[&str] = &["id", "status", "encrypted_content", "fingerprint"];

impl ItemFingerprint {
    pub(super) fn of(item: Raw<'_>) -> ItemFingerprint {
        let mut members = Vec::new();
        let _ = decode::members(item, CHANGING, &mut |name, value| {
            members.push((hash(name), parts::hash_of(value)));
            Ok(())
        });
        members.sort_unstable();
        ItemFingerprint(members)
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.len().saturating_mul(size_of::<(u64, u64)>())
    }

    /// The first fields of a repetition that differ or are new.
    pub(super) fn differing(&self, item: Raw<'_>) -> Vec<String> {
        const MOST: usize = 4;
        let mut names = Vec::new();
        let _ = decode::members(item, CHANGING, &mut |name, value| {
            let member = (hash(name), parts::hash_of(value));
            if self.0.binary_search(&member).is_err() && names.len() < MOST {
                names.push(name.to_owned());
            }
            Ok(())
        });
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn key(kind: Kind, id: u64) -> Key {
        Key { kind, id }
    }

    /// Received items: index, type, id.
    fn slots(items: &[(u64, Kind, u64)]) -> OutputItems {
        let mut slots = OutputItems::default();
        for (index, kind, id) in items {
            let number = slots.add(Some(*index), *id).unwrap();
            let slot = slots.get(number).unwrap();
            slot.key = key(*kind, *id);
            slot.done = true;
        }
        slots
    }

    const M: Kind = Kind::Message;
    const C: Kind = Kind::Call;
    const R: Kind = Kind::Reasoning;

    #[test]
    fn a_reused_index_is_another_item() {
        let mut slots = OutputItems::default();
        assert_eq!(slots.add(Some(0), 0).unwrap(), 0);
        assert_eq!(slots.add(Some(0), 0).unwrap(), 0);
        assert_eq!(slots.of(Some(0), Some("a")).unwrap(), 0);
        slots.get(0).unwrap().done = true;
        assert_eq!(slots.of(Some(0), Some("a")).unwrap(), 0);
        assert_eq!(slots.of(Some(0), None).unwrap(), 0);
        assert_eq!(slots.of(Some(0), Some("b")).unwrap(), 1);
        assert_eq!(slots.add(Some(0), 0).unwrap(), 1);
        assert_eq!(slots.of(None, None).unwrap(), 1);
        assert_eq!(slots.of(None, Some("a")).unwrap(), 0);
    }

    #[test]
    fn items_of_the_final_response_match_received_ones() {
        for (came, finals, expected) in [
            // By id, whatever the position.
            (
                &[(0, R, 1), (1, M, 2)][..],
                &[(M, 2), (R, 1)][..],
                &[1, 0][..],
            ),
            // By position, if ids differ.
            (&[(0, R, 1), (1, M, 2)], &[(R, 8), (M, 9)], &[0, 1]),
            (&[(1, R, 1), (2, M, 2)], &[(R, 8), (M, 9)], &[1, 2]),
            // Only the last ones are listed.
            (&[(0, M, 1), (1, C, 2), (2, M, 3)], &[(M, 3)], &[2]),
            (&[(0, M, 1), (1, C, 2), (2, M, 3)], &[(M, 9)], &[2]),
            // An item that was not received before.
            (
                &[(0, M, 0), (2, M, 0)],
                &[(M, 0), (M, 0), (M, 0)],
                &[0, 1, 2],
            ),
            (&[(0, C, 5)], &[(C, 5), (C, 6)], &[0, 1]),
            (&[(0, C, 6)], &[(C, 5), (C, 6)], &[1, 0]),
            // One id for two calls.
            (&[(0, C, 5), (1, C, 5)], &[(C, 5), (C, 5)], &[0, 1]),
            (&[], &[(M, 1)], &[0]),
        ] {
            let keys: Vec<Key> = finals.iter().map(|&(kind, id)| key(kind, id)).collect();
            assert_eq!(
                slots(came).resolve(&keys).unwrap(),
                expected,
                "{came:?} {finals:?}"
            );
        }
    }

    // F81
    #[test]
    fn huge_index_allocates_nothing() {
        let mut slots = OutputItems::default();
        assert_eq!(slots.add(Some(u64::MAX), 0).unwrap(), 0);
        assert_eq!(slots.add(Some(u64::MAX - 1), 0).unwrap(), 1);
        for index in 10..10 + MAX_ITEMS as u64 - 2 {
            slots.add(Some(index), 0).unwrap();
        }
        let error = slots.add(Some(9), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[cfg(test)]
mod streamed_tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn complete(streamed: &Streamed, item: &str) -> (String, Vec<&'static str>) {
        let (item, differing) = streamed.complete(Json::parse(item).unwrap()).unwrap();
        (item.as_str().to_owned(), differing)
    }

    #[test]
    fn a_finished_item_is_compared_with_its_events_and_completed() {
        let mut streamed = Streamed::default();
        assert!(streamed.add(Member::Input, "1 + "));
        assert!(streamed.add(Member::Input, "1"));
        assert_eq!(complete(&streamed, r#"{"input":"1 + 1"}"#).1, [""; 0]);
        assert_eq!(complete(&streamed, r#"{"input":"2"}"#).1, ["input"]);
        let (item, differing) = complete(&streamed, r#"{"name":"f","input":""}"#);
        assert_eq!(
            (&*item, differing.len()),
            (r#"{"name":"f","input":"1 + 1"}"#, 0)
        );

        assert!(!streamed.whole(Member::Input, "2"));
        assert!(!streamed.add(Member::Input, "2"));
        assert!(streamed.whole(Member::Input, ""));
        assert_eq!(complete(&streamed, "{}").0, r#"{"input":"2"}"#);

        let mut streamed = Streamed::default();
        streamed.add(Member::Diff, "+a");
        streamed.add(Member::Command(0), "ls");
        streamed.add(Member::Command(1), "pwd");
        let (item, differing) = complete(
            &streamed,
            r#"{"operation":{"path":"p"},"action":{"commands":[]}}"#,
        );
        assert_eq!(
            (&*item, differing.len()),
            (
                r#"{"operation":{"path":"p","diff":"+a"},"action":{"commands":["ls","pwd"]}}"#,
                0
            )
        );
        let (_, differing) = complete(
            &streamed,
            r#"{"operation":{"diff":"+a"},"action":{"commands":["ls"]}}"#,
        );
        assert_eq!(differing, ["action.commands"]);

        let mut streamed = Streamed::default();
        streamed.add(Member::Stdout(0), "x");
        assert_eq!(
            complete(&streamed, r#"{"output":[{"stdout":"x"}]}"#).1,
            [""; 0]
        );
        assert_eq!(
            complete(&streamed, r#"{"output":[{"stdout":"y"}]}"#).1,
            ["output.stdout"]
        );
        assert_eq!(
            complete(&streamed, r#"{"output":"x"}"#).1,
            ["output.stdout"]
        );
    }

    #[test]
    fn a_repetition_is_compared_field_by_field() {
        let raw = |text| lenient::parse::<Raw<'_>>(text).unwrap();
        let fingerprint = ItemFingerprint::of(raw(r#"{"id":"1","a":{"b":"é"},"c":[1]}"#));
        for (again, expected) in [
            (r#"{"id":"2","c":[1],"a":{ "b" : "\u00e9" }}"#, &[][..]),
            (r#"{"a":{"b":"é"}}"#, &[]),
            (r#"{"c":null,"d":""}"#, &[]),
            (r#"{"a":{"b":"e"},"d":1}"#, &["a", "d"]),
        ] {
            assert_eq!(fingerprint.differing(raw(again)), expected, "{again}");
        }
    }
}
