//! A JSON value that keeps the order of object fields: models generate fields in the order of the schema.

use crate::{Error, ErrorKind, Json, json::Reader};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Deeper schemas are refused.
const MAX_DEPTH: usize = 64;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    /// A number, `true`, `false` or `null`, as text.
    Other(Json),
}

impl Node {
    pub(super) fn read(json: &Json) -> Result<Node, Error> {
        let mut reader = Reader::new(json.as_str());
        value(&mut reader, 0).map_err(|_| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "a JSON schema is not valid JSON, or is nested deeper than {MAX_DEPTH} levels"
                ),
            )
        })
    }

    pub(super) fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    pub(super) fn keyword(word: &str) -> Node {
        Node::Other(Json::part(word))
    }

    /// An object with one field.
    pub(super) fn of(name: &str, value: Node) -> Node {
        Node::Object(vec![(name.to_owned(), value)])
    }

    pub(super) fn is_keyword(&self, word: &str) -> bool {
        matches!(self, Node::Other(json) if json.as_str() == word)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Node]> {
        match self {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Node::Other(json) => json.as_str().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Node::Object(members) => members
                .iter()
                .rfind(|(other, _)| other == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Replaces a field in its position, or appends it.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        if let Node::Object(members) = self {
            match members.iter_mut().rfind(|(other, _)| other == name) {
                Some((_, old)) => *old = value,
                None => members.push((name.to_owned(), value)),
            }
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        match self {
            Node::Object(members) => {
                let at = members.iter().rposition(|(other, _)| other == name)?;
                Some(members.remove(at).1)
            }
            _ => None,
        }
    }

    /// The number of values in it.
    pub(super) fn size(&self) -> usize {
        match self {
            Node::Object(members) => members
                .iter()
                .fold(1, |sum, (_, value)| value.size().saturating_add(sum)),
            Node::List(list) => list
                .iter()
                .fold(1, |sum, value| value.size().saturating_add(sum)),
            _ => 1,
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Node::List(list) => list.serialize(serializer),
            Node::Text(text) => text.serialize(serializer),
            Node::Other(json) => json.serialize(serializer),
        }
    }
}

fn value(reader: &mut Reader<'_>, depth: usize) -> Result<Node, crate::json::JsonError> {
    let deeper = depth.saturating_add(1);
    if deeper > MAX_DEPTH {
        return Err(crate::json::JsonError::TooDeep);
    }
    match reader.peek()? {
        b'{' => {
            let mut members = Vec::new();
            reader.object(|name, reader| {
                members.push((name.to_owned(), value(reader, deeper)?));
                Ok(())
            })?;
            Ok(Node::Object(members))
        }
        b'[' => {
            let mut list = Vec::new();
            reader.list(|reader| {
                list.push(value(reader, deeper)?);
                Ok(())
            })?;
            Ok(Node::List(list))
        }
        b'"' => Ok(Node::Text(reader.string()?.into_owned())),
        _ => Ok(Node::Other(Json::part(reader.raw()?))),
    }
}
