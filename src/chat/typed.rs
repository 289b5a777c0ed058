//! Schemas from Rust types, with `schemars`.

use crate::{Error, JsonSchema, Tool};
use schemars::{Schema, generate::SchemaSettings};

impl JsonSchema {
    /// Creates a strict schema of `T`, with the type's name.
    ///
    /// ```
    /// # #[derive(schemars::JsonSchema, serde::Deserialize)]
    /// # struct Weather { city: String, celsius: f64 }
    /// # fn main() -> Result<(), unifiedai::Error> {
    /// use unifiedai::{ChatRequest, JsonSchema, ResponseFormat};
    /// let request = ChatRequest::new("gpt-oss-120b")
    ///     .user("How warm is it in Lisbon?")
    ///     .response_format(ResponseFormat::JsonSchema(JsonSchema::of::<Weather>()?));
    /// # Ok(())
    /// # }
    /// ```
    /// Read the response with [`UnifiedChatResponse::parse`](crate::UnifiedChatResponse::parse).
    ///
    /// Each provider gets the schema in the dialect of its server (see [`schema`](crate::schema)). A type that the
    /// server cannot enforce, such as a map or a recursive type, is refused with its path before anything is sent.
    /// `strict: None` or [`drop_unsupported`](crate::ChatRequest::drop_unsupported) sends it anyway, where the server
    /// accepts schemas without enforcing them.
    ///
    /// # Errors
    /// `invalid_request` if the schema cannot be serialised as JSON.
    pub fn of<T: schemars::JsonSchema>() -> Result<Self, Error> {
        JsonSchema::new(name_of::<T>(), &schema_of::<T>(require_all))
    }
}

impl Tool {
    /// Creates a function whose arguments are a `T`. Read a call's arguments with
    /// [`ToolCall::parse`](crate::ToolCall::parse).
    ///
    /// # Errors
    /// `invalid_request` if the schema cannot be serialised as JSON.
    pub fn of<T: schemars::JsonSchema>(
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Tool, Error> {
        Tool::function(name, description, &schema_of::<T>(|_| {}))
    }
}

/// The schema in one piece, without references, and closed: providers with strict schemas refuse objects without
/// `additionalProperties: false`.
fn schema_of<T: schemars::JsonSchema>(further: fn(&mut Schema)) -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    each(&mut schema, &mut |schema| {
        if is_object(schema) && schema.get("additionalProperties").is_none() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        further(schema);
    });
    schema
}

/// Whether it is a struct, which may have no fields.
fn is_object(schema: &Schema) -> bool {
    let is_word = |word: &serde_json::Value| word.as_str() == Some("object");
    let kind = schema.get("type");
    schema.get("properties").is_some()
        || kind.is_some_and(is_word)
        || kind.is_some_and(|kind| kind.as_array().is_some_and(|list| list.iter().any(is_word)))
}

/// Strict schemas have no optional fields: an optional value is null.
fn require_all(schema: &mut Schema) {
    let properties = schema.get("properties").and_then(|value| value.as_object());
    if let Some(properties) = properties {
        let names: Vec<String> = properties.keys().cloned().collect();
        schema.insert("required".to_owned(), names.into());
    }
}

fn each(schema: &mut Schema, visit: &mut dyn FnMut(&mut Schema)) {
    visit(schema);
    schemars::transform::transform_subschemas(&mut |inner: &mut Schema| each(inner, visit), schema);
}

/// The type's name in the characters that providers accept: letters, digits, `_` and `-`, at most 64.
fn name_of<T: schemars::JsonSchema>() -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') => c,
        _ => '_',
    };
    T::schema_name().chars().map(plain).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Trip {
        /// The destination.
        city: String,
        days: Option<u8>,
        stops: Vec<Stop>,
    }

    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Stop {
        name: String,
    }

    #[test]
    fn a_type_becomes_a_closed_schema_without_references() {
        let schema = JsonSchema::of::<Trip>().unwrap();
        assert_eq!((schema.name.as_str(), schema.strict), ("Trip", Some(true)));
        let value: Value = schema.schema.decode().unwrap();
        assert_eq!(value["additionalProperties"], json!(false));
        assert_eq!(
            value["properties"]["city"]["description"],
            "The destination."
        );
        let stop = &value["properties"]["stops"]["items"];
        assert_eq!(stop["properties"]["name"]["type"], "string");
        assert_eq!(stop["additionalProperties"], json!(false));
        assert_eq!(value["required"], json!(["city", "days", "stops"]));
        assert!(!schema.schema.as_str().contains("$ref"));
    }

    #[test]
    fn a_generic_type_gets_a_name_that_providers_accept() {
        assert_eq!(name_of::<Vec<Stop>>(), "Array_of_Stop");
        let name = name_of::<std::collections::BTreeMap<String, Option<Trip>>>();
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        );
    }

    #[test]
    fn a_tool_can_be_made_from_a_type() {
        let Tool::Function {
            name, parameters, ..
        } = Tool::of::<Stop>("go", "Goes there.").unwrap()
        else {
            panic!("no function");
        };
        assert_eq!(name, "go");
        assert!(parameters.unwrap().as_str().contains("\"name\""));
        let Tool::Function { parameters, .. } = Tool::of::<Trip>("go", "Goes there.").unwrap()
        else {
            panic!("no function");
        };
        let value: Value = parameters.unwrap().decode().unwrap();
        assert_eq!(value["required"], json!(["city", "stops"]));
    }
}
