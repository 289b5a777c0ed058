//! The arguments of a function call that come piece by piece, each with the place where it belongs.

use super::wire::{PartialArg, is_true};
use crate::{Error, ErrorKind};
use serde_json::{Map, Value};

/// Arguments that are deeper than this are not read.
const DEEPEST: usize = 64;

/// A function call under way.
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

    /// Adds a piece. Gives how many bytes it added.
    pub(super) fn add(&mut self, arg: &PartialArg<'_>) -> Result<usize, Error> {
        let path = arg.json_path.as_deref().unwrap_or_default();
        let place = place(&mut self.arguments, path).ok_or_else(|| {
            protocol(format!(
                "`{}` is no place in arguments",
                path.escape_debug()
            ))
        })?;
        if let Some(more) = arg.string_value.as_deref() {
            match place {
                Value::String(text) => text.push_str(more),
                other => *other = Value::String(more.to_owned()),
            }
            return Ok(path.len().saturating_add(more.len()));
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
        Ok(path.len().saturating_add(8))
    }

    /// The arguments as text.
    pub(super) fn finish(self) -> String {
        self.arguments.to_string()
    }
}

/// The value at `$.a.b[0]` or `$['a']`, made if it is not there. A list grows by one at a time.
fn place<'v>(root: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let mut rest = path.strip_prefix('$')?;
    let mut value = root;
    for _ in 0..DEEPEST {
        if rest.is_empty() {
            return Some(value);
        }
        let step;
        (step, rest) = split(rest)?;
        if value.is_null() {
            *value = match step {
                Step::Name(_) => Value::Object(Map::new()),
                Step::Index(_) => Value::Array(Vec::new()),
            };
        }
        value = match (step, value) {
            (Step::Name(name), Value::Object(object)) => object.entry(name).or_insert(Value::Null),
            (Step::Index(at), Value::Array(list)) => {
                if at == list.len() {
                    list.push(Value::Null);
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

/// The first step of a path, and what follows it.
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
    use crate::provider::lenient;

    fn arg(json: &str) -> PartialArg<'_> {
        lenient::parse(json).unwrap()
    }

    #[test]
    fn pieces_come_to_their_places() {
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

    #[test]
    fn a_place_that_cannot_be_is_refused() {
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
