//! Separates `<think>` blocks from the text around them, even if a tag is split over several deltas.

/// Splits text into the parts inside and outside of `<think>...</think>` (any case). White space around the tags
/// belongs to neither, except that two texts stay separated.
#[derive(Debug, Default)]
pub(super) struct ThinkTagParser {
    inside: bool,
    /// The possible beginning of a tag.
    tag: String,
    /// White space that is emitted only if text follows, outside and inside of the tags.
    space: [String; 2],
    /// Whether white space is dropped until text follows: at the beginning of a block, and after a block unless the
    /// text before it ended without white space.
    trim: bool,
    any_text: bool,
}

/// Whether a text is inside or outside of the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThinkSide {
    Text,
    Reasoning,
}

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

impl ThinkTagParser {
    /// Adds text; calls `out` with the parts that are certain.
    pub(super) fn push(&mut self, text: &str, out: &mut impl FnMut(ThinkSide, &str)) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.tag.is_empty() {
                let (plain, tag) = match memchr::memchr(b'<', rest.as_bytes())
                    .and_then(|at| rest.split_at_checked(at))
                {
                    Some(split) => split,
                    None => (rest, ""),
                };
                self.plain(plain, out);
                rest = tag;
            }
            let Some(c) = rest.chars().next() else { break };
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            self.tag.push(c);
            let wanted = if self.inside { CLOSE } else { OPEN };
            if self.tag.eq_ignore_ascii_case(wanted) {
                self.tag.clear();
                let [outer, inner] = &mut self.space;
                self.trim = !self.inside || !outer.is_empty() || !self.any_text;
                inner.clear();
                self.inside = !self.inside;
            } else if !starts_with_ignoring_case(wanted, &self.tag) {
                // Not a tag. The buffered characters are text, but the last one may begin another tag.
                let held = std::mem::take(&mut self.tag);
                let (first, again) = held.split_at_checked(1).unwrap_or((&held, ""));
                self.plain(first, out);
                self.push(again, out);
            }
        }
    }

    /// Ends the text: buffered characters were not a tag.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(ThinkSide, &str)) {
        let held = std::mem::take(&mut self.tag);
        self.plain(&held, out);
        if !self.inside && !self.trim {
            let [outer, _] = &mut self.space;
            emit(ThinkSide::Text, &std::mem::take(outer), out);
        }
    }

    fn plain(&mut self, text: &str, out: &mut impl FnMut(ThinkSide, &str)) {
        let [outer, inner] = &mut self.space;
        let (side, space) = if self.inside {
            (ThinkSide::Reasoning, inner)
        } else {
            (ThinkSide::Text, outer)
        };
        let text = if self.trim { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        self.trim = false;
        let body = text.trim_end();
        if !body.is_empty() {
            self.any_text |= side == ThinkSide::Text;
            emit(side, space, out);
            space.clear();
            emit(side, body, out);
        }
        space.push_str(text.get(body.len()..).unwrap_or_default());
    }
}

fn emit(side: ThinkSide, text: &str, out: &mut impl FnMut(ThinkSide, &str)) {
    if !text.is_empty() {
        out(side, text);
    }
}

fn starts_with_ignoring_case(whole: &str, start: &str) -> bool {
    whole
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut text, mut reasoning) = (String::new(), String::new());
        let mut splitter = ThinkTagParser::default();
        let mut out = |side, piece: &str| match side {
            ThinkSide::Text => text.push_str(piece),
            ThinkSide::Reasoning => reasoning.push_str(piece),
        };
        for piece in pieces {
            splitter.push(piece, &mut out);
        }
        splitter.finish(&mut out);
        (text, reasoning)
    }

    #[test]
    fn any_split_gives_the_same_parts() {
        let cases = [
            ("<think>\nA b.\n</think>\n\nAnswer. ", "Answer. ", "A b."),
            ("<THINK>x</Think>y", "y", "x"),
            (
                "no tags < at <thin all <<think>z</think>",
                "no tags < at <thin all <",
                "z",
            ),
            ("a <think>1</think> b <think>2</think> c", "a b c", "12"),
            ("a<think>1</think> b", "a b", "1"),
            ("<think>never closed ", "", "never closed"),
            ("a <think>never closed", "a", "never closed"),
            ("a <think>b</think> ", "a", "b"),
            ("x </think> y", "x </think> y", ""),
            ("<think></think>only", "only", ""),
            ("漢<think>字</think>漢", "漢漢", "字"),
            ("", "", ""),
        ];
        for (whole, text, reasoning) in cases {
            let wanted = (text.to_owned(), reasoning.to_owned());
            let got = split(&[whole]);
            assert_eq!(got, wanted, "{whole}");
            let cuts: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
            for &cut in &cuts {
                let (first, second) = whole.split_at(cut);
                assert_eq!(split(&[first, second]), got, "{whole} at {cut}");
            }
            let single: Vec<&str> = whole.split_inclusive(|_| true).collect();
            assert_eq!(split(&single), got, "{whole}");
        }
    }
}
