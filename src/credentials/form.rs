//! Bodies of requests to token endpoints. They are wiped when the last copy is dropped.

use crate::codec::percent::{SEGMENT, encode_into};
use bytes::Bytes;
use zeroize::Zeroizing;

/// A body of `application/x-www-form-urlencoded`.
pub(crate) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub(crate) fn new() -> Self {
        // Large enough for most bodies, because a growing buffer leaves copies in memory.
        Form(Zeroizing::new(Vec::with_capacity(8 * 1024)))
    }

    #[must_use]
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        encode_into(name.as_bytes(), SEGMENT, &mut self.0);
        self.0.push(b'=');
        encode_into(value.as_bytes(), SEGMENT, &mut self.0);
        self
    }

    #[must_use]
    pub(crate) fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        wiped(self.0)
    }
}

/// Bytes whose memory is wiped when the last copy is dropped.
pub(crate) fn wiped(bytes: Zeroizing<Vec<u8>>) -> Bytes {
    Bytes::from_owner(bytes)
}

/// A value, encoded for a query.
pub(crate) fn encoded(value: &str) -> String {
    let mut out = Vec::new();
    encode_into(value.as_bytes(), SEGMENT, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_field() {
        let form = Form::new()
            .field("a", "1 &b=2/é")
            .optional("c", None)
            .optional("d", Some("+"));
        assert_eq!(form.into_bytes(), "a=1%20%26b%3D2%2F%C3%A9&d=%2B");
    }
}
