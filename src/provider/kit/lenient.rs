//! Lenient JSON decoding: a wrong type in an unimportant field must not fail a response.

mod fill;

pub(crate) use fill::{FieldReader, ReadFields, object};

use crate::{
    Error, ErrorKind, Json,
    error::excerpt,
    json::{JsonError, Reader},
};
use std::{borrow::Cow, time::Duration};

/// Whether a frame is OpenAI's end marker; some servers omit its brackets.
pub(crate) fn is_done(data: &str) -> bool {
    matches!(data.trim(), "[DONE]" | "DONE")
}

/// Decodes a JSON value. It accepts common errors: of a duplicate field the last value counts, a lone surrogate
/// becomes U+FFFD.
pub(crate) fn parse<'a, T: ReadFields<'a> + Default>(data: &'a str) -> Result<T, Error> {
    let mut value = T::default();
    fill(&mut value, data).map(|_| value)
}

/// Decodes in place. Returns the last string of an ignored field.
pub(crate) fn fill<'a, T: ReadFields<'a>>(
    value: &mut T,
    data: &'a str,
) -> Result<Option<&'a str>, Error> {
    let data = data.strip_prefix('\u{feff}').unwrap_or(data);
    let mut reader = Reader::new(data);
    match value.fill(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => Ok(reader.last_skipped_string()),
        Err(fault) => Err(unreadable(fault, reader.at(), data)),
    }
}

/// Decodes a body, which may not be UTF-8 and may be cut.
pub(crate) fn parse_body<'a, T: ReadFields<'a> + Default>(body: &'a [u8]) -> Result<T, Error> {
    parse(utf8(body)?)
}

/// A body as text.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, Error> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text),
        Err(error) if error.error_len().is_none() => Err(truncated("inside a character")),
        Err(error) => Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the response is not UTF-8 after byte {}",
                error.valid_up_to()
            ),
        )),
    }
}

#[cold]
fn unreadable(fault: JsonError, at: usize, data: &str) -> Error {
    let what = match fault {
        JsonError::End => return truncated("inside its JSON"),
        JsonError::Unexpected => "unexpected token at".to_owned(),
        JsonError::TooDeep => "nested too deeply at".to_owned(),
        JsonError::TooLarge => return too_large(data.len()),
    };
    let excerpt = excerpt(data.as_bytes());
    Error::new(
        ErrorKind::Protocol,
        format!("the response is not the expected JSON ({what} byte {at}): {excerpt}"),
    )
}

/// The error for a text of this many bytes whose parsed form would need too much memory.
#[cold]
pub(crate) fn too_large(text: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "the response has too many elements for its {text} bytes of JSON: parsing them would exceed the memory limit"
        ),
    )
}

fn truncated(place: &str) -> Error {
    Error::new(ErrorKind::Truncated, format!("the response ends {place}"))
}

/// A string, or an integer as text. Any other value is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

impl Text<'_> {
    pub(crate) fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn non_empty(&self) -> Option<&str> {
        self.as_deref().filter(|text| !text.is_empty())
    }

    pub(crate) fn to_string_or_empty(&self) -> String {
        self.as_deref().unwrap_or_default().to_owned()
    }
}

/// A count. A float is truncated; negative, too large or other values are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number(pub(crate) Option<f64>);

/// A number of seconds. Negative, too large or other values are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Option<Duration>);

/// A list. Any other value is an empty list; an element of another shape is an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// The undecoded elements of a list; of any other value the value itself. Null is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawElements<'a>(pub(crate) Vec<Raw<'a>>);

/// An object of a known shape. Any other value is ignored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

/// An object of a known shape, and its text.
#[derive(Clone, Debug)]
pub(crate) struct WithRawText<'a, T> {
    pub(crate) value: Object<T>,
    pub(crate) raw: Raw<'a>,
}

/// The fields of an object that its type lacks, in order, without those that are null or empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnknownFields<'a>(Vec<(String, Raw<'a>)>);

impl<'a> UnknownFields<'a> {
    /// The fields whose name is not in `known`.
    pub(crate) fn without<'o>(
        &'o self,
        known: &'o [&str],
    ) -> impl Iterator<Item = (&'o str, Raw<'a>)> {
        self.0
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, raw)| (name.as_str(), *raw))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.without(&[])
    }
}

/// An undecoded value as text; null is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw<'a>(Option<&'a str>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T> Default for Object<T> {
    fn default() -> Self {
        Object(None)
    }
}

impl<T> Default for WithRawText<'_, T> {
    fn default() -> Self {
        WithRawText {
            value: Object(None),
            raw: Raw(None),
        }
    }
}

impl<'a> Raw<'a> {
    pub(crate) fn text(self) -> Option<&'a str> {
        self.0
    }

    pub(crate) fn json(self) -> Option<Json> {
        self.0.map(Json::part)
    }

    /// The arguments of a tool call as text. An object instead of a string is kept as its text.
    pub(crate) fn arguments(self) -> Result<Cow<'a, str>, Error> {
        match self.0 {
            None => Ok(Cow::Borrowed("")),
            Some(text) if text.starts_with('"') => Reader::new(text).exact_string().map_err(|_| {
                let message = "the arguments of a tool call contain a lone surrogate";
                Error::new(ErrorKind::Protocol, message)
            }),
            Some(text) => Ok(Cow::Borrowed(text)),
        }
    }

    /// Decodes it as a value of a known shape.
    pub(crate) fn parse<T: ReadFields<'a> + Default>(self) -> Result<T, Error> {
        parse(self.0.unwrap_or("null"))
    }

    /// Decodes it as a value of a known shape; `None` for another shape.
    pub(crate) fn read<T: ReadFields<'a> + Default>(self) -> Option<T> {
        let mut value = T::default();
        value.fill(&mut Reader::new(self.0?)).ok()?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    object! {
        struct Thing<'a> {
            text: Text<'a>,
            count: Count,
            number: Number,
            seconds: Seconds,
            list: List<Count>,
        }
    }

    fn read(json: &str) -> (Option<String>, Option<u64>, Option<f64>, usize) {
        let thing: Thing<'_> = parse(json).unwrap();
        (
            thing.text.0.map(Cow::into_owned),
            thing.count.0,
            thing.number.0,
            thing.list.0.len(),
        )
    }

    // F75, F76, F84
    #[test]
    fn wrong_type_is_ignored() {
        let cases = [
            (
                r#"{"text":"a","count":3,"number":1.5,"list":[1,2]}"#,
                (Some("a"), Some(3), Some(1.5), 2),
            ),
            (
                r#"{"text":null,"count":null,"number":null,"list":null}"#,
                (None, None, None, 0),
            ),
            (
                r#"{"text":7,"count":"12","number":"2.5","list":"x"}"#,
                (Some("7"), Some(12), Some(2.5), 0),
            ),
            (
                r#"{"text":{"a":[]},"count":-35,"number":[1],"list":{"a":1}}"#,
                (None, None, None, 0),
            ),
            (
                r#"{"text":[1],"count":1.0,"number":true,"list":7}"#,
                (None, Some(1), None, 0),
            ),
            (
                r#"{"count":18446744073709551615,"list":[null]}"#,
                (None, Some(u64::MAX), None, 1),
            ),
            (r#"{"count":1e300}"#, (None, None, None, 0)),
            (
                r#"{"text":"a","count":1e999,"number":-1e999,"list":[1e999]}"#,
                (Some("a"), None, None, 1),
            ),
        ];
        for (json, (text, count, number, list)) in cases {
            assert_eq!(
                read(json),
                (text.map(str::to_owned), count, number, list),
                "{json}"
            );
        }
    }

    // F74
    #[test]
    fn the_last_value_of_a_duplicate_field_counts() {
        assert_eq!(read(r#"{"text":"a","text":"b"}"#).0.as_deref(), Some("b"));
    }

    // F83
    #[test]
    fn a_lone_surrogate_becomes_a_replacement_character() {
        let cases = [
            (r#"{"text":"a\ud83d"}"#, "a\u{fffd}"),
            (r#"{"text":"\ud83d\ude00\ude00b"}"#, "😀\u{fffd}b"),
            (
                r#"{"text":"\\ud83d\ud83dx\ud83d"}"#,
                "\\ud83d\u{fffd}x\u{fffd}",
            ),
        ];
        for (json, text) in cases {
            assert_eq!(read(json).0.as_deref(), Some(text), "{json}");
        }
    }

    // F73, F75, F86
    #[test]
    fn input_that_is_not_one_json_value_is_refused() {
        let deep = format!(
            "{{\"x\":{}{}}}",
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        assert_eq!(read(&deep), (None, None, None, 0));
        for (json, kind) in [
            (r#"{"number":NaN}"#, ErrorKind::Protocol),
            (r#"{} {}"#, ErrorKind::Protocol),
            ("<html>", ErrorKind::Protocol),
            (r#"{"text":"a"#, ErrorKind::Truncated),
            (r#"{"number":1."#, ErrorKind::Truncated),
            (r#"{"number":-"#, ErrorKind::Truncated),
            (r#"{"number":1e+"#, ErrorKind::Truncated),
            ("", ErrorKind::Truncated),
        ] {
            let error = parse::<Thing<'_>>(json).unwrap_err();
            assert_eq!(error.kind(), kind, "{json}");
        }
        assert_eq!(
            parse_body::<Thing<'_>>(b"{\"text\":\"\xe6\xbc")
                .unwrap_err()
                .kind(),
            ErrorKind::Truncated
        );
    }

    // F21
    #[test]
    fn truncation_is_distinguished_from_invalid_json() {
        let kind = |json: &str| parse::<Raw<'_>>(json).unwrap_err().kind();
        for json in [
            "",
            "{\"a\":0.",
            "{\"a\":-",
            "[1e",
            "[1E+",
            "{\n\"a\": 1.",
            "[tru",
            "\"a",
        ] {
            assert_eq!(kind(json), ErrorKind::Truncated, "{json}");
        }
        for json in ["{\"a\":1,}", "[1.]", "[-]", "{\"a\":1} .", "[1,\n.]"] {
            assert_eq!(kind(json), ErrorKind::Protocol, "{json}");
        }
    }

    // P4
    #[test]
    fn element_memory_is_limited_by_the_length_of_the_text() {
        let refused = |json: &str| {
            parse::<Thing<'_>>(json).is_err_and(|error| {
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
                true
            })
        };
        let list = |length: usize| vec!["1"; length].join(",");
        for (length, fits) in [(20_000, true), (80_000, false)] {
            assert_eq!(refused(&format!(r#"{{"list":[{}]}}"#, list(length))), !fits);
        }
        // All lists of a text share one budget.
        let lists = |count: usize| {
            let lists = vec![format!(r#"{{"list":[{}]}}"#, list(100)); count];
            parse::<List<Thing<'_>>>(&format!("[{}]", lists.join(","))).is_err()
        };
        assert!(!lists(100));
        assert!(lists(1000));
    }

    proptest! {
        #[test]
        fn white_space_and_escapes_around_a_value_make_no_difference(
            members in prop::collection::vec((
                prop::sample::select(vec!["text", "count", "number", "seconds", "list", "other", "tex", ""]),
                prop::sample::select(vec![
                    "0", "7", "16", "1795836469", "18446744073709551615", "99999999999999999999", "01", "-1", "1.0", "1.",
                    ".5", "0.008", "0.00021700000000000002", "8.4203e-05", "1e3", "1e", "null", "true", "tru", "", "[]",
                    "[1,2]", "[1,", "{}", r#"{"text":1}"#, r#""a""#, r#""12""#, r#""1.5""#, r#""a\n""#, r#""\ud83d""#,
                    r#""a text that is longer than sixteen bytes, é""#,
                ]),
            ), 0..6),
        ) {
            let plain = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
            let spaced = members.iter().map(|(name, value)| {
                let name = name.replace('t', "\\u0074");
                format!(" \"{name}\"\n: {value}\t")
            });
            let plain = format!("{{{}}}", plain.collect::<Vec<_>>().join(","));
            let spaced = format!("{{{}}}", spaced.collect::<Vec<_>>().join(","));
            let read = |json: &str| match parse::<Thing<'_>>(json) {
                Ok(thing) => Ok(format!("{thing:?}")),
                Err(error) => Err(error.kind()),
            };
            prop_assert_eq!(read(&plain), read(&spaced), "{}", plain);
        }
    }
}
