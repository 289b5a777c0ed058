//! Text from outside, made safe to show.

use super::EXCERPT_BYTES;
use bytes::Bytes;
use std::fmt::{self, Write};

/// Shows text with control characters, C1 included, and bidirectional overrides written as escapes (F110).
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

/// The beginning of a body as text: at most 2 KiB, cut between characters, undecodable bytes as `\xNN`.
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

/// Shorter ones are no keys but words, and would be cut out of every sentence.
const SHORTEST_SECRET: usize = 6;

pub(crate) fn scrub(text: &mut String, secret: &str) {
    if secret.len() >= SHORTEST_SECRET && text.contains(secret) {
        *text = text.replace(secret, SCRUBBED);
    }
    // Only a text that was cut can end inside the secret; others end in words that may begin like it.
    let Some(shown) = text.strip_suffix('…') else {
        return;
    };
    if let Some(length) = cut_secret(shown.as_bytes(), secret) {
        text.truncate(shown.len().saturating_sub(length));
        text.push_str(SCRUBBED);
    }
}

/// How much of the secret stands at the end of a text that was cut off in its middle.
fn cut_secret(text: &[u8], secret: &str) -> Option<usize> {
    const LEAST: usize = 4;
    let secret = secret.as_bytes();
    let cut = |length: &usize| {
        secret
            .get(..*length)
            .is_some_and(|part| text.ends_with(part))
    };
    (LEAST..secret.len()).rev().find(cut)
}

pub(super) fn scrub_bytes(body: &Bytes, secret: &str) -> Option<Bytes> {
    let finder = memchr::memmem::Finder::new(secret);
    let cut = cut_secret(body, secret);
    if secret.is_empty() || (finder.find(body).is_none() && cut.is_none()) {
        return None;
    }
    let mut clean = Vec::with_capacity(body.len());
    let end = body.len().saturating_sub(cut.unwrap_or_default());
    let mut rest = body.get(..end).unwrap_or_default();
    while let Some((before, after)) = finder.find(rest).and_then(|at| rest.split_at_checked(at)) {
        clean.extend_from_slice(before);
        clean.extend_from_slice(SCRUBBED.as_bytes());
        rest = after.get(secret.len()..).unwrap_or_default();
    }
    clean.extend_from_slice(rest);
    if cut.is_some() {
        clean.extend_from_slice(SCRUBBED.as_bytes());
    }
    Some(clean.into())
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
    fn secrets_are_scrubbed_wherever_they_stand() {
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
