//! Finds the part of a string without escapes.

/// The number of bytes before the first quotation mark, backslash or control character; examines eight at a time.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let eights = bytes.chunks_exact(8);
    let rest = eights.remainder();
    let mut at = 0_usize;
    for eight in eights {
        let eight = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        let marks = marks(eight);
        if marks != 0 {
            let marks = marks & !eight;
            if marks != 0 {
                return at.wrapping_add((marks.trailing_zeros() / 8) as usize);
            }
        }
        at = at.wrapping_add(8);
    }
    let last = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f));
    at.wrapping_add(last.unwrap_or(rest.len()))
}

/// The top bit of each byte that is a quotation mark, a backslash or below a space. It may be set wrongly for bytes
/// that are not ASCII and above the lowest match.
#[inline(always)]
fn marks(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    // Exchanging 0x20 and 0x22 puts the quotation mark directly after the control characters.
    let quote_or_control = (eight ^ (ONES.wrapping_mul(2))).wrapping_sub(ONES.wrapping_mul(0x21));
    let backslash = (eight ^ (ONES.wrapping_mul(b'\\' as u64))).wrapping_sub(ONES);
    (quote_or_control | backslash) & ONES.wrapping_mul(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_end_of_a_plain_run_is_found_at_any_offset(text in "[a-z\u{7f}-\u{ff}]{0,20}", mark in prop::sample::select(vec!['"', '\\', '\u{1f}', '\0'])) {
            let marked = format!("{text}{mark}{text}\"");
            prop_assert_eq!(plain(marked.as_bytes()), text.len());
            prop_assert_eq!(plain(text.as_bytes()), text.len());
        }
    }
}
