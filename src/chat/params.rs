use crate::{Error, Json, string_enum::wire_enum};
use serde::Serialize;

wire_enum! {
    /// How much a reasoning model reasons.
    ReasoningEffort {
        /// No reasoning.
        None = "none",
        /// As little as the model allows.
        Minimal = "minimal",
        /// Less than the default.
        Low = "low",
        /// The usual default.
        Medium = "medium",
        /// More than the default.
        High = "high",
        /// More than high, where the model has it.
        XHigh = "xhigh",
    }
}

wire_enum! {
    /// How the provider returns reasoning (Cerebras and Groq).
    ReasoningFormat {
        /// The model's default.
        None = "none",
        /// In a separate field.
        Parsed = "parsed",
        /// As `parsed`, with log probabilities not separated (Cerebras).
        TextParsed = "text_parsed",
        /// Inside the content, in the model's own tags.
        Raw = "raw",
        /// Not returned.
        Hidden = "hidden",
    }
}

wire_enum! {
    /// The provider's processing class for a request.
    ServiceTier {
        /// The provider chooses.
        Auto = "auto",
        /// The standard class.
        Default = "default",
        /// Cheaper and slower.
        Flex = "flex",
        /// Faster and more expensive.
        Priority = "priority",
    }
}

wire_enum! {
    /// How long the response is.
    Verbosity {
        /// Short.
        Low = "low",
        /// The default.
        Medium = "medium",
        /// Long.
        High = "high",
    }
}

/// The required format of the response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Free text, set explicitly.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that matches a schema.
    JsonSchema(JsonSchema),
}

/// A JSON Schema for the response, with the name that providers require.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JsonSchema {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// The purpose of the schema; some models read it.
    pub description: Option<String>,
    /// The schema itself.
    pub schema: Json,
    /// Whether the provider must enforce the schema exactly.
    pub strict: Option<bool>,
}

impl JsonSchema {
    /// Creates a strict schema.
    ///
    /// # Errors
    /// `invalid_request` if `schema` cannot be serialised as JSON.
    pub fn new<T: Serialize + ?Sized>(name: impl Into<String>, schema: &T) -> Result<Self, Error> {
        Ok(JsonSchema {
            name: name.into(),
            description: None,
            schema: Json::new(schema)?,
            strict: Some(true),
        })
    }
}
