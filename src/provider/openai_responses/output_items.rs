//! Which output items a stream has begun, and which of them the items of the final response are.

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

/// More items than this are no answer (F81).
const MAX_ITEMS: usize = 4096;

/// What an item is.
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

/// By what an item of the final response is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// The hash of its id, or of a call's `call_id`; zero if it has none.
    pub(super) id: u64,
}

/// The items of an answer.
#[derive(Debug, Default)]
pub(super) struct OutputItems {
    slots: Vec<OutputItem>,
}

/// An item of the answer.
#[derive(Debug, Default)]
pub(super) struct OutputItem {
    /// The wire's `output_index`. Some servers use one again once its item is done.
    index: u64,
    /// The item's place among all.
    pub(super) number: u32,
    pub(super) key: Key,
    /// The hash of the `item_id` that its events have.
    item_id: u64,
    /// The item as it was announced, until it is done.
    pub(super) announced: Option<Json>,
    /// What events of its own brought of an item that has no place of its own.
    pub(super) streamed: Streamed,
    /// What the finished item said, for its repetition in the final response.
    pub(super) fingerprint: ItemFingerprint,
    /// A finished reasoning item without encrypted content: the final response may bring the item with it, and only one of
    /// both may go back to the server.
    pub(super) unencrypted: Option<Json>,
    /// The arguments of a call are complete.
    pub(super) has_arguments: bool,
    pub(super) done: bool,
}

impl OutputItems {
    /// An item begins. Adding it twice is adding it once, unless the first one is done.
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

    /// The item that an event belongs to; one that was not announced begins now (F89). Without an index it is known by its
    /// id, or it is the last.
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
            // Another item that has the number of one that is done.
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

    pub(super) fn get(&mut self, number: u32) -> Option<&mut OutputItem> {
        self.slots.iter_mut().rfind(|slot| slot.number == number)
    }

    /// The numbers of all items, in their order.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.slots.iter().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// An event tells what an item is that was not announced.
    pub(super) fn is(&mut self, number: u32, kind: Kind) {
        if let Some(slot) = self.get(number)
            && slot.key.kind == Kind::Unknown
        {
            slot.key.kind = kind;
        }
    }

    /// The items of the final `output`: which of those that came each of them is. They are known by their ids; where these
    /// rotate, by their places if there are as many as have come, and else as the last of their kind, because servers that
    /// leave out some leave out the first. What is none of them begins now.
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

// What events bring of the items that have no place of their own (custom calls, code, patches, commands), and how the
// finished item compares with it. Nothing of such an item is handed out before it is finished: the finished one counts.

/// A text of an item that comes in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// The input of a custom call.
    Input,
    /// The arguments of a call of an MCP server.
    Arguments,
    /// The code of the code interpreter.
    Code,
    /// `operation.diff` of a patch.
    Diff,
    /// One of `action.commands` for a shell.
    Command(u64),
    /// `stdout` of one of the `output` of a shell.
    Stdout(u64),
    Stderr(u64),
}

/// The texts of one item.
#[derive(Debug, Default)]
pub(super) struct Streamed(BTreeMap<Member, Piece>);

#[derive(Debug, Default)]
struct Piece {
    text: String,
    /// An event gave the whole text.
    is_whole: bool,
}

object! {
    /// The members of an item that come in events.
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

    /// Whether an event gave a text whole.
    pub(super) fn has_whole(&self) -> bool {
        self.0.values().any(|piece| piece.is_whole)
    }

    /// More of a text. Returns false if it was whole before.
    pub(super) fn add(&mut self, member: Member, delta: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        if !piece.is_whole {
            piece.text.push_str(delta);
        }
        !piece.is_whole || delta.is_empty()
    }

    /// A whole text, which takes the place of its deltas. An empty one says nothing. Returns false if they differ.
    pub(super) fn whole(&mut self, member: Member, text: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        piece.is_whole = true;
        let is_same = text.is_empty() || piece.text.is_empty() || is_same(&piece.text, text);
        if !text.is_empty() {
            text.clone_into(&mut piece.text);
        }
        is_same
    }

    /// The finished item, with the texts that it leaves out because they came before, and the members that differ.
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

/// Sets a member of the object that a member is.
fn set_inner(all: &mut JsonObject, outer: &str, inner: &str, value: Json) -> Result<(), Error> {
    let object = all
        .get(outer)
        .and_then(|json| JsonObject::read(json.as_str()));
    let mut object = object.unwrap_or_default();
    object.set(inner, value);
    all.set(outer, object.to_json()?);
    Ok(())
}

/// A text, or another value as it is spelled.
pub(super) fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    raw.arguments()
        .unwrap_or_else(|_| raw.text().unwrap_or_default().into())
}

/// Whether two texts are equal, or two spellings of one JSON value.
fn is_same(one: &str, other: &str) -> bool {
    let is_json = |text: &str| text.trim_ascii_start().starts_with(['{', '[']);
    one == other || (is_json(one) && parts::same_arguments(one, other))
}

/// The members of a finished item, by hashes of name and value: enough to notice that its repetition says something else.
#[derive(Debug, Default)]
pub(super) struct ItemFingerprint(Vec<(u64, u64)>);

/// Members in which a repetition may differ without saying anything else: servers change ids and encryption from event to event.
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

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.0.len().saturating_mul(size_of::<(u64, u64)>())
    }

    /// The first members of a repetition that are others, or that were not there.
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

    /// Items that have come: index, kind, id.
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
    fn an_index_that_is_used_again_is_another_item() {
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
    fn the_items_of_the_final_response_are_those_that_came() {
        for (came, finals, expected) in [
            // By id, whatever the place.
            (
                &[(0, R, 1), (1, M, 2)][..],
                &[(M, 2), (R, 1)][..],
                &[1, 0][..],
            ),
            // By place, where ids rotate.
            (&[(0, R, 1), (1, M, 2)], &[(R, 8), (M, 9)], &[0, 1]),
            (&[(1, R, 1), (2, M, 2)], &[(R, 8), (M, 9)], &[1, 2]),
            // Only the last ones are named.
            (&[(0, M, 1), (1, C, 2), (2, M, 3)], &[(M, 3)], &[2]),
            (&[(0, M, 1), (1, C, 2), (2, M, 3)], &[(M, 9)], &[2]),
            // One that did not come before.
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
    fn a_finished_item_is_compared_with_its_events_and_filled_with_what_it_leaves_out() {
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
    fn a_repetition_is_compared_member_by_member() {
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
