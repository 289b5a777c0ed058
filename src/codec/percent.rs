//! Percent-encoding of one component of a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Encodes one path segment or one part of a query: every byte outside `A-Z a-z 0-9 - . _ ~`, so that a model id with
/// `/`, `?`, `#` or `%` stays one segment.
///
/// `None` for texts that cannot be one segment: an empty text, `.` and `..`.
#[must_use]
pub fn encode_segment(text: &str) -> Option<String> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    let mut encoded = Vec::with_capacity(text.len());
    encode_into(text.as_bytes(), SEGMENT, &mut encoded);
    String::from_utf8(encoded).ok()
}

/// All bytes but the unreserved ones of RFC 3986: `A-Z a-z 0-9 - . _ ~`. Hexadecimal digits are in upper case, as AWS signs them.
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes the bytes of `reserved` and all that are not ASCII.
pub(crate) fn encode_into(bytes: &[u8], reserved: &'static AsciiSet, out: &mut Vec<u8>) {
    for piece in percent_encode(bytes, reserved) {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        for (text, encoded) in [
            ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
            (
                "arn:aws:bedrock:eu:1:x/y",
                "arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fy",
            ),
            ("../a?b#c%2F", "..%2Fa%3Fb%23c%252F"),
            ("~_-.aZ09", "~_-.aZ09"),
            ("é \u{1F980}", "%C3%A9%20%F0%9F%A6%80"),
            ("...", "..."),
        ] {
            assert_eq!(encode_segment(text).as_deref(), Some(encoded));
        }
        for text in ["", ".", ".."] {
            assert_eq!(encode_segment(text), None);
        }
    }
}
