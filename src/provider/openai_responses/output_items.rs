//! Which output items a stream has begun, and which of them the items of the final response are.

use super::{
    parts::{hash, too_many},
    streamed::{ItemFingerprint, Streamed},
};
use crate::{Error, Json};
use std::{
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
