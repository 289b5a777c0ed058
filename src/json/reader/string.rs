//! Strings and their escapes.

use super::{JsonError, Reader, fast_string::plain};
use std::borrow::Cow;

/// How lone surrogates in a string's escapes are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SurrogatePolicy {
    /// A lone surrogate becomes U+FFFD.
    Replaced,
    /// A lone surrogate is an error.
    Refused,
}

impl<'a> Reader<'a> {
    /// A string. A lone surrogate in it becomes U+FFFD.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.any_string(SurrogatePolicy::Replaced)
    }

    /// A string in which a lone surrogate is an error, because U+FFFD would change the meaning of a command.
    pub(crate) fn exact_string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.any_string(SurrogatePolicy::Refused)
    }

    fn any_string(&mut self, halves: SurrogatePolicy) -> Result<Cow<'a, str>, JsonError> {
        self.peek()?;
        match self.plain_string() {
            Some(plain) => Ok(Cow::Borrowed(plain)),
            None => self.unescape(halves).map(Cow::Owned),
        }
    }

    /// A string without escapes directly at this position; otherwise nothing is read.
    #[inline(always)]
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        let [b'"', rest @ ..] = self.rest else {
            return None;
        };
        let length = plain(rest);
        let [b'"', behind @ ..] = rest.get(length..)? else {
            return None;
        };
        let start = self.at().wrapping_add(1);
        self.rest = behind;
        self.text.get(start..start.wrapping_add(length))
    }

    /// A string with escapes.
    #[cold]
    fn unescape(&mut self, halves: SurrogatePolicy) -> Result<String, JsonError> {
        self.expect(b'"')?;
        let mut string = String::new();
        loop {
            let start = self.at();
            self.skip_plain();
            string.push_str(self.since(start));
            match self.byte().ok_or(JsonError::End)? {
                b'"' => {
                    self.advance(1);
                    return Ok(string);
                }
                b'\\' => string.push(self.escape(halves)?),
                _ => return Err(JsonError::Unexpected),
            }
        }
    }

    fn escape(&mut self, halves: SurrogatePolicy) -> Result<char, JsonError> {
        self.advance(1);
        let plain = match self.byte().ok_or(JsonError::End)? {
            sign @ (b'"' | b'\\' | b'/') => char::from(sign),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(halves),
            _ => return Err(JsonError::Unexpected),
        };
        self.advance(1);
        Ok(plain)
    }

    /// Reads `u` and four digits, and, after the first half of a surrogate pair, the second half.
    fn unicode(&mut self, halves: SurrogatePolicy) -> Result<char, JsonError> {
        self.advance(1);
        let first = self.hex()?;
        if let Some(plain) = char::from_u32(first) {
            return Ok(plain);
        }
        let after = self.rest;
        if first < 0xdc00 && self.follows("\\u") {
            self.advance(2);
            let second = self.hex()?;
            if let low @ 0xdc00..=0xdfff = second {
                let high = first.saturating_sub(0xd800) << 10;
                let point = high.saturating_add(low.saturating_sub(0xdc00));
                let point = point.saturating_add(0x10000);
                return char::from_u32(point).ok_or(JsonError::Unexpected);
            }
        }
        self.rest = after;
        match halves {
            SurrogatePolicy::Replaced => Ok(char::REPLACEMENT_CHARACTER),
            SurrogatePolicy::Refused => Err(JsonError::Unexpected),
        }
    }

    pub(super) fn hex(&mut self) -> Result<u32, JsonError> {
        let mut number = 0_u32;
        for _ in 0..4 {
            let digit = char::from(self.byte().ok_or(JsonError::End)?);
            let digit = digit.to_digit(16).ok_or(JsonError::Unexpected)?;
            number = number << 4 | digit;
            self.advance(1);
        }
        Ok(number)
    }

    pub(super) fn skip_plain(&mut self) {
        self.advance(plain(self.rest));
    }
}
