//! Passing over values that nobody reads.

use super::{Fault, Reader};
use crate::codec::decimal;

impl<'a> Reader<'a> {
    /// Passes over the value of a member that nobody reads.
    pub(crate) fn pass_over(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            b'"' => {}
            b'-' | b'0'..=b'9' => return self.skip_number(),
            _ => return self.skip(),
        }
        if let Some(plain) = self.plain_string() {
            self.passed_over = Some(plain);
            return Ok(());
        }
        let start = self.at();
        self.skip_string()?;
        let text = self.since(start).strip_prefix('"');
        self.passed_over = text.and_then(|text| text.strip_suffix('"'));
        Ok(())
    }

    /// Of the strings that were passed over the last one, as it is spelled between its quotation marks.
    pub(crate) fn passed_over(&self) -> Option<&'a str> {
        self.passed_over
    }

    /// Passes over a value of any kind and depth.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
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
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => return Err(Fault::Unexpected),
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
                    _ => return Err(Fault::Unexpected),
                }
            }
            if open.innermost().is_none() {
                return Ok(());
            }
        }
    }

    fn skip_name(&mut self) -> Result<(), Fault> {
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        self.expect(b'"')?;
        loop {
            self.skip_plain();
            match self.byte().ok_or(Fault::End)? {
                b'"' => {
                    self.advance(1);
                    return Ok(());
                }
                b'\\' => {
                    self.advance(1);
                    match self.byte().ok_or(Fault::End)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.advance(1),
                        b'u' => {
                            self.advance(1);
                            self.hex()?;
                        }
                        _ => return Err(Fault::Unexpected),
                    }
                }
                _ => return Err(Fault::Unexpected),
            }
        }
    }

    pub(super) fn skip_number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.advance(1);
        }
        match self.byte().ok_or(Fault::End)? {
            b'0' => self.advance(1),
            b'1'..=b'9' => self.skip_digits()?,
            _ => return Err(Fault::Unexpected),
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
    fn skip_digits(&mut self) -> Result<(), Fault> {
        match (decimal::digits(self.rest), self.rest) {
            (_, []) => Err(Fault::End),
            (0, _) => Err(Fault::Unexpected),
            (digits, _) => {
                self.advance(digits);
                Ok(())
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        for expected in word.bytes() {
            match self.byte() {
                Some(byte) if byte == expected => self.advance(1),
                Some(_) => return Err(Fault::Unexpected),
                None => return Err(Fault::End),
            }
        }
        Ok(())
    }
}

/// The objects and lists that are open, a bit each: set for an object. The innermost is the lowest bit of `top`.
#[derive(Default)]
struct Open {
    top: u64,
    /// How many bits of `top` are in use.
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
