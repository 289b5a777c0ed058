//! Compares a document with the expectation of a case.

use super::{pointer::find, value::Value};
use regex_lite::Regex;

/// Succeeds if one of the alternatives holds; otherwise returns the first failed claim of each.
pub fn check(document: &Value, expect: &Value) -> Result<(), Vec<String>> {
    let ways = expect.list().expect("`expect` is a list of ways");
    let mut failures = Vec::new();
    for way in ways {
        let claims = way.list().expect("a way is a list of claims");
        assert!(!claims.is_empty(), "a way without claims always holds");
        match claims.iter().find_map(|claim| failure(document, claim)) {
            None => return Ok(()),
            Some(failure) => failures.push(failure),
        }
    }
    Err(failures)
}

fn failure(document: &Value, claim: &Value) -> Option<String> {
    let at = claim.get("at").and_then(Value::text).expect("`at`");
    let value = find(document, at);
    let failed =
        predicates(claim).find(|(name, wanted)| !holds(document, value.as_deref(), name, wanted));
    failed.map(|(name, wanted)| {
        let found = value.map_or_else(|| "missing".to_owned(), |value| value.json());
        let cut: String = found.chars().take(400).collect();
        format!("{at} {name} {}: it is {cut}", wanted.json())
    })
}

fn predicates(claim: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let Value::Object(members) = claim else {
        panic!("a claim is an object: {}", claim.json())
    };
    assert!(
        members.iter().any(|(name, _)| name != "at"),
        "{} claims nothing",
        claim.json()
    );
    members
        .iter()
        .filter(|(name, _)| name != "at")
        .map(|(name, wanted)| (name.as_str(), wanted))
}

fn holds(document: &Value, value: Option<&Value>, name: &str, wanted: &Value) -> bool {
    if name == "absent" {
        let absent = value.is_none_or(|value| *value == Value::Null);
        return absent == is_true(wanted, name);
    }
    let Some(value) = value else {
        return false;
    };
    match name {
        "equals" => value == wanted,
        "not" => value != wanted,
        "one_of" => wanted.list().expect("a list").contains(value),
        "type" => value.type_name() == text(wanted),
        "matches" => {
            let whole = Regex::new(&format!(r"\A(?s:{})\z", text(wanted))).unwrap();
            value.text().is_some_and(|text| whole.is_match(text))
        }
        "contains" => contains(value, wanted),
        "lacks" => !contains(value, wanted),
        "mentions" => {
            let json = value.json();
            let mut rest = json.as_str();
            texts(wanted).all(|wanted| match rest.split_once(wanted) {
                Some((_, behind)) => {
                    rest = behind;
                    true
                }
                None => false,
            })
        }
        "omits" => {
            let json = value.json();
            texts(wanted).all(|wanted| !json.contains(wanted))
        }
        "same_as" => find(document, text(wanted)).is_some_and(|other| *value == *other),
        "distinct" => is_true(wanted, name) && distinct(value),
        "alternates" => {
            let neighbours = |list: &[Value]| list.windows(2).all(|two| two[0] != two[1]);
            is_true(wanted, name) && value.list().is_some_and(neighbours)
        }
        "size" => size(value) == Some(number(wanted)),
        "min_size" => size(value).is_some_and(|size| size >= number(wanted)),
        "max_size" => size(value).is_some_and(|size| size <= number(wanted)),
        "parses_as" => value
            .text()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .is_some_and(|json| json.type_name() == text(wanted)),
        "no_blank_text" => is_true(wanted, name) && !has_blank_text(value),
        "each" => value.list().is_some_and(|list| {
            let all_hold = |element| {
                predicates(wanted)
                    .all(|(name, wanted)| holds(document, Some(element), name, wanted))
            };
            !list.is_empty() && list.iter().all(all_hold)
        }),
        _ => panic!("there is no predicate `{name}`"),
    }
}

fn contains(value: &Value, wanted: &Value) -> bool {
    match value {
        Value::Text(whole) => wanted.text().is_some_and(|part| whole.contains(part)),
        Value::List(list) => list.iter().any(|element| fits(element, wanted)),
        Value::Object(_) => matches!(wanted, Value::Object(_)) && fits(value, wanted),
        _ => false,
    }
}

/// For objects, the listed fields must match; other values must be equal.
fn fits(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(_), Value::Object(members)) => members
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| fits(value, wanted))),
        (Value::List(list), Value::List(wanted)) => {
            list.len() == wanted.len() && list.iter().zip(wanted).all(|(a, b)| fits(a, b))
        }
        _ => value == wanted,
    }
}

fn distinct(value: &Value) -> bool {
    value.list().is_some_and(|list| {
        let mut rest = list;
        while let [first, behind @ ..] = rest {
            if behind.contains(first) {
                return false;
            }
            rest = behind;
        }
        true
    })
}

fn has_blank_text(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.trim().is_empty(),
        Value::List(list) => list.iter().any(has_blank_text),
        Value::Object(members) => members.iter().any(|(_, value)| has_blank_text(value)),
        _ => false,
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::Text(text) => Some(text.chars().count()),
        Value::List(list) => Some(list.len()),
        Value::Object(members) => Some(members.len()),
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    value.text().expect("a text")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let one = std::slice::from_ref(value);
    value.list().unwrap_or(one).iter().map(text)
}

fn number(value: &Value) -> usize {
    value.json().parse().expect("a number")
}

fn is_true(value: &Value, name: &str) -> bool {
    match value {
        Value::Boolean(value) => *value,
        _ => panic!("`{name}` is true or false"),
    }
}

/// Each predicate with one claim that holds and others that fail.
#[test]
fn each_predicate_holds_and_fails() {
    let document = Value::parse(
        r#"{"n": null, "one": 1, "text": "Hello\nyou", "blank": [{"a": " "}], "args": "{\"a\": []}",
            "list": ["a", "b", "a"], "pair": ["a", "a"], "other": ["a", "b", "a"], "empty": [],
            "object": {"a": {"b": 1, "c": [{"d": 2, "e": 3}]}, "f": "x"}, "flag": true}"#,
    );
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "equals",
            r#"{"at": "/one", "equals": 1.0}"#,
            &[
                r#"{"at": "/one", "equals": 2}"#,
                r#"{"at": "/one", "equals": "1"}"#,
                r#"{"at": "/nothing", "equals": null}"#,
                r#"{"at": "/object", "equals": {"f": "x"}}"#,
            ],
        ),
        (
            "not",
            r#"{"at": "/one", "not": 2}"#,
            &[
                r#"{"at": "/one", "not": 1}"#,
                r#"{"at": "/nothing", "not": 1}"#,
            ],
        ),
        (
            "one_of",
            r#"{"at": "/one", "one_of": [2, 1]}"#,
            &[
                r#"{"at": "/one", "one_of": [2, 3]}"#,
                r#"{"at": "/one", "one_of": []}"#,
            ],
        ),
        (
            "absent",
            r#"{"at": "/nothing", "absent": true}"#,
            &[
                r#"{"at": "/one", "absent": true}"#,
                r#"{"at": "/n", "absent": false}"#,
                r#"{"at": "/nothing", "absent": false}"#,
            ],
        ),
        (
            "type",
            r#"{"at": "/flag", "type": "boolean"}"#,
            &[
                r#"{"at": "/flag", "type": "text"}"#,
                r#"{"at": "/nothing", "type": "null"}"#,
            ],
        ),
        (
            "matches",
            r#"{"at": "/text", "matches": "Hel+o.y.u"}"#,
            &[
                r#"{"at": "/text", "matches": "Hello"}"#,
                r#"{"at": "/text", "matches": "you"}"#,
                r#"{"at": "/one", "matches": "1"}"#,
                r#"{"at": "/text", "matches": "Hello|you"}"#,
            ],
        ),
        (
            "contains",
            r#"{"at": "/object", "contains": {"a": {"c": [{"e": 3}]}}}"#,
            &[
                r#"{"at": "/object", "contains": {"a": {"c": [{"e": 4}]}}}"#,
                r#"{"at": "/object", "contains": {"g": null}}"#,
                r#"{"at": "/text", "contains": "hello"}"#,
                r#"{"at": "/list", "contains": "c"}"#,
                r#"{"at": "/one", "contains": 1}"#,
            ],
        ),
        (
            "lacks",
            r#"{"at": "/list", "lacks": "c"}"#,
            &[
                r#"{"at": "/list", "lacks": "b"}"#,
                r#"{"at": "/text", "lacks": "lo"}"#,
                r#"{"at": "/object", "lacks": {"f": "x"}}"#,
                r#"{"at": "/nothing", "lacks": "b"}"#,
            ],
        ),
        (
            "mentions",
            r#"{"at": "/object", "mentions": ["\"b\":1", "\"f\""]}"#,
            &[
                r#"{"at": "/object", "mentions": ["\"f\"", "\"b\":1"]}"#,
                r#"{"at": "/list", "mentions": ["b", "b"]}"#,
                r#"{"at": "/nothing", "mentions": "a"}"#,
            ],
        ),
        (
            "omits",
            r#"{"at": "/object", "omits": ["y", "z"]}"#,
            &[
                r#"{"at": "/object", "omits": ["y", "x"]}"#,
                r#"{"at": "/nothing", "omits": "a"}"#,
            ],
        ),
        (
            "same_as",
            r#"{"at": "/list", "same_as": "/other/*"}"#,
            &[
                r#"{"at": "/list", "same_as": "/pair"}"#,
                r#"{"at": "/list", "same_as": "/nothing"}"#,
            ],
        ),
        (
            "distinct",
            r#"{"at": "/empty", "distinct": true}"#,
            &[
                r#"{"at": "/list", "distinct": true}"#,
                r#"{"at": "/text", "distinct": true}"#,
            ],
        ),
        (
            "alternates",
            r#"{"at": "/list", "alternates": true}"#,
            &[
                r#"{"at": "/pair", "alternates": true}"#,
                r#"{"at": "/text", "alternates": true}"#,
            ],
        ),
        (
            "size",
            r#"{"at": "/text", "size": 9}"#,
            &[
                r#"{"at": "/text", "size": 8}"#,
                r#"{"at": "/one", "size": 1}"#,
            ],
        ),
        (
            "min_size",
            r#"{"at": "/list", "min_size": 3}"#,
            &[
                r#"{"at": "/list", "min_size": 4}"#,
                r#"{"at": "/nothing", "min_size": 0}"#,
            ],
        ),
        (
            "max_size",
            r#"{"at": "/object", "max_size": 2}"#,
            &[
                r#"{"at": "/object", "max_size": 1}"#,
                r#"{"at": "/nothing", "max_size": 1}"#,
            ],
        ),
        (
            "parses_as",
            r#"{"at": "/args", "parses_as": "object"}"#,
            &[
                r#"{"at": "/args", "parses_as": "list"}"#,
                r#"{"at": "/text", "parses_as": "text"}"#,
                r#"{"at": "/object", "parses_as": "object"}"#,
            ],
        ),
        (
            "no_blank_text",
            r#"{"at": "/object", "no_blank_text": true}"#,
            &[
                r#"{"at": "/blank", "no_blank_text": true}"#,
                r#"{"at": "/nothing", "no_blank_text": true}"#,
            ],
        ),
        (
            "each",
            r#"{"at": "/list", "each": {"type": "text", "one_of": ["a", "b"]}}"#,
            &[
                r#"{"at": "/list", "each": {"type": "text", "equals": "a"}}"#,
                r#"{"at": "/empty", "each": {"type": "text"}}"#,
                r#"{"at": "/text", "each": {"type": "text"}}"#,
            ],
        ),
    ];
    let expect = |claims: &[&str]| Value::parse(&format!("[[{}]]", claims.join(", ")));
    for (name, good, bad) in cases {
        assert_eq!(check(&document, &expect(&[good])), Ok(()), "{name}");
        for bad in *bad {
            assert!(bad.contains(name), "{bad}");
            assert!(check(&document, &expect(&[bad])).is_err(), "{bad}");
            // One failed claim fails an alternative, and one alternative suffices.
            assert!(check(&document, &expect(&[good, bad])).is_err(), "{bad}");
            let ways = Value::parse(&format!("[[{bad}], [{good}]]"));
            assert_eq!(check(&document, &ways), Ok(()), "{bad}");
        }
    }
}
