//! Vectors in the wire format. An error names the path of the value.

use crate::{
    Error, ErrorKind,
    provider::kit::lenient::{List, Raw},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserializer,
    de::{SeqAccess, Visitor},
};
use std::fmt;

/// A list of numbers, or a string of 32-bit floats in base64.
pub(crate) fn vector(raw: Raw<'_>, place: &str) -> Result<Vec<f32>, Error> {
    let text = raw.text().unwrap_or("null");
    let vector = match text.as_bytes().first() {
        Some(b'[') => {
            numbers(text).map_err(|e| wrong(place, &format!("not a list of numbers ({e})")))?
        }
        Some(b'"') => packed(text, place)?,
        Some(b'{') => return Err(wrong(place, "an object, not a list of numbers")),
        _ => return Err(wrong(place, "missing")),
    };
    match vector.iter().all(|number: &f32| number.is_finite()) {
        true if vector.is_empty() => Err(wrong(place, "empty")),
        true => Ok(vector),
        false => Err(wrong(place, "not a list of 32-bit numbers")),
    }
}

/// A list of vectors, one for each text.
pub(crate) fn vectors(raw: Raw<'_>, place: &str) -> Result<Vec<Vec<f32>>, Error> {
    let list: List<Raw<'_>> = match raw.text() {
        Some(text) if text.starts_with('[') => raw.parse()?,
        Some(_) => return Err(wrong(place, "not a list of vectors")),
        None => return Err(wrong(place, "missing")),
    };
    collect(&list, |index, raw| {
        vector(raw, &format!("{place}[{index}]"))
    })
}

/// Reads a vector from each element. Allocates once, because a growing list needs twice the memory.
pub(crate) fn collect(
    list: &List<Raw<'_>>,
    read: impl Fn(usize, Raw<'_>) -> Result<Vec<f32>, Error>,
) -> Result<Vec<Vec<f32>>, Error> {
    let mut vectors = Vec::with_capacity(list.0.len());
    for (index, raw) in list.0.iter().enumerate() {
        vectors.push(read(index, *raw)?);
    }
    Ok(vectors)
}

fn numbers(text: &str) -> Result<Vec<f32>, serde_json::Error> {
    struct Numbers(usize);
    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<f32>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of numbers")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f32>, A::Error> {
            let mut numbers = Vec::with_capacity(self.0);
            while let Some(number) = list.next_element()? {
                numbers.push(number);
            }
            Ok(numbers)
        }
    }
    let commas = memchr::memchr_iter(b',', text.as_bytes()).count();
    let mut reader = serde_json::Deserializer::from_str(text);
    let numbers = reader.deserialize_seq(Numbers(commas.saturating_add(1)))?;
    reader.end().map(|()| numbers)
}

pub(crate) fn wrong(place: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("`{place}` in the response is {what}"),
    )
}

fn packed(text: &str, place: &str) -> Result<Vec<f32>, Error> {
    let bytes = serde_json::from_str::<String>(text)
        .ok()
        .and_then(|text| STANDARD.decode(text).ok());
    let Some(bytes) = bytes.filter(|bytes| bytes.len() % 4 == 0) else {
        return Err(wrong(place, "a string that is not 32-bit floats in base64"));
    };
    let four = |bytes: &[u8]| Some(f32::from_le_bytes(bytes.try_into().ok()?));
    Ok(bytes.chunks_exact(4).filter_map(four).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn read(json: &str) -> Result<Vec<f32>, String> {
        let raw = lenient::parse::<Raw<'_>>(json).unwrap();
        vector(raw, "data[0].embedding").map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Protocol);
            error.message().to_owned()
        })
    }

    // F85
    #[test]
    fn wrong_type_is_reported_with_its_path() {
        assert_eq!(read("[1, -0.5, 2e-3]").unwrap(), [1.0, -0.5, 0.002]);
        assert_eq!(read("\"AACAPwAAAL8=\"").unwrap(), [1.0, -0.5]);
        for (json, what) in [
            ("\"Hello there\"", "a string that is not 32-bit floats"),
            ("\"AAAA\"", "a string"),
            ("\"AADAfw==\"", "not a list of 32-bit numbers"),
            ("[1e39]", "not a list of"),
            ("[1, \"2\"]", "not a list of numbers"),
            ("[[1]]", "not a list of numbers"),
            ("{\"0\": 1}", "an object"),
            ("[]", "empty"),
            ("null", "missing"),
            ("7", "missing"),
        ] {
            let message = read(json).unwrap_err();
            assert!(
                message.starts_with("`data[0].embedding` in the response is"),
                "{message}"
            );
            assert!(message.contains(what), "{json}: {message}");
        }
    }
}
