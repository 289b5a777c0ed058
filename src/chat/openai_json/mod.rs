//! Reads requests and messages in the JSON format of OpenAI's chat completions API, which many programs, logs and
//! files use.
//!
//! Source of the format: <https://platform.openai.com/docs/api-reference/chat/create>. An unsupported field is an
//! error with its path; no field is ignored.

mod message;
mod request;

use crate::{Json, provider::kit::json_object::JsonObject};
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// An error and the path of the value that caused it.
#[derive(Debug)]
struct Failure {
    path: String,
    message: String,
}

type Read<T> = Result<T, Failure>;

impl Failure {
    fn new(message: impl Display) -> Self {
        Failure {
            path: String::new(),
            message: message.to_string(),
        }
    }

    /// Adds a member to the front of the path.
    fn in_member(mut self, member: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{member}{separator}{}", self.path);
        self
    }

    /// Adds a list index to the front of the path.
    fn in_element(self, index: usize) -> Self {
        self.in_member(&format!("[{index}]"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}`: {}", self.message),
        }
    }
}

/// A JSON object from which fields are taken, so that unread ones are known at the end.
struct Object(Vec<(String, Json)>);

impl Object {
    fn read(json: &Json) -> Read<Self> {
        let members = JsonObject::read(json.as_str())
            .ok_or_else(|| Failure::new(format_args!("not a JSON object but {}", kind_of(json))))?;
        Ok(Object(
            members
                .iter()
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect(),
        ))
    }

    /// Takes a field. `null` counts as missing. If a name occurs twice, the last one counts.
    fn take(&mut self, name: &str) -> Option<Json> {
        let mut taken = None;
        self.0.retain(|(other, value)| {
            let is_it = other == name;
            if is_it {
                taken = Some(value.clone());
            }
            !is_it
        });
        taken.filter(|value| value.as_str() != "null")
    }

    fn take_as<T: DeserializeOwned>(&mut self, name: &str) -> Read<Option<T>> {
        self.take(name)
            .map(|value| decode(&value).map_err(|failure| failure.in_member(name)))
            .transpose()
    }

    fn require<T: DeserializeOwned>(&mut self, name: &str) -> Read<T> {
        self.take_as(name)?
            .ok_or_else(|| Failure::new("is missing").in_member(name))
    }

    /// A required object; `read` must take all of its fields.
    fn require_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Object) -> Read<T>,
    ) -> Read<T> {
        let value: Json = self.require(name)?;
        read_object(&value, read).map_err(|failure| failure.in_member(name))
    }

    /// The elements of a list, each read by `read`.
    fn take_list<T>(&mut self, name: &str, read: impl Fn(&Json) -> Read<T>) -> Read<Vec<T>> {
        let list: Vec<Json> = self.take_as(name)?.unwrap_or_default();
        read_all(&list, read).map_err(|failure| failure.in_member(name))
    }

    /// Fails if a field with content was not read.
    fn end(self) -> Read<()> {
        let says_nothing = |value: &Json| matches!(value.as_str(), "null" | "[]" | "{}");
        match self.0.into_iter().find(|(_, value)| !says_nothing(value)) {
            Some((name, _)) => Err(Failure::new("unknown field").in_member(&name)),
            None => Ok(()),
        }
    }
}

/// An object; `read` must take all of its fields.
fn read_object<T>(json: &Json, read: impl FnOnce(&mut Object) -> Read<T>) -> Read<T> {
    let mut object = Object::read(json)?;
    let value = read(&mut object)?;
    object.end()?;
    Ok(value)
}

fn read_all<T>(list: &[Json], read: impl Fn(&Json) -> Read<T>) -> Read<Vec<T>> {
    list.iter()
        .enumerate()
        .map(|(index, element)| read(element).map_err(|failure| failure.in_element(index)))
        .collect()
}

fn decode<T: DeserializeOwned>(value: &Json) -> Read<T> {
    serde_json::from_str(value.as_str()).map_err(Failure::new)
}

fn kind_of(json: &Json) -> &'static str {
    match json.as_str().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b'{') => "an object that is too large",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
