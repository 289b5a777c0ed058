//! Which output items a stream has begun, and how much of each part has been handed out.

use crate::{Error, ErrorKind};
use std::collections::BTreeMap;

/// Part numbers between two items: each item has room for its own parts.
const STRIDE: u32 = 4096;
/// A reasoning item's content stands behind its summary.
const CONTENT: u32 = 2048;
/// More items or parts than this are no answer (F81).
const MOST_ITEMS: usize = 4096;
const MOST_PARTS: usize = 65_536;

/// The items of an answer.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    seen: BTreeMap<u32, Seen>,
}

/// An item of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The wire's `output_index`. Some servers use one again once its item is done.
    index: u64,
    /// The item's place among all.
    number: u32,
    done: bool,
}

/// What of a part has been handed out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) logprobs: usize,
    bytes: usize,
    /// FNV-1a of these bytes: enough to notice that they were others.
    hash: u64,
}

impl Seen {
    /// More of a text is handed out.
    pub(super) fn add(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        self.hash = hash(self.hash, text);
    }

    /// What of the whole text has not been handed out. Deltas that do not add up to it are a broken answer; a text that
    /// got shorter has only lost white space.
    pub(super) fn rest<'t>(&self, whole: &'t str) -> Result<&'t str, Error> {
        if whole.len() < self.bytes {
            return Ok("");
        }
        match whole.split_at_checked(self.bytes) {
            Some((seen, rest)) if hash(0, seen) == self.hash => Ok(rest),
            _ => Err(Error::new(
                ErrorKind::Protocol,
                "the pieces of a text differ from the text as it was completed",
            )),
        }
    }
}

fn hash(start: u64, text: &str) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(start ^ 0xcbf2_9ce4_8422_2325, add) ^ 0xcbf2_9ce4_8422_2325
}

impl Slots {
    /// An item begins. Adding it twice is adding it once, unless the first one is done.
    pub(super) fn add(&mut self, index: Option<u64>) -> Result<u32, Error> {
        let index = index.unwrap_or(self.slots.len() as u64);
        match self.last(index).filter(|slot| !slot.done) {
            Some(slot) => Ok(slot.number),
            None => self.push(index),
        }
    }

    /// The item that a delta belongs to; one that was not announced begins now (F89). Without an index it is the last.
    pub(super) fn of(&mut self, index: Option<u64>) -> Result<u32, Error> {
        let last = || self.slots.last().map_or(0, |slot| slot.index);
        let index = index.unwrap_or_else(last);
        match self.last(index) {
            Some(slot) => Ok(slot.number),
            None => self.push(index),
        }
    }

    /// The final `output` has so many items: as many as have come are those that have come, whatever their numbers; else
    /// they are known by their places.
    pub(super) fn align(&mut self, total: usize) {
        if self.slots.len() == total {
            self.slots.sort_by_key(|slot| slot.number);
            for (index, slot) in (0_u64..).zip(&mut self.slots) {
                slot.index = index;
            }
        }
    }

    /// The item at a place of the final `output`; `None` if it is already done.
    pub(super) fn at(&mut self, position: usize) -> Result<Option<u32>, Error> {
        let position = position as u64;
        match self.slots.iter().find(|slot| slot.index == position) {
            Some(slot) => Ok((!slot.done).then_some(slot.number)),
            None => self.push(position).map(Some),
        }
    }

    /// An item is complete.
    pub(super) fn done(&mut self, number: u32) {
        if let Some(slot) = self.slots.iter_mut().rfind(|slot| slot.number == number) {
            slot.done = true;
        }
    }

    /// What of a part has been handed out.
    pub(super) fn seen(&mut self, part: u32) -> Result<&mut Seen, Error> {
        if self.seen.len() >= MOST_PARTS && !self.seen.contains_key(&part) {
            return Err(too_many("parts", MOST_PARTS));
        }
        Ok(self.seen.entry(part).or_default())
    }

    /// Whether anything of a part has been handed out.
    pub(super) fn has(&self, part: u32) -> bool {
        self.seen.contains_key(&part)
    }

    fn last(&self, index: u64) -> Option<&Slot> {
        self.slots.iter().rfind(|slot| slot.index == index)
    }

    fn push(&mut self, index: u64) -> Result<u32, Error> {
        if self.slots.len() >= MOST_ITEMS {
            return Err(too_many("items", MOST_ITEMS));
        }
        let taken = |number: u32| self.slots.iter().any(|slot| slot.number == number);
        let own = u32::try_from(index)
            .ok()
            .filter(|&n| n < u32::MAX / STRIDE / 2 && !taken(n));
        let next = || {
            self.slots
                .iter()
                .map(|slot| slot.number.saturating_add(1))
                .max()
        };
        let number = own.or_else(next).unwrap_or(0);
        self.slots.push(Slot {
            index,
            number,
            done: false,
        });
        Ok(number)
    }
}

/// The part number of an item as such: its opaque block, or its call.
pub(super) fn item_part(number: u32) -> u32 {
    number.saturating_mul(STRIDE)
}

/// The part number of a message's part, or of a part of a reasoning item's summary.
pub(super) fn message_part(number: u32, index: u64) -> u32 {
    inner(number, 1, index)
}

/// The part number of a part of a reasoning item's content.
pub(super) fn content_part(number: u32, index: u64) -> u32 {
    inner(number, CONTENT, index)
}

fn inner(number: u32, first: u32, index: u64) -> u32 {
    let most = CONTENT.saturating_sub(2);
    let index = u32::try_from(index).unwrap_or(most).min(most);
    item_part(number)
        .saturating_add(first)
        .saturating_add(index)
}

fn too_many(what: &str, limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the answer has more than {limit} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_used_again_is_another_item() {
        let mut slots = Slots::default();
        assert_eq!(slots.add(Some(0)).unwrap(), 0);
        assert_eq!(slots.add(Some(0)).unwrap(), 0);
        slots.done(0);
        assert_eq!(slots.add(Some(0)).unwrap(), 1);
        assert_eq!(slots.of(Some(0)).unwrap(), 1);
        assert_eq!(slots.of(None).unwrap(), 1);
        slots.align(2);
        assert_eq!(slots.at(0).unwrap(), None);
        assert_eq!(slots.at(1).unwrap(), Some(1));
    }

    #[test]
    fn what_came_unannounced_is_known_by_its_place() {
        let mut slots = Slots::default();
        for index in [0, 2] {
            slots.add(Some(index)).unwrap();
        }
        slots.align(3);
        assert_eq!(slots.at(1).unwrap(), Some(1));
        assert_eq!(slots.at(2).unwrap(), Some(2));
    }

    #[test]
    fn a_server_that_counts_from_one_means_the_same_items() {
        let mut slots = Slots::default();
        for index in [1, 2] {
            slots.add(Some(index)).unwrap();
            slots.done(u32::try_from(index).unwrap());
        }
        slots.align(2);
        assert_eq!(slots.at(0).unwrap(), None);
        assert_eq!(slots.at(1).unwrap(), None);
    }

    #[test]
    fn pieces_must_add_up_to_the_whole() {
        let mut seen = Seen::default();
        assert_eq!(seen.rest("über").unwrap(), "über");
        seen.add("ü");
        seen.add("b");
        assert_eq!(seen.rest("über").unwrap(), "er");
        assert_eq!(seen.rest("üb").unwrap(), "");
        assert_eq!(seen.rest("Über").unwrap_err().kind(), ErrorKind::Protocol);
    }

    // F81
    #[test]
    fn a_huge_index_costs_nothing() {
        let mut slots = Slots::default();
        assert_eq!(slots.add(Some(u64::MAX)).unwrap(), 0);
        assert_eq!(slots.add(Some(u64::MAX - 1)).unwrap(), 1);
        assert_eq!(message_part(1, u64::MAX), message_part(1, 2046));
        assert!(message_part(1, u64::MAX) < content_part(1, 0));
        assert!(content_part(1, u64::MAX) < item_part(2));
        for index in 10..10 + MOST_ITEMS as u64 - 2 {
            slots.add(Some(index)).unwrap();
        }
        assert_eq!(slots.add(Some(9)).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
