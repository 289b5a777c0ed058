//! An element of `tools` as OpenAI chat writes it, and as others took it over.

use crate::{Json, Tool};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A function, or a tool in the provider's own JSON.
pub(super) enum FunctionTool<'a> {
    Function(Function<'a>),
    Raw(&'a Json),
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> FunctionTool<'a> {
    /// Without `strict`, which only OpenAI's own wire has at this place.
    pub(super) fn new(tool: &'a Tool) -> Self {
        match Self::with_strict(tool) {
            FunctionTool::Function(function) => FunctionTool::Function(Function {
                strict: None,
                ..function
            }),
            raw => raw,
        }
    }

    pub(super) fn with_strict(tool: &'a Tool) -> Self {
        match tool {
            Tool::Provider { definition, .. } => FunctionTool::Raw(definition),
            Tool::Function {
                name,
                description,
                parameters,
                strict,
            } => FunctionTool::Function(Function {
                name,
                description: description.as_deref(),
                parameters: parameters.as_ref(),
                strict: *strict,
            }),
        }
    }
}

impl Serialize for FunctionTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FunctionTool::Raw(raw) => raw.serialize(serializer),
            FunctionTool::Function(function) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", function)?;
                map.end()
            }
        }
    }
}
