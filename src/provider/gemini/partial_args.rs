//! Assembles function-call arguments from deltas with paths.

use super::types::{PartialArg, is_true};
use crate::{Error, ErrorKind};
use serde_json::{Map, Value};

/// Deeper arguments are refused.
const MAX_DEPTH: usize = 64;

/// An unfinished function call.
#[derive(Debug)]
pub(super) struct PartialCall {
    pub(super) part: u32,
    arguments: Value,
}

impl PartialCall {
    pub(super) fn new(part: u32) -> Self {
        PartialCall {
            part,
            arguments: Value::Object(Map::new()),
        }
    }

    /// Adds a delta. Returns how many bytes of memory it added.
    pub(super) fn add(&mut self, arg: &PartialArg<'_>) -> Result<usize, Error> {
        let path = arg.json_path.as_deref().unwrap_or_default();
        let mut made = 0;
        let place = value_at(&mut self.arguments, path, &mut made).ok_or_else(|| {
            protocol(format!(
                "`{}` is not a valid path in arguments",
                path.escape_debug()
            ))
        })?;
        if let Some(more) = arg.string_value.as_deref() {
            match place {
                Value::String(text) => text.push_str(more),
                other => *other = Value::String(more.to_owned()),
            }
            return Ok(made.saturating_add(more.len()));
        }
        *place = if let Some(number) = arg
            .number_value
            .text()
            .and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok())
        {
            Value::Number(number)
        } else if arg.bool_value.text().is_some() {
            Value::Bool(is_true(arg.bool_value))
        } else {
            Value::Null
        };
        Ok(made)
    }

    /// The arguments as text.
    pub(super) fn finish(self) -> String {
        self.arguments.to_string()
    }
}

/// The memory of a map with its first entry, in bytes: a tree's leaf has room for eleven.
const MAP: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// The memory of a further entry: leaves are half full after a split, and inner nodes point to them.
const ENTRY: usize = MAP / 5;
/// The memory of a list element: a growing list needs twice its size, and half of the new one is empty.
const ELEMENT: usize = 3 * size_of::<Value>();
/// The initial size of a list.
const LIST: usize = 4 * size_of::<Value>();

/// The value at `$.a.b[0]` or `$['a']`, created if missing. A list grows by one element at a time. Adds to `made` the
/// bytes of new maps, lists and values.
fn value_at<'v>(root: &'v mut Value, path: &str, made: &mut usize) -> Option<&'v mut Value> {
    let mut rest = path.strip_prefix('$')?;
    let mut value = root;
    for _ in 0..MAX_DEPTH {
        if rest.is_empty() {
            return Some(value);
        }
        let step;
        (step, rest) = split(rest)?;
        if value.is_null() {
            let (empty, size) = match step {
                Step::Name(_) => (Value::Object(Map::new()), MAP),
                Step::Index(_) => (Value::Array(Vec::new()), LIST),
            };
            *value = empty;
            *made = made.saturating_add(size);
        }
        value = match (step, value) {
            (Step::Name(name), Value::Object(object)) => {
                let length = name.len();
                object.entry(name).or_insert_with(|| {
                    *made = made.saturating_add(ENTRY).saturating_add(length);
                    Value::Null
                })
            }
            (Step::Index(at), Value::Array(list)) => {
                if at == list.len() {
                    list.push(Value::Null);
                    *made = made.saturating_add(ELEMENT);
                }
                list.get_mut(at)?
            }
            _ => return None,
        };
    }
    None
}

enum Step {
    Name(String),
    Index(usize),
}

/// The first step of a path, and the rest.
fn split(path: &str) -> Option<(Step, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (Step::Name(name.to_owned()), rest));
    }
    let rest = path.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(rest) = rest.strip_prefix(quote) {
            let (name, rest) = rest.split_once([quote, ']'].iter().collect::<String>().as_str())?;
            return Some((Step::Name(name.to_owned()), rest));
        }
    }
    let (index, rest) = rest.split_once(']')?;
    Some((Step::Index(index.parse().ok()?), rest))
}

fn protocol(what: String) -> Error {
    Error::new(ErrorKind::Protocol, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn arg(json: &str) -> PartialArg<'_> {
        lenient::parse(json).unwrap()
    }

    #[test]
    fn deltas_reach_their_parts() {
        let mut call = PartialCall::new(0);
        for piece in [
            r#"{"jsonPath":"$.list[0].name","stringValue":"ap"}"#,
            r#"{"jsonPath":"$.list[0].name","stringValue":"ple"}"#,
            r#"{"jsonPath":"$.list[1].price","numberValue":0.5}"#,
            r#"{"jsonPath":"$['a b']","boolValue":true}"#,
            r#"{"jsonPath":"$[\"n\"]","nullValue":"NULL_VALUE"}"#,
        ] {
            call.add(&arg(piece)).unwrap();
        }
        assert_eq!(
            call.finish(),
            r#"{"a b":true,"list":[{"name":"apple"},{"price":0.5}],"n":null}"#
        );
    }

    // P4
    #[test]
    fn delta_memory_is_charged_in_full() {
        let mut call = PartialCall::new(0);
        let deep = format!(r#"{{"jsonPath":"${}","stringValue":"x"}}"#, ".a".repeat(63));
        assert!(call.add(&arg(&deep)).unwrap() >= 62 * MAP);
        // The same path again allocates nothing.
        assert_eq!(call.add(&arg(&deep)).unwrap(), 1);
        let element = r#"{"jsonPath":"$.list[0]","numberValue":1}"#;
        assert_eq!(call.add(&arg(element)).unwrap(), ENTRY + 4 + LIST + ELEMENT);
    }

    #[test]
    fn an_invalid_path_is_refused() {
        let deep = format!(r#"{{"jsonPath":"${}"}}"#, ".a".repeat(1000));
        for piece in [
            r#"{"jsonPath":"a"}"#,
            r#"{"jsonPath":"$.a[7]"}"#,
            r#"{"jsonPath":"$.a[-1]"}"#,
            r#"{"jsonPath":"$[0]"}"#,
            r#"{"jsonPath":"$..a"}"#,
            r#"{"jsonPath":"$.é["}"#,
            r#"{}"#,
            &deep,
        ] {
            assert!(PartialCall::new(0).add(&arg(piece)).is_err(), "{piece}");
        }
    }
}
