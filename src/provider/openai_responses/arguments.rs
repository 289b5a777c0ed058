//! Whether two spellings of a call's arguments are the same command.

use super::parts::hash;
use crate::json::Reader;

/// Whether two JSON texts have the same values in the same order: white space and escapes may differ. Needs no memory.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (Tokens(one), Tokens(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return one.0.is_empty() && other.0.is_empty(),
            (Some(one), Some(other)) if one == other || same_string(one, other) => {}
            _ => return false,
        }
    }
}

/// A hash of the values of a JSON text, whatever its white space and its escapes.
pub(super) fn hash_of(text: &str) -> u64 {
    let mut tokens = Tokens(text);
    let mut all = 0_u64;
    let mut add = |token: &str| all = all.rotate_left(5) ^ hash(token);
    for token in tokens.by_ref() {
        match Reader::new(token).exact_string() {
            Ok(string) if token.contains('\\') => {
                add("\"");
                add(&string);
            }
            _ => match token
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
            {
                Some(string) => {
                    add("\"");
                    add(string);
                }
                None => add(token),
            },
        }
    }
    add(tokens.0);
    all
}

fn same_string(one: &str, other: &str) -> bool {
    let escaped = one.contains('\\') || other.contains('\\');
    let read = |text| Reader::new(text).exact_string().ok();
    escaped && matches!((read(one), read(other)), (Some(one), Some(other)) if one == other)
}

/// The tokens of a JSON text. It ends early, with a rest, at what is no token.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_ascii_start();
        let bytes = self.0.as_bytes();
        let length = match *bytes.first()? {
            b'"' => {
                let mut escaped = false;
                let end = bytes.iter().skip(1).position(|&byte| {
                    let ends = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                })?;
                end.saturating_add(2)
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => bytes
                .iter()
                .position(|byte| byte.is_ascii_whitespace() || b"{}[],:\"".contains(byte))
                .unwrap_or(bytes.len()),
        };
        let (token, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn spellings_of_one_command_are_the_same_and_other_commands_are_not() {
        for (one, other, expected) in [
            (r#"{"a":1}"#, "{ \"a\" :\n1 } ", true),
            (r#"{"a":"é \" x"}"#, r#"{"a":"\u00e9 \" x"}"#, true),
            (r#"{"a":"\\"}"#, r#"{"a": "\\"}"#, true),
            ("", "", true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, r#"{"a":1.0}"#, false),
            (
                r#"{"a":18446744073709551616}"#,
                r#"{"a":18446744073709551617}"#,
                false,
            ),
            (r#"{"a":"x y"}"#, r#"{"a":"xy"}"#, false),
            (r#"{"a":"x"#, r#"{"a":"y"#, false),
            (r#"{"a":1}"#, r#"{"a":1}{}"#, false),
            (r#"{"a":1 2}"#, r#"{"a":12}"#, false),
            ("{}", "", false),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
            assert_eq!(same(other, one), expected, "{other} {one}");
        }
    }
}
