//! The numbers of parts.

use crate::{Error, ErrorKind};

/// What a piece of a message is.
///
/// Each kind has a number of its own at every place, so that pieces of different kinds never share a part, even if a
/// server numbers them alike. At one place they come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Reasoning that was found inside of text. It comes before that text.
    Thought,
    Reasoning,
    Text,
    Refusal,
    Call,
    Opaque,
}

/// Places per part number: a power of two, not less than the number of kinds.
const SLOTS: u32 = 8;

/// The number of the part that a piece of this kind has at a place of the decoder's.
#[inline(always)]
pub(super) fn part_at(place: u32, slot: Slot) -> Result<u32, Error> {
    match place.checked_mul(SLOTS) {
        Some(first) => Ok(first | slot as u32),
        None => Err(too_far(place)),
    }
}

/// The decoder's place behind the number of a part.
pub(super) fn place_of(part: u32) -> u32 {
    part / SLOTS
}

#[cold]
fn too_far(place: u32) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "a part of the message has the number {place}; the highest is {}",
            u32::MAX / SLOTS
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_share_a_number_and_places_keep_their_order() {
        use Slot::{Call, Opaque, Reasoning, Refusal, Text, Thought};
        let kinds = [Thought, Reasoning, Text, Refusal, Call, Opaque];
        let numbers: Vec<u32> = [0, 1, 7, u32::MAX / SLOTS]
            .into_iter()
            .flat_map(|place| kinds.map(|kind| part_at(place, kind).unwrap()))
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{numbers:?}"
        );
        assert_eq!(place_of(part_at(7, Opaque).unwrap()), 7);
        let error = part_at(u32::MAX / SLOTS + 1, Text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
