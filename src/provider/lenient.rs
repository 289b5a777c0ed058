//! Reading JSON that others wrote: a wrong type in a member that does not matter must not cost an answer.

/// Writes the parts of a visitor that say "anything else is nothing".
macro_rules! nothing_else {
    ($nothing:expr; $($method:ident($ty:ty)),*) => {
        $(fn $method<E>(self, _: $ty) -> Result<Self::Value, E> { Ok($nothing) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_none<E>(self) -> Result<Self::Value, E> { Ok($nothing) }
    };
}

macro_rules! skip_seq {
    ($nothing:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

macro_rules! skip_map {
    ($nothing:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

mod fill;
mod mend;

pub(crate) use fill::{Fill, Members, Place, fill_by_value, fill_object, object};

use crate::{Error, ErrorKind, codec::decimal, error::excerpt};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};
use std::{borrow::Cow, fmt, marker::PhantomData, time::Duration};

/// Whether a frame is OpenAI's end marker; some servers leave out its brackets.
pub(crate) fn is_done(data: &str) -> bool {
    matches!(data.trim(), "[DONE]" | "DONE")
}

/// Reads a JSON value. What `serde` refuses but is common in the wild, a member given twice or half of a surrogate pair, is
/// mended in `scratch` and read again: the last member counts, the half character becomes U+FFFD.
///
/// Mending takes a multiple of the text in memory, so what is longer than a megabyte is not mended.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    data: &'a str,
    scratch: &'a mut String,
) -> Result<T, Error> {
    read(data, scratch, |text| serde_json::from_str(text))
}

/// The same, in place.
pub(crate) fn fill<'a, T: Members<'a>>(
    object: &mut T,
    data: &'a str,
    scratch: &'a mut String,
) -> Result<(), Error> {
    read(data, scratch, |text| {
        *object = T::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        fill_object(object, &mut reader)?;
        reader.end()
    })
}

fn read<'a, T>(
    data: &'a str,
    scratch: &'a mut String,
    mut read: impl FnMut(&'a str) -> Result<T, serde_json::Error>,
) -> Result<T, Error> {
    let data = data.strip_prefix('\u{feff}').unwrap_or(data);
    let first = match read(data) {
        Ok(value) => return Ok(value),
        Err(first) => first,
    };
    let refuse = || bad_json(&first, data.as_bytes());
    if first.classify() == Category::Eof {
        return Err(refuse());
    }
    if data.len() > MOST_MENDED_BYTES {
        return Err(refuse());
    }
    *scratch = mend::mend(data).ok_or_else(refuse)?;
    read(scratch).map_err(|_| refuse())
}

const MOST_MENDED_BYTES: usize = 1 << 20;

/// The same for a body, which may not be UTF-8 and may have been cut.
pub(crate) fn parse_body<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    scratch: &'a mut String,
) -> Result<T, Error> {
    parse(utf8(body)?, scratch)
}

/// A body as text.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, Error> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text),
        Err(error) if error.error_len().is_none() => Err(truncated("inside a character")),
        Err(error) => Err(Error::new(
            ErrorKind::Protocol,
            format!("the answer is not UTF-8 after byte {}", error.valid_up_to()),
        )),
    }
}

fn bad_json(error: &serde_json::Error, data: &[u8]) -> Error {
    match error.classify() {
        Category::Eof => truncated("inside its JSON"),
        _ if is_cut_in_number(error, data) => truncated("inside a number"),
        _ => Error::new(
            ErrorKind::Protocol,
            format!(
                "not the JSON that was expected ({error}): {}",
                excerpt(data)
            ),
        ),
    }
}

/// `serde_json` calls `0.` and `-` wrong numbers, not the beginnings of some.
fn is_cut_in_number(error: &serde_json::Error, data: &[u8]) -> bool {
    let last_line = data.rsplit(|byte| *byte == b'\n').next().unwrap_or(data);
    let before = data.len().saturating_sub(last_line.len());
    let lines = memchr::memchr_iter(b'\n', data.get(..before).unwrap_or_default()).count();
    let at_end = error.line() == lines.saturating_add(1) && error.column() >= last_line.len();
    let begun = match data {
        [.., before, b'.' | b'e' | b'E'] => before.is_ascii_digit(),
        [.., before, b'-'] => !before.is_ascii_digit(),
        [.., b'e' | b'E', b'+'] => true,
        _ => false,
    };
    at_end && begun
}

fn truncated(place: &str) -> Error {
    Error::new(ErrorKind::Truncated, format!("the answer ends {place}"))
}

/// A string, or a number as text. Anything else is nothing.
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

/// A count. A float is cut to its integer; what is negative, too large or no number is nothing (F76).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number(pub(crate) Option<f64>);

/// A time in seconds. What is negative, too long or no number is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Option<Duration>);

/// A list. Anything else is an empty one; elements of another shape are an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// A list that mostly has one element, which then needs no memory of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Few<T> {
    pub(crate) first: Option<T>,
    more: Vec<T>,
}

/// An object of a known shape. Anything else is nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

/// A value as text, not looked into; null is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw<'a>(pub(crate) Option<&'a RawValue>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few {
            first: None,
            more: Vec::new(),
        }
    }
}

impl<T> Few<T> {
    /// The element, if there is exactly one.
    pub(crate) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.more.is_empty())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.more)
    }
}

impl<T> Default for Object<T> {
    fn default() -> Self {
        Object(None)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<&'a RawValue>::deserialize(deserializer).map(Raw)
    }
}

impl<'a> Raw<'a> {
    /// The text; `null` is nothing.
    pub(crate) fn text(self) -> Option<&'a str> {
        self.0.map(RawValue::get).filter(|text| *text != "null")
    }

    /// The value; `null` is nothing.
    pub(crate) fn value(self) -> Option<&'a RawValue> {
        self.0.filter(|raw| raw.get() != "null")
    }

    /// The arguments of a tool call as text. An object instead of a string is kept as its text (F82).
    pub(crate) fn arguments(self) -> Result<Cow<'a, str>, Error> {
        match self.text() {
            None => Ok(Cow::Borrowed("")),
            Some(text) if text.starts_with('"') => {
                if let Ok(plain) = serde_json::from_str::<&'a str>(text) {
                    return Ok(Cow::Borrowed(plain));
                }
                serde_json::from_str(text).map(Cow::Owned).map_err(|e| {
                    let message = format!("the arguments of a tool call cannot be read: {e}");
                    Error::new(ErrorKind::Protocol, message)
                })
            }
            Some(text) => Ok(Cow::Borrowed(text)),
        }
    }

    /// Reads it as a value of a known shape; another shape is nothing.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.text()?).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for V<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_string<E>(self, text: String) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(text))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            nothing_else!(Text(None); visit_bool(bool), visit_f64(f64));
            skip_seq!(Text(None));
            skip_map!(Text(None));
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number).filter(|number| number.is_finite())))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "times and rates; exact integers are read by `Count`"
            )]
            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "times and rates; exact integers are read by `Count`"
            )]
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(
                    text.trim()
                        .parse()
                        .ok()
                        .filter(|number: &f64| number.is_finite()),
                ))
            }
            nothing_else!(Number(None); visit_bool(bool));
            skip_seq!(Number(None));
            skip_map!(Number(None));
        }
        deserializer.deserialize_any(V)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        Ok(Seconds(decimal::seconds(quoted.unwrap_or(text))))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }
            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(Some(count)))
            }
            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(count).ok()))
            }
            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                // 2^53: beyond it a float is no exact count.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the range is checked"
                )]
                Ok(Count(
                    (0.0..=9_007_199_254_740_992.0)
                        .contains(&count)
                        .then_some(count as u64),
                ))
            }
            fn visit_str<E>(self, text: &str) -> Result<Count, E> {
                Ok(Count(text.trim().parse().ok()))
            }
            nothing_else!(Count(None); visit_bool(bool));
            skip_seq!(Count(None));
            skip_map!(Count(None));
        }
        deserializer.deserialize_any(V)
    }
}

/// What the elements of one list may take in memory. On the wire an element can be two bytes, `{}`, so that without a limit
/// a body would grow to a hundred times its size.
const MOST_LIST_BYTES: usize = 16 << 20;

fn check_length<T, E: serde::de::Error>(elements: usize) -> Result<(), E> {
    if elements.saturating_mul(size_of::<T>()) <= MOST_LIST_BYTES {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "a list with more than {elements} elements is too large"
    )))
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                    check_length::<T, A::Error>(list.len())?;
                }
                Ok(List(list))
            }
            nothing_else!(List(Vec::new()); visit_bool(bool), visit_f64(f64), visit_u64(u64), visit_i64(i64), visit_str(&str));
            skip_map!(List(Vec::new()));
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                let inner = serde::de::value::MapAccessDeserializer::new(map);
                PhantomData::<T>
                    .deserialize(inner)
                    .map(|value| Object(Some(value)))
            }
            nothing_else!(Object(None); visit_bool(bool), visit_f64(f64), visit_u64(u64), visit_i64(i64), visit_str(&str));
            skip_seq!(Object(None));
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, Default, PartialEq)]
    #[serde(default)]
    struct Thing<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        count: Count,
        number: Number,
        list: List<Count>,
    }

    fn read(json: &str) -> (Option<String>, Option<u64>, Option<f64>, usize) {
        let mut scratch = String::new();
        let thing: Thing<'_> = parse(json, &mut scratch).unwrap();
        (
            thing.text.0.map(Cow::into_owned),
            thing.count.0,
            thing.number.0,
            thing.list.0.len(),
        )
    }

    // F76, F84
    #[test]
    fn a_wrong_type_is_nothing() {
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
    fn of_a_member_given_twice_the_last_counts() {
        assert_eq!(read(r#"{"text":"a","text":"b"}"#).0.as_deref(), Some("b"));
    }

    // F83
    #[test]
    fn half_a_character_becomes_a_replacement() {
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
    fn what_is_not_one_json_value_is_refused() {
        let deep = format!(
            "{{\"x\":{}{}}}",
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        assert_eq!(read(&deep), (None, None, None, 0));
        let mut scratch = String::new();
        for (json, kind) in [
            (r#"{"number":NaN}"#, ErrorKind::Protocol),
            (r#"{"number":1e999}"#, ErrorKind::Protocol),
            (r#"{} {}"#, ErrorKind::Protocol),
            ("<html>", ErrorKind::Protocol),
            (r#"{"text":"a"#, ErrorKind::Truncated),
            (r#"{"number":1."#, ErrorKind::Truncated),
            (r#"{"number":-"#, ErrorKind::Truncated),
            (r#"{"number":1e+"#, ErrorKind::Truncated),
            ("", ErrorKind::Truncated),
        ] {
            let error = parse::<Thing<'_>>(json, &mut scratch).unwrap_err();
            assert_eq!(error.kind(), kind, "{json}");
        }
        assert_eq!(
            parse_body::<Thing<'_>>(b"{\"text\":\"\xe6\xbc", &mut scratch)
                .unwrap_err()
                .kind(),
            ErrorKind::Truncated
        );
    }

    // F21
    #[test]
    fn a_cut_is_told_from_a_mistake() {
        let kind = |json: &str| {
            let mut scratch = String::new();
            parse::<serde_json::Value>(json, &mut scratch)
                .unwrap_err()
                .kind()
        };
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
    fn a_list_may_take_so_much_memory() {
        let most = MOST_LIST_BYTES / size_of::<Count>();
        for (length, fits) in [(most, true), (most + 1, false)] {
            let numbers = vec!["1"; length].join(",");
            let json = format!(r#"{{"list":[{numbers}]}}"#);
            let mut scratch = String::new();
            match parse::<Thing<'_>>(&json, &mut scratch) {
                Ok(thing) => assert!(fits && thing.list.0.len() == length),
                Err(error) => assert!(!fits && error.message().contains("is too large"), "{error}"),
            }
        }
    }
}
