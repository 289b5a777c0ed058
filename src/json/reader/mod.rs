//! Reads JSON field by field: in one pass, without a tree, and copies only strings with escapes.
//!
//! [`Reader::skip`] tracks nesting in a bit set, and [`Reader::object`] and [`Reader::list`] count their depth, so
//! that no nesting overflows the stack.

mod fast_string;
mod skip;
mod string;

use crate::codec::decimal;
use std::{borrow::Cow, time::Duration};

pub(crate) use fast_string::plain;

/// A position in a JSON text, which is valid UTF-8.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// The unread rest of the text.
    rest: &'a [u8],
    /// The number of objects and lists that are being read.
    depth: u32,
    last_skipped_string: Option<&'a str>,
    budget: Budget,
}

/// A field's name, as bytes, which suffice for comparison.
pub(crate) type Name = [u8];

/// Why a text cannot be read. [`Reader::at`] has the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// The text ends inside a value.
    End,
    /// A token that is not valid JSON, or not of the expected type.
    Unexpected,
    /// More than [`MAX_DEPTH`] nested objects or lists.
    TooDeep,
    /// The parsed data needs more memory than the budget allows.
    TooLarge,
}

/// The same limit as `serde_json`.
const MAX_DEPTH: u32 = 127;

/// The memory in bytes that list elements and map entries of a text may still take. An element can be two bytes of
/// text, `1,`, and take a hundred times as much memory. Without a budget, a body could grow to a multiple of its size
/// limit.
///
/// All data of a text shares one budget. It is in proportion to the text, which has a size limit of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    /// Additional bytes that a short text may take.
    const MIN: usize = 512 << 10;

    /// The budget of a text with this many bytes.
    pub(crate) const fn of(text: usize) -> Self {
        Budget(text.saturating_add(Self::MIN))
    }

    /// Charges memory in addition to the text.
    #[inline(always)]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), JsonError> {
        self.0 = self.0.checked_sub(bytes).ok_or(JsonError::TooLarge)?;
        Ok(())
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Reader {
            text,
            rest: text.as_bytes(),
            depth: 0,
            last_skipped_string: None,
            budget: Budget::of(text.len()),
        }
    }

    /// Charges the memory of an element or entry in addition to its text.
    #[inline(always)]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), JsonError> {
        self.budget.charge(bytes)
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.text.len().wrapping_sub(self.rest.len())
    }

    /// The first byte of the next token.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Result<u8, JsonError> {
        match self.rest {
            [byte, ..] if *byte > b' ' => Ok(*byte),
            _ => self.peek_behind_space(),
        }
    }

    /// Most JSON has no white space.
    #[cold]
    fn peek_behind_space(&mut self) -> Result<u8, JsonError> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.advance(1),
                Some(byte) => return Ok(byte),
                None => return Err(JsonError::End),
            }
        }
    }

    /// Checks that only white space follows.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Ok(_) => Err(JsonError::Unexpected),
            Err(_) => Ok(()),
        }
    }

    /// Reads an object. `member` gets each field's name and must read or skip its value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&str, &mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.members(&mut |name, reader| {
            let name = std::str::from_utf8(name).map_err(|_| JsonError::Unexpected)?;
            member(name, reader)
        })
    }

    /// Reads a list. `element` must read or skip each value.
    pub(crate) fn list(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.elements(&mut element)
    }

    /// [`object`](Self::object) with names as bytes. All types share one copy of this loop.
    pub(crate) fn members(
        &mut self,
        member: &mut dyn FnMut(&Name, &mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'{')?;
        if self.peek()? != b'}' {
            // Reads `,` and the following name in one step.
            let mut next = self.rest;
            loop {
                if let Some((name, value)) = plain_name(next) {
                    self.rest = value;
                    member(name, self)?;
                } else {
                    self.rest = next;
                    let name = self.any_name()?;
                    member(name.as_bytes(), self)?;
                }
                if let [b',', behind @ ..] = self.rest {
                    next = behind;
                } else if self.another()? {
                    next = self.rest;
                } else {
                    break;
                }
            }
        }
        self.leave(b'}')
    }

    #[cold]
    fn any_name(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    fn elements(
        &mut self,
        element: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.enter(b'[')?;
        if self.peek()? != b']' {
            loop {
                element(self)?;
                if !self.another()? {
                    break;
                }
            }
        }
        self.leave(b']')
    }

    /// Reads a comma if one follows; returns whether it did.
    #[inline(always)]
    fn another(&mut self) -> Result<bool, JsonError> {
        let comma = self.peek()? == b',';
        if comma {
            self.advance(1);
        }
        Ok(comma)
    }

    /// A number as text.
    pub(crate) fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at();
        self.skip_number()?;
        Ok(self.since(start))
    }

    /// An unsigned integer without exponent; `None` for any other number, of which nothing is read.
    #[inline(always)]
    pub(crate) fn count(&mut self) -> Option<u64> {
        if let [b'0', b'0'..=b'9', ..] = self.rest {
            return None;
        }
        let (count, behind) = decimal::count_before(self.rest)?;
        self.rest = behind;
        Some(count)
    }

    /// A number of seconds; `None` for any other value, of which nothing is read.
    pub(crate) fn seconds(&mut self) -> Option<Duration> {
        if let [b'.', ..] | [b'0', b'0'..=b'9', ..] = self.rest {
            return None;
        }
        let (seconds, behind) = decimal::leading_seconds(self.rest)?;
        let length = self.rest.len().wrapping_sub(behind.len());
        if self.rest.get(length.wrapping_sub(1)) == Some(&b'.') {
            return None;
        }
        self.rest = behind;
        Some(seconds)
    }

    /// Any value as text.
    pub(crate) fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at();
        self.skip()?;
        Ok(self.since(start))
    }

    /// The text since `start`, an earlier [`at`](Self::at).
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at()).unwrap_or_default()
    }

    fn enter(&mut self, bracket: u8) -> Result<(), JsonError> {
        self.expect(bracket)?;
        if self.depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.depth = self.depth.wrapping_add(1);
        Ok(())
    }

    fn leave(&mut self, bracket: u8) -> Result<(), JsonError> {
        self.depth = self.depth.wrapping_sub(1);
        self.expect(bracket)
    }

    #[inline(always)]
    fn expect(&mut self, sign: u8) -> Result<(), JsonError> {
        match self.rest {
            [first, behind @ ..] if *first == sign => self.rest = behind,
            _ => return self.expect_behind_space(sign),
        }
        Ok(())
    }

    #[cold]
    fn expect_behind_space(&mut self, sign: u8) -> Result<(), JsonError> {
        if self.peek()? != sign {
            return Err(JsonError::Unexpected);
        }
        self.advance(1);
        Ok(())
    }

    fn follows(&self, text: &str) -> bool {
        self.rest.starts_with(text.as_bytes())
    }

    fn byte(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// A name without escapes or white space around it, and the text after its colon.
#[inline(always)]
fn plain_name(text: &[u8]) -> Option<(&Name, &[u8])> {
    let [b'"', rest @ ..] = text else {
        return None;
    };
    let (name, rest) = rest.split_at_checked(plain(rest))?;
    let (end, behind) = rest.split_first_chunk()?;
    (end == b"\":").then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn skipped(text: &str) -> Result<&str, JsonError> {
        let mut reader = Reader::new(text);
        let raw = reader.raw()?;
        reader.end().map(|()| raw)
    }

    fn string(text: &str) -> Result<Cow<'_, str>, JsonError> {
        let mut reader = Reader::new(text);
        let string = reader.string()?;
        reader.end().map(|()| string)
    }

    #[test]
    fn objects_and_lists_are_read_in_their_order() {
        let mut seen = Vec::new();
        let mut reader = Reader::new(" { \"a\" : [ 1 , \"x\" ] ,\"b\\n\":{}, \"c\":[] } ");
        reader
            .object(|name, reader| {
                let start = reader.at();
                match reader.peek()? {
                    b'[' => reader.list(Reader::skip)?,
                    _ => reader.object(|_, reader| reader.skip())?,
                }
                seen.push((name.to_owned(), reader.since(start).trim()));
                Ok(())
            })
            .unwrap();
        reader.end().unwrap();
        let expected = [("a", "[ 1 , \"x\" ]"), ("b\n", "{}"), ("c", "[]")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn a_string_without_escapes_is_not_copied() {
        assert!(matches!(
            string("\"plain, as it is\""),
            Ok(Cow::Borrowed("plain, as it is"))
        ));
        assert!(matches!(string("\"a\\tb\""), Ok(Cow::Owned(_))));
    }

    #[test]
    fn every_escape_is_read() {
        let text = r#""\"\\\/\b\f\n\r\t\u00e9\u20AC""#;
        assert_eq!(string(text).unwrap(), "\"\\/\u{8}\u{c}\n\r\té€");
        assert_eq!(skipped(text), Ok(text));
    }

    // F83
    #[test]
    fn half_a_character_is_replaced_or_refused() {
        for (text, read) in [
            ("\"\\ud83d\\ude00\"", "\u{1f600}"),
            ("\"a\\ud83d\"", "a\u{fffd}"),
            ("\"\\ude00b\"", "\u{fffd}b"),
            ("\"\\ud83d\\ud83d\\ude00\"", "\u{fffd}\u{1f600}"),
            ("\"\\ud83d\\u0041\"", "\u{fffd}A"),
            ("\"\\udc00\\udc00\"", "\u{fffd}\u{fffd}"),
            ("\"\\udbff\\udfff\"", "\u{10ffff}"),
        ] {
            assert_eq!(string(text).unwrap(), read, "{text}");
            let exact = Reader::new(text).exact_string();
            assert_eq!(exact.is_ok(), !read.contains('\u{fffd}'), "{text}");
        }
    }

    #[test]
    fn last_skipped_string_is_returned() {
        let mut reader = Reader::new(r#"{"a":"one","b":["two"],"c":"three\n","d":4,"e":"five"}"#);
        let mut told = Vec::new();
        reader
            .object(|name, reader| {
                match name {
                    "e" => reader.skip()?,
                    _ => reader.skip_unread()?,
                }
                told.push(reader.last_skipped_string());
                Ok(())
            })
            .unwrap();
        let (one, three) = (Some("one"), Some(r"three\n"));
        assert_eq!(told, [one, one, three, three, three]);
    }

    #[test]
    fn a_number_keeps_its_notation() {
        let mut reader = Reader::new(" -1.50e+3 , 7");
        assert_eq!((reader.number(), reader.at()), (Ok("-1.50e+3"), 9));
        assert_eq!(Reader::new("x").number(), Err(JsonError::Unexpected));
    }

    #[test]
    fn only_plain_counts_are_read() {
        for (text, count, at) in [
            ("0", Some(0), 1),
            ("12,", Some(12), 2),
            ("1234567890123456789]", Some(1_234_567_890_123_456_789), 19),
            ("18446744073709551615", None, 0),
            ("01", None, 0),
            ("1.0", None, 0),
            ("1e3", None, 0),
            ("-1", None, 0),
            ("x", None, 0),
        ] {
            let mut reader = Reader::new(text);
            assert_eq!((reader.count(), reader.at()), (count, at), "{text}");
        }
    }

    // F21
    #[test]
    fn truncation_is_distinguished_from_invalid_json() {
        for text in [
            "",
            " ",
            "{",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "[",
            "[1",
            "[1,",
            "-",
            "1.",
            "1e",
            "1E+",
            "tru",
            "n",
            "\"",
            "\"\\",
            "\"\\u12",
        ] {
            assert_eq!(skipped(text), Err(JsonError::End), "{text}");
        }
        for text in [
            "{,}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "[1,]",
            "[1 2]",
            "[1}",
            "{\"a\":1]",
            "[1.]",
            "[1e]",
            "[1E+]",
            "[-]",
            "01",
            "-x",
            "1.x",
            "1e+x",
            "+1",
            ".5",
            "trux",
            "NaN",
            "1 2",
            "\"\\x\"",
            "\"\\u12x4\"",
            "\"\n\"",
            "<html>",
            "]",
        ] {
            assert_eq!(skipped(text), Err(JsonError::Unexpected), "{text}");
        }
    }

    // F86
    #[test]
    fn no_nesting_overflows_the_stack() {
        let deep = "[{\"a\":".repeat(100_000) + "1" + &"}]".repeat(100_000);
        assert_eq!(skipped(&deep), Ok(&*deep));

        fn descend(reader: &mut Reader<'_>) -> Result<(), JsonError> {
            match reader.peek()? {
                b'[' => reader.list(descend),
                _ => reader.skip(),
            }
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(descend(&mut Reader::new(&nested(127))), Ok(()));
        assert_eq!(
            descend(&mut Reader::new(&nested(128))),
            Err(JsonError::TooDeep)
        );
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"",
            "\"a\"",
            "\"abcdefgh\"",
            "\"a\":",
            "\\",
            "\\n",
            "\\u00e9",
            "\\ud83d",
            "\\ude00",
            "é",
            "\u{1f600}",
            "\u{1}",
            "0",
            "12",
            "-",
            ".5",
            "e9",
            "E+",
            "true",
            "false",
            "null",
            "x",
            "longer than eight bytes",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn accepts_what_serde_json_accepts(text in pieces()) {
            let theirs = serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get);
            prop_assert_eq!(skipped(&text).ok(), theirs);
            if let Ok(theirs) = serde_json::from_str::<String>(&text) {
                prop_assert_eq!(string(&text).unwrap(), &*theirs);
                prop_assert_eq!(Reader::new(&text).exact_string().unwrap(), &*theirs);
            }
        }

        #[test]
        fn a_time_is_read_from_a_number_that_serde_json_accepts(text in "-?[0-9]{0,21}[.]?[0-9]{0,18}([eE][-+]?[0-9]{0,3})?[,x\u{e9}]?") {
            let mut reader = Reader::new(&text);
            if reader.seconds().is_some() {
                let read = reader.since(0);
                prop_assert!(serde_json::from_str::<&RawValue>(read).is_ok(), "{}", read);
                prop_assert_eq!(Reader::new(&text).number(), Ok(read));
            } else {
                prop_assert_eq!(reader.at(), 0);
            }
        }

        #[test]
        fn a_written_string_is_read_back(string in any::<String>()) {
            let text = serde_json::to_string(&string).unwrap();
            prop_assert_eq!(super::tests::string(&text).unwrap(), &*string);
            prop_assert_eq!(skipped(&text), Ok(&*text));
        }
    }
}
