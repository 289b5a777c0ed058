//! Skips values that are not needed.

use super::{JsonError, Reader};
use crate::codec::decimal;

impl<'a> Reader<'a> {
    /// Skips the value of an ignored field.
    pub(crate) fn skip_unread(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => {}
            b'-' | b'0'..=b'9' => return self.skip_number(),
            _ => return self.skip(),
        }
        if let Some(plain) = self.plain_string() {
            self.last_skipped_string = Some(plain);
            return Ok(());
        }
        let start = self.at();
        self.skip_string()?;
        let text = self.since(start).strip_prefix('"');
        self.last_skipped_string = text.and_then(|text| text.strip_suffix('"'));
        Ok(())
    }

    /// The last skipped string, as written between its quotation marks.
    pub(crate) fn last_skipped_string(&self) -> Option<&'a str> {
        self.last_skipped_string
    }

    /// Skips a value of any kind and depth.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        let mut open = Open::default();
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.advance(1);
                    if self.peek()? == b'}' {
                        self.advance(1);
                    } else {
                        self.skip_name()?;
                        open.push(true);
                        continue;
                    }
                }
                b'[' => {
                    self.advance(1);
                    if self.peek()? == b']' {
                        self.advance(1);
                    } else {
                        open.push(false);
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.skip_number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(JsonError::Unexpected),
            }
            while let Some(in_object) = open.innermost() {
                match (self.peek()?, in_object) {
                    (b',', true) => {
                        self.advance(1);
                        self.skip_name()?;
                        break;
                    }
                    (b',', false) => {
                        self.advance(1);
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.advance(1);
                        open.pop();
                    }
                    _ => return Err(JsonError::Unexpected),
                }
            }
            if open.innermost().is_none() {
                return Ok(());
            }
        }
    }

    fn skip_name(&mut self) -> Result<(), JsonError> {
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            self.skip_plain();
            match self.byte().ok_or(JsonError::End)? {
                b'"' => {
                    self.advance(1);
                    return Ok(());
                }
                b'\\' => {
                    self.advance(1);
                    match self.byte().ok_or(JsonError::End)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.advance(1),
                        b'u' => {
                            self.advance(1);
                            self.hex()?;
                        }
                        _ => return Err(JsonError::Unexpected),
                    }
                }
                _ => return Err(JsonError::Unexpected),
            }
        }
    }

    pub(super) fn skip_number(&mut self) -> Result<(), JsonError> {
        if self.byte() == Some(b'-') {
            self.advance(1);
        }
        match self.byte().ok_or(JsonError::End)? {
            b'0' => self.advance(1),
            b'1'..=b'9' => self.skip_digits()?,
            _ => return Err(JsonError::Unexpected),
        }
        if self.byte() == Some(b'.') {
            self.advance(1);
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.byte() {
                self.advance(1);
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn skip_digits(&mut self) -> Result<(), JsonError> {
        match (decimal::digits(self.rest), self.rest) {
            (_, []) => Err(JsonError::End),
            (0, _) => Err(JsonError::Unexpected),
            (digits, _) => {
                self.advance(digits);
                Ok(())
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        for expected in word.bytes() {
            match self.byte() {
                Some(byte) if byte == expected => self.advance(1),
                Some(_) => return Err(JsonError::Unexpected),
                None => return Err(JsonError::End),
            }
        }
        Ok(())
    }
}

/// The open objects and lists, one bit each: set for an object. The innermost one is the lowest bit of `top`.
#[derive(Default)]
struct Open {
    top: u64,
    /// The number of used bits of `top`.
    used: u32,
    below: Vec<u64>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.used == u64::BITS {
            self.below.push(self.top);
            self.used = 0;
        }
        self.top = self.top << 1 | u64::from(is_object);
        self.used = self.used.saturating_add(1);
    }

    fn pop(&mut self) {
        self.top >>= 1;
        self.used = self.used.saturating_sub(1);
        if self.used == 0 {
            if let Some(top) = self.below.pop() {
                (self.top, self.used) = (top, u64::BITS);
            }
        }
    }

    fn innermost(&self) -> Option<bool> {
        (self.used > 0).then_some(self.top & 1 == 1)
    }
}
