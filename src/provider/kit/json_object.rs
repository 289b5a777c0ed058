//! The fields of a JSON object as text, in order: for JSON that is passed on with a field changed or added.

use crate::{Error, Json, json::Reader};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use std::collections::BTreeMap;

/// The fields of a JSON object. Of a duplicate field the last value counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JsonObject(Vec<(String, Json)>);

impl JsonObject {
    /// The fields of an object; `None` for any other value, and for one that would need too much memory.
    pub(crate) fn read(text: &str) -> Option<JsonObject> {
        let mut members = Vec::new();
        let mut reader = Reader::new(text);
        let read = reader.object(|name, reader| {
            let value = reader.raw()?;
            // A growing list needs twice its size, and a third of the new one is empty.
            let more = size_of::<(String, Json)>().saturating_mul(3);
            reader.charge(more.saturating_add(name.len()))?;
            members.push((name.to_owned(), Json::part(value)));
            Ok(())
        });
        read.and_then(|()| reader.end()).ok()?;
        Some(JsonObject(members))
    }

    /// An object with these fields, in the order in which each was first given. Of a repeated field the last value
    /// counts.
    pub(crate) fn of_last(fields: Vec<(String, Json)>) -> JsonObject {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut members: Vec<(String, Json)> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let known = places.get(&name).and_then(|at| members.get_mut(*at));
            match known {
                Some((_, old)) => *old = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        JsonObject(members)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A field's value.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0
            .iter()
            .rfind(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    /// Replaces a field, or appends it.
    pub(crate) fn set(&mut self, name: &str, value: Json) {
        match self.0.iter_mut().rfind(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Removes the fields with these names.
    pub(crate) fn without(mut self, names: &[&str]) -> JsonObject {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    pub(crate) fn to_json(&self) -> Result<Json, Error> {
        Json::new(self)
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        JsonObject::read(json.as_str()).ok_or_else(|| D::Error::custom("not an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_notation_survive_a_change() {
        let mut members = JsonObject::read(r#"{"b": 1.0, "a":{"z" : 1}, "b":2}"#).unwrap();
        assert_eq!(members.get("b").unwrap().as_str(), "2");
        members.set("a", Json::parse("[]").unwrap());
        members.set("c", Json::parse("null").unwrap());
        assert_eq!(
            members.to_json().unwrap().as_str(),
            r#"{"b":1.0,"a":[],"b":2,"c":null}"#
        );
        assert!(JsonObject::read("[]").is_none());
        let field = |name: &str, value: &str| (name.to_owned(), Json::parse(value).unwrap());
        let fields = vec![field("a", "1"), field("b", "2"), field("a", "3")];
        let object = JsonObject::of_last(fields);
        assert_eq!(object.to_json().unwrap().as_str(), r#"{"a":3,"b":2}"#);
    }
}
