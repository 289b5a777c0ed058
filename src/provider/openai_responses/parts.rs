//! How much of each part of an item was emitted, and which part of the finished item it is.

use super::types::PartKind;
use crate::{Error, ErrorKind, json::Reader};
use std::collections::BTreeMap;

/// Part numbers between two items: each item has room for its own parts.
const STRIDE: u32 = 4096;
/// Room for each of the two lists of an item.
pub(super) const PARTS_PER_LIST: u32 = 2047;
/// More parts than this are refused.
const MAX_CONTENT_PARTS: usize = 65_536;

/// One of the two part lists that an item can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartList {
    /// The content of a message, or the summary of a reasoning item.
    First,
    /// The content of a reasoning item, which follows its summary.
    Second,
}

/// The part number of the item itself: its provider block, or its call.
pub(super) fn item_part(number: u32) -> u32 {
    number.saturating_mul(STRIDE)
}

impl PartList {
    fn start(self, number: u32) -> u32 {
        let skipped = match self {
            PartList::First => 1,
            PartList::Second => PARTS_PER_LIST.saturating_add(1),
        };
        item_part(number).saturating_add(skipped)
    }

    /// The part number of a part with this index.
    pub(super) fn part(self, number: u32, index: u64) -> u32 {
        let most = PARTS_PER_LIST.saturating_sub(1);
        let index = u32::try_from(index).unwrap_or(most).min(most);
        self.start(number).saturating_add(index)
    }

    fn range(self, number: u32) -> std::ops::Range<u32> {
        let start = self.start(number);
        start..start.saturating_add(PARTS_PER_LIST)
    }
}

/// The emitted part of a text. The text is not stored again: its length and hash suffice to compare it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartState {
    pub(super) flow: PartKind,
    pub(super) logprobs: usize,
    pub(super) citations: usize,
    /// Hash of their texts, concatenated.
    pub(super) citations_hash: u64,
    /// The complete part was received: further deltas repeat it.
    pub(super) closed: bool,
    /// The server uses this number for another part too.
    alias: Option<u32>,
    bytes: usize,
    /// FNV-1a of these bytes, to detect differences.
    hash: u64,
    /// The same up to the last byte that is not white space.
    solid_bytes: usize,
    solid_hash: u64,
}

/// Compares a complete text with its emitted part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remainder<'t> {
    /// The rest must be emitted; it is empty if the texts are equal.
    More(&'t str),
    /// They differ only in the white space at their ends.
    Space,
    Differs,
}

impl PartState {
    /// Records emitted text.
    pub(super) fn add(&mut self, text: &str) {
        for (at, byte) in (self.bytes.saturating_add(1)..).zip(text.bytes()) {
            self.hash = step(self.hash, byte);
            if !byte.is_ascii_whitespace() {
                (self.solid_bytes, self.solid_hash) = (at, self.hash);
            }
        }
        self.bytes = self.bytes.saturating_add(text.len());
    }

    /// The part of the complete text that was not emitted. An empty text is ignored: some servers omit at the end
    /// what they sent before.
    pub(super) fn remainder<'t>(&self, whole: &'t str) -> Remainder<'t> {
        if whole.is_empty() {
            return Remainder::More("");
        }
        let split = whole.split_at_checked(self.bytes);
        if let Some((_, rest)) = split.filter(|(seen, _)| hash(seen) == self.hash) {
            return Remainder::More(rest);
        }
        let solid = whole.trim_ascii_end();
        if solid.len() == self.solid_bytes && hash(solid) == self.solid_hash {
            return Remainder::Space;
        }
        Remainder::Differs
    }

    fn fits(&self, flow: PartKind, whole: &str) -> bool {
        self.flow == flow
            && (self.bytes == 0
                || (!whole.is_empty() && self.remainder(whole) != Remainder::Differs))
    }
}

/// FNV-1a, shifted so that it starts at zero.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0, step)
}

fn step(hash: u64, byte: u8) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    ((hash ^ BASIS) ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) ^ BASIS
}

/// The parts of all items.
#[derive(Debug, Default)]
pub(super) struct Parts {
    states: BTreeMap<u32, PartState>,
}

impl Parts {
    /// The part of a delta, and its emitted text.
    pub(super) fn open(
        &mut self,
        part: u32,
        flow: PartKind,
    ) -> Result<(u32, &mut PartState), Error> {
        let mut part = match self.states.get(&part) {
            Some(seen) => seen.alias.unwrap_or(part),
            None => part,
        };
        // A text and a refusal with one index are two parts.
        if self.states.get(&part).is_some_and(|seen| seen.flow != flow) {
            part = part.saturating_add(1);
        }
        if self.states.len() >= MAX_CONTENT_PARTS && !self.states.contains_key(&part) {
            return Err(too_many("parts", MAX_CONTENT_PARTS));
        }
        let seen = self.states.entry(part).or_insert(PartState {
            flow,
            ..PartState::default()
        });
        if seen.flow != flow {
            return Err(Error::new(
                ErrorKind::Protocol,
                "one part of the response was sent as text, as refusal and as reasoning",
            ));
        }
        Ok((part, seen))
    }

    /// The part that a `done` event completes. If the server numbers deltas differently, it is the part whose deltas
    /// form this text.
    pub(super) fn completed(
        &mut self,
        list: PartList,
        number: u32,
        index: u64,
        flow: PartKind,
        whole: &str,
    ) -> Result<u32, Error> {
        let part = list.part(number, index);
        let is_known = |seen: &PartState| seen.alias.is_some() || seen.bytes > 0 || seen.closed;
        if whole.is_empty() || self.states.get(&part).is_some_and(is_known) {
            return Ok(self.open(part, flow)?.0);
        }
        let sum = hash(whole);
        let other = self.states.range(list.range(number)).find(|(_, seen)| {
            !seen.closed
                && seen.alias.is_none()
                && (seen.flow, seen.bytes, seen.hash) == (flow, whole.len(), sum)
        });
        let Some((&other, _)) = other else {
            return Ok(self.open(part, flow)?.0);
        };
        self.open(part, flow)?.1.alias = Some(other);
        Ok(other)
    }

    /// Matches the parts of a finished list with the emitted parts. Some servers number them differently in deltas
    /// and in the finished item (Bedrock's Mantle continues the numbers of the previous item): then they are matched
    /// by order and content. The second value tells whether parts were emitted that the finished list lacks.
    pub(super) fn align(
        &self,
        list: PartList,
        number: u32,
        finished: &[(PartKind, &str)],
    ) -> Result<(Vec<u32>, bool), Error> {
        if finished.len() > PARTS_PER_LIST as usize {
            return Err(too_many("parts in an item", PARTS_PER_LIST as usize));
        }
        let start = list.start(number);
        let seen: Vec<(u32, &PartState)> = self
            .states
            .range(list.range(number))
            .filter(|(_, seen)| seen.alias.is_none())
            .map(|(&part, seen)| (part, seen))
            .collect();
        let by_number = |(part, seen): &(u32, &PartState)| {
            let index = part.saturating_sub(start) as usize;
            finished
                .get(index)
                .is_some_and(|(flow, whole)| seen.fits(*flow, whole))
        };
        if seen.iter().all(by_number) {
            return Ok(((start..).take(finished.len()).collect(), false));
        }
        let mut known: Vec<Option<u32>> = vec![None; finished.len()];
        let mut left = seen.iter().peekable();
        for (known, (flow, whole)) in known.iter_mut().zip(finished) {
            if let Some((part, _)) = left.next_if(|(_, seen)| seen.fits(*flow, whole)) {
                *known = Some(*part);
            }
        }
        if left.peek().is_some() {
            // No match: they differ, and the comparison reports it.
            let ranks = seen
                .iter()
                .map(|(part, _)| Some(*part))
                .chain(std::iter::repeat(None));
            known = ranks.take(finished.len()).collect();
        }
        let mut next = start;
        let mut parts = Vec::with_capacity(finished.len());
        for (index, known) in (start..).zip(known) {
            let part = known.unwrap_or_else(|| {
                let mut free = index.max(next);
                while self.states.contains_key(&free) {
                    free = free.saturating_add(1);
                }
                free
            });
            next = part.saturating_add(1);
            parts.push(part);
        }
        if parts.iter().any(|part| !list.range(number).contains(part)) {
            return Err(too_many("parts in an item", PARTS_PER_LIST as usize));
        }
        Ok((parts, seen.len() > finished.len()))
    }

    /// The emitted parts of a list.
    pub(super) fn of(&self, list: PartList, number: u32) -> impl Iterator<Item = u32> + '_ {
        self.states
            .range(list.range(number))
            .filter(|(_, seen)| seen.alias.is_none())
            .map(|(&part, _)| part)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

pub(super) fn too_many(what: &str, limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the response has more than {limit} {what}"),
    )
}

// Comparison of two notations of a call's arguments.

/// Whether two JSON texts have the same values in the same order: white space and escapes may differ. Needs no
/// memory.
pub(super) fn same_arguments(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (Tokens(one), Tokens(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return one.0.is_empty() && other.0.is_empty(),
            (Some(one), Some(other)) if one == other || same_string(one, other) => {}
            _ => return false,
        }
    }
}

/// A hash of the values of a JSON text, independent of white space and escapes.
pub(super) fn hash_of(text: &str) -> u64 {
    let mut tokens = Tokens(text);
    let mut all = 0_u64;
    let mut add = |token: &str| all = all.rotate_left(5) ^ hash(token);
    for token in tokens.by_ref() {
        match Reader::new(token).exact_string() {
            Ok(string) if token.contains('\\') => {
                add("\"");
                add(&string);
            }
            _ => match token
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
            {
                Some(string) => {
                    add("\"");
                    add(string);
                }
                None => add(token),
            },
        }
    }
    add(tokens.0);
    all
}

fn same_string(one: &str, other: &str) -> bool {
    let escaped = one.contains('\\') || other.contains('\\');
    let read = |text| Reader::new(text).exact_string().ok();
    escaped && matches!((read(one), read(other)), (Some(one), Some(other)) if one == other)
}

/// The tokens of a JSON text. It ends early, with a rest, at an invalid token.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_ascii_start();
        let bytes = self.0.as_bytes();
        let length = match *bytes.first()? {
            b'"' => {
                let mut escaped = false;
                let end = bytes.iter().skip(1).position(|&byte| {
                    let ends = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                })?;
                end.saturating_add(2)
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => bytes
                .iter()
                .position(|byte| byte.is_ascii_whitespace() || b"{}[],:\"".contains(byte))
                .unwrap_or(bytes.len()),
        };
        let (token, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(seen: &[(u64, PartKind, &str)]) -> Parts {
        let mut parts = Parts::default();
        for (index, flow, text) in seen {
            let part = PartList::First.part(0, *index);
            parts.open(part, *flow).unwrap().1.add(text);
        }
        parts
    }

    fn aligned(seen: &[(u64, PartKind, &str)], finished: &[(PartKind, &str)]) -> (Vec<u32>, bool) {
        parts(seen).align(PartList::First, 0, finished).unwrap()
    }

    #[test]
    fn deltas_must_add_up_to_the_complete_text() {
        let mut seen = PartState::default();
        assert_eq!(seen.remainder("über"), Remainder::More("über"));
        seen.add("ü");
        seen.add("b");
        assert_eq!(seen.remainder("über"), Remainder::More("er"));
        assert_eq!(seen.remainder("üb"), Remainder::More(""));
        assert_eq!(seen.remainder(""), Remainder::More(""));
        assert_eq!(seen.remainder("üb\n"), Remainder::More("\n"));
        for other in ["Über", "ü", "b", "übüb"] {
            let differs = seen.remainder(other) == Remainder::Differs;
            assert_eq!(differs, other != "übüb", "{other}");
        }
        seen.add(" \n");
        assert_eq!(seen.remainder("üb"), Remainder::Space);
        assert_eq!(seen.remainder("üb\t"), Remainder::Space);
        seen.add("üb");
        assert_eq!(seen.remainder("üb"), Remainder::Differs);
    }

    #[test]
    fn parts_are_matched_by_number_or_order() {
        use PartKind::{Refusal, Text};
        let (a, b, no) = ((Text, "A"), (Text, "B"), (Refusal, "no"));
        for (seen, finished, expected) in [
            (&[(0, Text, "A")][..], &[a][..], &[1][..]),
            (&[(1, Text, "A")], &[a], &[2]),
            (&[(3, Text, "A"), (4, Refusal, "n")], &[a, no], &[4, 5]),
            (&[(1, Text, "A")], &[a, b], &[2, 3]),
            (&[(1, Text, "B")], &[a, b], &[1, 2]),
            (&[(2, Text, "B")], &[a, b], &[1, 3]),
            (&[(1, Text, "x")], &[a], &[2]),
            (&[], &[a, b], &[1, 2]),
        ] {
            assert_eq!(
                aligned(seen, finished),
                (expected.to_vec(), false),
                "{seen:?}"
            );
        }
        let more = aligned(&[(0, Text, "A"), (1, Text, "B")], &[a]);
        assert_eq!(more, (vec![1], true));
    }

    #[test]
    fn done_event_with_another_index_matches_the_part_with_equal_text() {
        let mut parts = parts(&[(1, PartKind::Text, "A")]);
        let mut completed = |index, text| {
            parts
                .completed(PartList::First, 0, index, PartKind::Text, text)
                .unwrap()
        };
        assert_eq!(completed(0, "A"), 2);
        assert_eq!(completed(0, "A"), 2);
        assert_eq!(completed(1, "A"), 2);
        assert_eq!(completed(2, "B"), 3);
    }

    // F81
    #[test]
    fn huge_index_allocates_nothing() {
        let (first, second) = (PartList::First, PartList::Second);
        assert_eq!(first.part(1, u64::MAX), first.part(1, 2046));
        assert!(first.part(1, u64::MAX) < second.part(1, 0));
        assert!(second.part(1, u64::MAX) < item_part(2));
        let many = vec![(PartKind::Text, "x"); 2048];
        let error = Parts::default().align(first, 0, &many).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[cfg(test)]
mod arguments_tests {
    use super::same_arguments;

    #[test]
    fn notations_of_one_command_are_equal_and_other_commands_are_not() {
        for (one, other, expected) in [
            (r#"{"a":1}"#, "{ \"a\" :\n1 } ", true),
            (r#"{"a":"é \" x"}"#, r#"{"a":"\u00e9 \" x"}"#, true),
            (r#"{"a":"\\"}"#, r#"{"a": "\\"}"#, true),
            ("", "", true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, r#"{"a":1.0}"#, false),
            (
                r#"{"a":18446744073709551616}"#,
                r#"{"a":18446744073709551617}"#,
                false,
            ),
            (r#"{"a":"x y"}"#, r#"{"a":"xy"}"#, false),
            (r#"{"a":"x"#, r#"{"a":"y"#, false),
            (r#"{"a":1}"#, r#"{"a":1}{}"#, false),
            (r#"{"a":1 2}"#, r#"{"a":12}"#, false),
            ("{}", "", false),
        ] {
            assert_eq!(same_arguments(one, other), expected, "{one} {other}");
            assert_eq!(same_arguments(other, one), expected, "{other} {one}");
        }
    }
}
