//! Tool choice and the form of the answer, as they are on the wire.

use crate::{Json, JsonSchema, ResponseFormat, ToolChoice};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A choice, and the server's word for "at least one".
pub(super) struct EncodedToolChoice<'a>(pub(super) &'a ToolChoice, pub(super) &'static str);

impl Serialize for EncodedToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        match self.0 {
            ToolChoice::Auto => serializer.serialize_str("auto"),
            ToolChoice::None => serializer.serialize_str("none"),
            ToolChoice::Required => serializer.serialize_str(self.1),
            ToolChoice::Function(name) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", &Named { name })?;
                map.end()
            }
        }
    }
}

pub(super) struct EncodedFormat<'a>(pub(super) &'a ResponseFormat);

impl Serialize for EncodedFormat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Schema<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            schema: &'a Json,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::Text => map.serialize_entry("type", "text")?,
            ResponseFormat::JsonObject => map.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema(JsonSchema {
                name,
                description,
                schema,
                strict,
            }) => {
                map.serialize_entry("type", "json_schema")?;
                let schema = Schema {
                    name,
                    description: description.as_deref(),
                    schema,
                    strict: *strict,
                };
                map.serialize_entry("json_schema", &schema)?;
            }
        }
        map.end()
    }
}
