//! Makes text from outside safe to display.

use super::{EXCERPT_BYTES, secret_echo::hidden};
use bytes::Bytes;
use std::fmt::{self, Write};

/// Shows text with control characters, C1 included, and bidirectional overrides written as escapes.
pub(crate) fn escape_controls(text: &str) -> impl fmt::Display + '_ {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// The beginning of a body as text: at most 2 KiB, cut at a character boundary, with undecodable bytes as `\xNN`.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let mut text = String::new();
    for chunk in body.utf8_chunks() {
        for c in chunk.valid().chars() {
            if text.len().saturating_add(c.len_utf8()) > EXCERPT_BYTES {
                text.push('…');
                return text;
            }
            text.push(c);
        }
        for byte in chunk.invalid() {
            if text.len().saturating_add(4) > EXCERPT_BYTES {
                text.push('…');
                return text;
            }
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

const SCRUBBED: &str = "[secret]";

/// Shorter secrets could be ordinary words.
const MIN_SECRET_LENGTH: usize = 6;

/// Only a cut text can end inside the secret; other texts may end with a word that begins like it.
pub(crate) fn scrub(text: &mut String, secret: &str) {
    if secret.len() < MIN_SECRET_LENGTH {
        return;
    }
    let shown = text.strip_suffix('…');
    let is_cut = shown.is_some();
    let clean = hidden(shown.unwrap_or(text).as_bytes(), secret, SCRUBBED, is_cut);
    if let Some(clean) = clean.and_then(|clean| String::from_utf8(clean).ok()) {
        let was_cut_in_it = clean.ends_with(SCRUBBED);
        *text = clean;
        if is_cut && !was_cut_in_it {
            text.push('…');
        }
    }
}

pub(super) fn scrub_bytes(body: &Bytes, secret: &str) -> Option<Bytes> {
    hidden(body, secret, SCRUBBED, true).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    // F40
    #[test]
    fn an_excerpt_is_cut_between_characters() {
        for length in EXCERPT_BYTES - 8..EXCERPT_BYTES + 8 {
            for character in ["a", "é", "漢", "🦀"] {
                let text = excerpt(character.repeat(length).as_bytes());
                assert!(text.len() <= EXCERPT_BYTES + '…'.len_utf8());
            }
        }
        assert_eq!(excerpt(b"a\xffb"), "a\\xffb");
    }

    // F110
    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        let shown = escape_controls("a\x1b[31m\u{9b}b\u{202e}c\r\n").to_string();
        assert!(
            shown.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{shown}"
        );
        assert!(shown.contains("\\u{1b}[31m"));
    }

    // F109
    #[test]
    fn secrets_are_scrubbed_at_any_position() {
        let mut text = String::from("Incorrect API key provided: sk-canary.");
        scrub(&mut text, "sk-canary");
        assert_eq!(text, "Incorrect API key provided: [secret].");
        let body = scrub_bytes(&Bytes::from_static(b"sk-canary,sk-canary"), "sk-canary").unwrap();
        assert_eq!(&body[..], b"[secret],[secret]");
        assert_eq!(
            scrub_bytes(&Bytes::from_static(b"nothing"), "sk-canary"),
            None
        );
    }

    // F109
    #[test]
    fn half_a_secret_where_a_text_was_cut_is_scrubbed_too() {
        for (cut, clean) in [
            ("key: sk-canar…", "key: [secret]"),
            ("key: sk-c", "key: sk-c"),
            ("key: sk-", "key: sk-"),
            ("sk-canary, sk-ca…", "[secret], [secret]"),
        ] {
            let mut text = String::from(cut);
            scrub(&mut text, "sk-canary");
            assert_eq!(text, clean);
        }
        let body = Bytes::from_static(b"sk-canary sk-canar");
        let clean = scrub_bytes(&body, "sk-canary").unwrap();
        assert_eq!(&clean[..], b"[secret] [secret]");
    }
}
