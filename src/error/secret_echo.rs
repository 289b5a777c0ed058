//! Finds a secret that a server repeats, in any notation: verbatim, or with the escapes of JSON, URLs and XML, nested
//! where one text quotes another.

/// A secret in a text, from a given start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Complete, up to this end.
    Whole(usize),
    /// Cut off by the end of the text after this many characters.
    Cut(usize),
}

/// If a cut text ends with at least this many characters of a secret, they are hidden.
const MIN_PARTIAL_SECRET: usize = 4;

/// Each quotation doubles the backslashes; more than this would be seven nested quotations.
const MOST_SLASHES: usize = 127;

/// The text with `mark` in place of the secret, or `None` if it does not contain it. If `is_cut`, the text may end
/// inside the secret. A secret is visible ASCII.
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

fn find(text: &[u8], at: usize, secret: &str) -> Option<Found> {
    // Several positions, if the escape of a character can also be read as the character itself: `&amp;`, `%25`, `\\`.
    let mut places = vec![at];
    let mut cut = None;
    for (length, wanted) in secret.bytes().enumerate() {
        let mut behind = Vec::with_capacity(places.len());
        for at in places {
            let rest = text.get(at..).unwrap_or_default();
            if is_beginning(rest) {
                cut = Some(Found::Cut(length));
            }
            for size in spelled(rest, wanted).into_iter().flatten() {
                let next = at.saturating_add(size);
                if !behind.contains(&next) {
                    behind.push(next);
                }
            }
        }
        if behind.is_empty() {
            return cut;
        }
        places = behind;
    }
    places.into_iter().max().map(Found::Whole)
}

/// How many bytes at the beginning of the text may spell this character: verbatim, as an escape, or as a run of
/// backslashes that escape one another.
fn spelled(text: &[u8], wanted: u8) -> [Option<usize>; 3] {
    let is_itself = text.first() == Some(&wanted);
    // Escaping doubles a backslash, repeatedly where one text quotes another.
    let run = Some(slashes(text)).filter(|slashes| wanted == b'\\' && *slashes > 1);
    [is_itself.then_some(1), escaped(text, wanted), run]
}

/// How many bytes at the beginning of the text are an escape of this character.
fn escaped(text: &[u8], wanted: u8) -> Option<usize> {
    let slashes = slashes(text);
    let behind = text.get(slashes..).unwrap_or_default();
    if slashes > 0 && behind.first() == Some(&wanted) && !wanted.is_ascii_alphanumeric() {
        return slashes.checked_add(1);
    }
    if slashes > 0 && behind.first() == Some(&b'u') {
        return (hex(behind.get(1..5)?) == Some(u32::from(wanted)))
            .then(|| slashes.checked_add(5))?;
    }
    // `%2F`, and `%252F` where a URL is quoted in another one.
    if let Some(mut code) = text.strip_prefix(b"%") {
        let mut size: usize = 3;
        let is_quoted = |more: &&[u8]| wanted != b'%' || more.starts_with(b"25");
        while let Some(more) = code.strip_prefix(b"25").filter(is_quoted) {
            (code, size) = (more, size.checked_add(2)?);
        }
        return (hex(code.get(..2)?) == Some(u32::from(wanted))).then_some(size);
    }
    entity(text, wanted)
}

/// How many backslashes begin the text. More than `MOST_SLASHES` escape nothing.
fn slashes(text: &[u8]) -> usize {
    let few = text.iter().take(MOST_SLASHES);
    few.take_while(|byte| **byte == b'\\').count()
}

/// `&#47;`, `&#x2F;` and XML's named entities.
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

/// Whether the text ends inside an escape.
fn is_beginning(rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(b'\\') => {
            let behind = rest.get(slashes(rest)..).unwrap_or_default();
            behind.len() < 5
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
    fn a_secret_is_found_in_every_notation() {
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
    fn a_secret_with_characters_that_start_escapes_is_found() {
        for (secret, spelling) in [
            ("sk&canary=1", "sk&amp;canary=1"),
            ("sk&canary=1", "sk&canary&#61;1"),
            ("sk&amp;nary", "sk&amp;nary"),
            ("sk&amp;nary", "sk&amp;amp;nary"),
            ("sk%2Fcanary", "sk%2Fcanary"),
            ("sk%2Fcanary", "sk%252Fcanary"),
            ("sk%canary-1", "sk%2525canary-1"),
            (r"sk\\canary", r"sk\\canary"),
            (r"sk-canary\\", r"sk-canary\\\u005c"),
            (r"sk-canary\\", r"sk-canary\u005c\\"),
            (r"sk\\canary", r"sk\\\\canary"),
        ] {
            let text = format!("<b>{spelling}</b>");
            let found = hidden(text.as_bytes(), secret, "[s]", false);
            assert_eq!(found, Some(b"<b>[s]</b>".to_vec()), "{secret} {spelling}");
        }
        let cut = hidden(b"key sk&can&am", "sk&can&ry", "[s]", true);
        assert_eq!(cut, Some(b"key [s]".to_vec()));
    }

    // A quadratic search would take half an hour here.
    #[test]
    fn a_long_text_of_escapes_is_scanned_in_linear_time() {
        for fill in ["\\", "%25", "&#", "s", "sk/"] {
            let text = fill.repeat((256 << 10) / fill.len());
            assert_eq!(clean(&text, false), None);
        }
    }

    #[test]
    fn a_cut_text_ends_before_the_secret() {
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
        fn any_escaping_of_any_character_is_found(secret in "[!-~]{6,20}", how in proptest::collection::vec(0..5, 20)) {
            let spell = |(c, how): (char, &i32)| match how {
                0 => serde_json::to_string(&c).unwrap().trim_matches('"').to_owned(),
                1 => format!("\\u{:04x}", u32::from(c)),
                2 => format!("%{:02X}", u32::from(c)),
                3 => format!("&#{};", u32::from(c)),
                _ => c.to_string(),
            };
            let secret: String = secret.replace('"', "x");
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
