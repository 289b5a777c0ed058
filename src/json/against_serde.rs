//! Compares the reader with `serde_json`.

use super::{JsonError, Reader};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

#[derive(Debug, PartialEq)]
enum Refused {
    Fault(JsonError),
    /// A number that a `Value` cannot represent.
    Range,
    /// A field name with a lone surrogate, which the reader replaces.
    Half,
}

fn tree(text: &str) -> Result<Value, Refused> {
    let mut reader = Reader::new(text);
    let mut refused = None;
    let mut tree = Value::Null;
    value(&mut reader, &mut tree, &mut refused)
        .and_then(|()| reader.end())
        .map_err(Refused::Fault)?;
    refused.map_or(Ok(tree), Err)
}

fn value(
    reader: &mut Reader<'_>,
    place: &mut Value,
    refused: &mut Option<Refused>,
) -> Result<(), JsonError> {
    *place = match reader.peek()? {
        b'{' => {
            let mut members = Map::new();
            reader.object(|name, reader| {
                if name.contains(char::REPLACEMENT_CHARACTER) {
                    *refused = Some(Refused::Half);
                }
                value(reader, members.entry(name).or_insert(Value::Null), refused)
            })?;
            Value::Object(members)
        }
        b'[' => {
            let mut elements = Vec::new();
            reader.list(|reader| {
                let mut element = Value::Null;
                value(reader, &mut element, refused)?;
                elements.push(element);
                Ok(())
            })?;
            Value::Array(elements)
        }
        b'"' => Value::String(reader.exact_string()?.into_owned()),
        b'-' | b'0'..=b'9' => match reader.number()?.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => {
                *refused = Some(Refused::Range);
                Value::Null
            }
        },
        _ => match reader.raw()? {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Null,
        },
    };
    Ok(())
}

fn documents() -> impl Strategy<Value = Value> {
    let name = || prop_oneof!["[a-z_]{0,20}", "[a-z\"\\\\é\u{1}]{0,9}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..20_u64).prop_map(Value::from),
        name().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let members = prop::collection::vec((name(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A few positions of a text, each with the replacement of a number of characters.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
    let pieces = [
        "", "", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\ud83d", "\\ude00", " ",
        "\n", "\u{1}", "é", "0", ".", "e", "-", "null", "tru", "\"a\":", "{\"\":", ",\"a\":1",
    ];
    let change = (
        any::<prop::sample::Index>(),
        0..3_usize,
        prop::sample::select(pieces.to_vec()),
    );
    prop::collection::vec(change, 0..4)
}

fn changed(text: &str, changes: &[(prop::sample::Index, usize, &'static str)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (place, replaced, piece) in changes {
        let start = place.index(characters.len() + 1);
        let end = characters.len().min(start + replaced);
        characters.splice(start..end, piece.chars());
    }
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_document_is_read_as_serde_json_reads_it(document in documents(), pretty: bool, changes in changes()) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        let text = changed(&text, &changes);
        match (tree(&text), serde_json::from_str::<Value>(&text)) {
            (Ok(own), Ok(theirs)) => prop_assert_eq!(own, theirs),
            (Err(Refused::Fault(_) | Refused::Range | Refused::Half), Err(_)) => {}
            // A replacement character that is in the document itself.
            (Err(Refused::Half), Ok(_)) => prop_assert!(text.contains(char::REPLACEMENT_CHARACTER)),
            (own, theirs) => prop_assert!(false, "{:?} {:?}", own, theirs),
        }
    }
}
