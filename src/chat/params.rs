use crate::{Error, Json, string_enum::wire_enum};
use serde::Serialize;

wire_enum! {
    /// How much a reasoning model is to think.
    ReasoningEffort {
        /// Do not reason.
        None = "none",
        /// As little as the model allows.
        Minimal = "minimal",
        /// Little.
        Low = "low",
        /// The usual default.
        Medium = "medium",
        /// Much.
        High = "high",
        /// More than high, where a model has it.
        XHigh = "xhigh",
    }
}

wire_enum! {
    /// How the provider is to return reasoning (Cerebras and Groq).
    ReasoningFormat {
        /// The model's default.
        None = "none",
        /// In a field of its own.
        Parsed = "parsed",
        /// As `parsed`, with log probabilities not split (Cerebras).
        TextParsed = "text_parsed",
        /// Inside the content, in the model's own tags.
        Raw = "raw",
        /// Not at all.
        Hidden = "hidden",
    }
}

wire_enum! {
    /// The provider's processing class for a request.
    ServiceTier {
        /// The provider chooses.
        Auto = "auto",
        /// Standard.
        Default = "default",
        /// Cheaper and slower.
        Flex = "flex",
        /// Faster and dearer.
        Priority = "priority",
    }
}

wire_enum! {
    /// How wordy the answer is to be.
    Verbosity {
        /// Short.
        Low = "low",
        /// The default.
        Medium = "medium",
        /// Long.
        High = "high",
    }
}

/// The form that the answer must have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Free text, said explicitly.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema(JsonSchema),
}

/// A JSON Schema for an answer, with the name that providers ask for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JsonSchema {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// What the schema is for; some models read it.
    pub description: Option<String>,
    /// The schema itself.
    pub schema: Json,
    /// Whether the provider must enforce the schema exactly.
    pub strict: Option<bool>,
}

impl JsonSchema {
    /// A strict schema.
    ///
    /// # Errors
    /// `invalid_request` if `schema` cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(name: impl Into<String>, schema: &T) -> Result<Self, Error> {
        Ok(JsonSchema {
            name: name.into(),
            description: None,
            schema: Json::new(schema)?,
            strict: Some(true),
        })
    }
}
