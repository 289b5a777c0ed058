//! An object inside a request's body, such as `generationConfig`, that holds typed parameters.

use super::json_object::JsonObject;
use crate::{ChatRequest, Error, Json};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The unfinished object. The fields of the same object in [`ChatRequest::extra`] have precedence over the typed
/// parameters, one by one.
#[derive(Debug, Default)]
pub(crate) struct NestedParams {
    members: Vec<(&'static str, Json)>,
    extra: JsonObject,
}

impl NestedParams {
    /// Starts the object with this name in the body.
    pub(crate) fn new(request: &ChatRequest, name: &str) -> Self {
        let extra = request.extra.iter().find(|(other, _)| other == name);
        NestedParams {
            members: Vec::new(),
            extra: extra
                .and_then(|(_, json)| JsonObject::read(json.as_str()))
                .unwrap_or_default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.extra.is_empty()
    }

    /// Adds a parameter, unless `extra` has a field with its name.
    pub(crate) fn set<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.extra.get(name).is_none() {
            self.members.push((name, Json::new(value)?));
        }
        Ok(())
    }
}

impl Serialize for NestedParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in self.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_extra_replace_typed_ones_one_by_one() {
        let config = Json::parse(r#"{"b":2,"c":3}"#).unwrap();
        let request = ChatRequest::new("m").extra("config", &config).unwrap();
        let mut params = NestedParams::new(&request, "config");
        params.set("a", &1).unwrap();
        params.set("b", &1).unwrap();
        let json = Json::new(&params).unwrap();
        assert_eq!(json.as_str(), r#"{"a":1,"b":2,"c":3}"#);
        assert!(NestedParams::new(&request, "other").is_empty());
    }
}
