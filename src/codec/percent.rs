//! Percent-encoding of one component of a URL.

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
    encode_into(text.as_bytes(), b"", &mut encoded);
    String::from_utf8(encoded).ok()
}

/// Encodes every byte that is neither unreserved nor one of `keep`.
pub(crate) fn encode_into(bytes: &[u8], keep: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || keep.contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }
}

/// Upper case, as AWS requires in signatures.
fn hex_digit(nibble: u8) -> u8 {
    *b"0123456789ABCDEF"
        .get(usize::from(nibble))
        .unwrap_or(&b'0')
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
