//! A secret that a peer repeats, however it is spelled: as it is, or with the escapes of JSON, of addresses and of XML, several
//! times over where one text quotes another.

/// Where a secret begins in a text and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// All of it, up to here.
    Whole(usize),
    /// The text ends after so many of its characters.
    Cut(usize),
}

/// Of a text that was cut off inside a secret so many characters are enough to hide them.
const MIN_PARTIAL_SECRET: usize = 4;

/// The text with `mark` in the place of the secret, or `None` if it is not in it. If `is_cut`, the text may end inside the
/// secret. A secret is visible ASCII.
pub(crate) fn hidden(text: &[u8], secret: &str, mark: &str, is_cut: bool) -> Option<Vec<u8>> {
    let first = *secret.as_bytes().first()?;
    let mut clean = Vec::new();
    let (mut at, mut kept) = (0, 0);
    while let Some(byte) = text.get(at) {
        let can_begin = *byte == first || matches!(byte, b'\\' | b'%' | b'&');
        let end = match can_begin.then(|| find(text, at, secret)).flatten() {
            Some(Found::Whole(end)) => end,
            Some(Found::Cut(length)) if is_cut && length >= MIN_PARTIAL_SECRET => text.len(),
            _ => {
                at = at.saturating_add(1);
                continue;
            }
        };
        clean.extend_from_slice(text.get(kept..at).unwrap_or_default());
        clean.extend_from_slice(mark.as_bytes());
        (at, kept) = (end, end);
    }
    if kept == 0 {
        return None;
    }
    clean.extend_from_slice(text.get(kept..).unwrap_or_default());
    Some(clean)
}

fn find(text: &[u8], mut at: usize, secret: &str) -> Option<Found> {
    for (length, wanted) in secret.bytes().enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        match spelled(rest, wanted) {
            Some(size) => at = at.saturating_add(size),
            None if is_beginning(rest) => return Some(Found::Cut(length)),
            None => return None,
        }
    }
    Some(Found::Whole(at))
}

/// How many bytes of the text's beginning spell this character.
fn spelled(text: &[u8], wanted: u8) -> Option<usize> {
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    if wanted == b'\\' {
        // One that stands for itself, or escaped, which doubles it.
        return (slashes > 0).then_some(slashes);
    }
    let behind = text.get(slashes..).unwrap_or_default();
    if behind.first() == Some(&wanted) && (slashes == 0 || !wanted.is_ascii_alphanumeric()) {
        return slashes.checked_add(1);
    }
    if slashes > 0 && behind.first() == Some(&b'u') {
        return (hex(behind.get(1..5)?) == Some(u32::from(wanted)))
            .then(|| slashes.checked_add(5))?;
    }
    // `%2F`, and `%252F` where an address is quoted in another one.
    if let Some(mut code) = text.strip_prefix(b"%") {
        let mut size: usize = 3;
        while let Some(more) = code.strip_prefix(b"25") {
            (code, size) = (more, size.checked_add(2)?);
        }
        return (hex(code.get(..2)?) == Some(u32::from(wanted))).then_some(size);
    }
    entity(text, wanted)
}

/// `&#47;`, `&#x2F;` and the names of XML.
fn entity(text: &[u8], wanted: u8) -> Option<usize> {
    let end = text.iter().take(8).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(text.get(1..end)?).ok()?;
    if text.first() != Some(&b'&') {
        return None;
    }
    let code = match name {
        "amp" => u32::from(b'&'),
        "lt" => u32::from(b'<'),
        "gt" => u32::from(b'>'),
        "quot" => u32::from(b'"'),
        "apos" => u32::from(b'\''),
        _ => match name.strip_prefix('#')? {
            number if number.starts_with(['x', 'X']) => hex(number.get(1..)?.as_bytes())?,
            number => number.parse().ok()?,
        },
    };
    (code == u32::from(wanted)).then(|| end.checked_add(1))?
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether the text ends before what it spells is known.
fn is_beginning(rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(b'\\') => {
            let behind = rest.iter().skip_while(|byte| **byte == b'\\').count();
            behind < 5
        }
        Some(b'%') => rest.len() < 3,
        Some(b'&') => rest.len() < 8 && !rest.contains(&b';'),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clean(text: &str, is_cut: bool) -> Option<String> {
        let clean = hidden(text.as_bytes(), "sk/canary+1", "[secret]", is_cut)?;
        Some(String::from_utf8(clean).unwrap())
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        for spelling in [
            "sk/canary+1",
            r"sk\/canary+1",
            r"sk\\\/canary\\+1",
            r"sk\u002fcanary\u002B1",
            r"sk\\u002Fcanary\\u002b1",
            r"\u0073\u006b/canary+1",
            "sk%2Fcanary%2b1",
            "sk%252fcanary%252B1",
            "sk&#47;canary&#x2b;1",
        ] {
            let text = format!("é Bearer {spelling}, {spelling}é");
            let wanted = "é Bearer [secret], [secret]é";
            assert_eq!(clean(&text, false).as_deref(), Some(wanted), "{spelling}");
        }
        for other in [
            "sk/canary",
            "sk canary+1",
            r"s\k/canary+1",
            "sk%2ecanary+1",
            "%",
            "\\",
        ] {
            assert_eq!(clean(other, false), None, "{other}");
        }
    }

    #[test]
    fn a_text_that_was_cut_ends_before_the_secret() {
        for (text, left) in [
            ("key sk/c", Some("key [secret]")),
            ("key sk/", None),
            (r"key sk\/c", Some("key [secret]")),
            (r"key sk/can\u00", Some("key [secret]")),
            ("key sk/can%2", Some("key [secret]")),
        ] {
            assert_eq!(clean(text, true).as_deref(), left, "{text}");
            assert_eq!(clean(text, false), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_escaping_of_any_character_is_found(secret in "[!-~]{6,20}", how in proptest::collection::vec(0..4, 20)) {
            let spell = |(c, how): (char, &i32)| match how {
                0 => serde_json::to_string(&c).unwrap().trim_matches('"').to_owned(),
                1 => format!("\\u{:04x}", u32::from(c)),
                2 => format!("%{:02X}", u32::from(c)),
                _ => c.to_string(),
            };
            // What stands for itself beside an escape of the same sign is spelled in two ways.
            let secret: String = secret.replace(['\\', '%', '&', '"'], "x");
            let text: String = secret.chars().zip(&how).map(spell).collect();
            let found = hidden(text.as_bytes(), &secret, "[s]", false);
            prop_assert_eq!(found, Some(b"[s]".to_vec()));
        }

        #[test]
        fn other_text_is_unchanged(text in "\\PC{0,60}") {
            prop_assert_eq!(hidden(text.as_bytes(), "k3yc4n4rybird", "[s]", false), None);
        }
    }
}
