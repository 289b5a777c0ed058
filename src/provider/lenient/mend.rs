//! Mending JSON that is nearly right. Slow and rare: only what could not be read as it came gets here.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Objects within objects beyond this are left as they are, so that the work stays in proportion to the text.
const DEEPEST: u32 = 32;

/// The text with the last of every member given twice, and with U+FFFD for every half of a surrogate pair, except in the
/// arguments of tool calls: there half a character would make another command of it. Numbers keep their spelling.
/// `None` if it is not JSON.
pub(super) fn mend(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(raw.get().len());
    write(raw, 0, false, &mut out)?;
    Some(out)
}

fn write(raw: &RawValue, depth: u32, is_arguments: bool, out: &mut String) -> Option<()> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' if depth < DEEPEST => {
            let Members(members) = serde_json::from_str(text).ok()?;
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(name.get());
                out.push(':');
                let is_arguments = name.get() == "\"arguments\"";
                write(value, depth.saturating_add(1), is_arguments, out)?;
            }
            out.push('}');
        }
        b'[' if depth < DEEPEST => {
            let Elements(elements) = serde_json::from_str(text).ok()?;
            out.push('[');
            for (n, element) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(element, depth.saturating_add(1), false, out)?;
            }
            out.push(']');
        }
        b'"' if !is_arguments => out.push_str(&pair_surrogates(text)),
        _ => out.push_str(text),
    }
    Some(())
}

/// An object's members, of those with one name only the last.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut places = std::collections::BTreeMap::new();
                let mut members: Vec<(&RawValue, &RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    let at = *places.entry(name.get()).or_insert(members.len());
                    match members.get_mut(at) {
                        Some(known) => known.1 = value,
                        None => members.push((name, value)),
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(V)
    }
}

struct Elements<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(V)
    }
}

/// Replaces `\uD83D` and its like by `\ufffd` wherever the other half is missing (F83).
fn pair_surrogates(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut rest = text;
    let mut copied = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let Some(escape) = rest.get(at..) else { break };
        let (length, lone) = match surrogate(escape) {
            Some(0xd800..=0xdbff) => match escape.get(6..).and_then(surrogate) {
                Some(0xdc00..=0xdfff) => (12, false),
                _ => (6, true),
            },
            Some(_) => (6, true),
            None => (2, false),
        };
        if lone {
            let before = copied.len().saturating_sub(escape.len());
            mended.push_str(copied.get(..before).unwrap_or_default());
            mended.push_str("\\ufffd");
            copied = escape.get(length..).unwrap_or_default();
        }
        rest = match escape.get(length..) {
            Some(rest) => rest,
            None => break,
        };
    }
    if mended.is_empty() {
        return Cow::Borrowed(text);
    }
    mended.push_str(copied);
    Cow::Owned(mended)
}

/// The code unit of an escape at the beginning of `text`, if it is half of a pair.
fn surrogate(text: &str) -> Option<u16> {
    let unit = u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    // F74, F83, F87
    #[test]
    fn mends_without_touching_what_is_right() {
        let cases = [
            (
                r#"{"a":1,"b":[{"a":1,"a":2}],"a":3}"#,
                r#"{"a":3,"b":[{"a":2}]}"#,
            ),
            (
                r#"{"n": 18446744073709551616.0}"#,
                r#"{"n":18446744073709551616.0}"#,
            ),
            (r#"["\ud83d\ude00\ude00b"]"#, r#"["\ud83d\ude00\ufffdb"]"#),
            (
                r#"{"arguments":"\ud83d","x":"\ud83d"}"#,
                r#"{"arguments":"\ud83d","x":"\ufffd"}"#,
            ),
            (r#"{"x":"\\ud83d"}"#, r#"{"x":"\\ud83d"}"#),
        ];
        for (text, mended) in cases {
            assert_eq!(mend(text).as_deref(), Some(mended), "{text}");
        }
        for text in ["", "{", "{} {}", "<html>", "NaN"] {
            assert_eq!(mend(text), None, "{text}");
        }
    }
}
