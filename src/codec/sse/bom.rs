//! The byte order mark that may stand before the first line.

const BOM: &[u8] = b"\xEF\xBB\xBF";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bom {
    /// So many bytes of it have been seen.
    Awaited(usize),
    Past,
}

impl Bom {
    /// Takes it off the front of `input`. Says whether what was taken was no mark: then it began the name of a field that
    /// nobody knows.
    pub(super) fn strip(&mut self, input: &mut &[u8]) -> bool {
        while let (Bom::Awaited(seen), Some((byte, rest))) = (*self, input.split_first()) {
            let mark = BOM.get(seen..).unwrap_or_default();
            if mark.first() != Some(byte) {
                *self = Bom::Past;
                return seen > 0;
            }
            *input = rest;
            *self = if mark.len() == 1 {
                Bom::Past
            } else {
                Bom::Awaited(seen.saturating_add(1))
            };
        }
        false
    }
}
