use crate::Json;
use serde::Serialize;

/// A model that a provider offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// What to put into [`ChatRequest::model`](crate::ChatRequest::model).
    pub id: String,
    /// The provider.
    pub provider: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// When it was made, in seconds since 1970; Cerebras says 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// How many tokens prompt and completion may have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// The provider's own description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Json>,
}

impl Model {
    /// A model with nothing known but its id.
    #[must_use]
    pub fn new(provider: impl Into<String>, id: impl Into<String>) -> Self {
        Model {
            id: id.into(),
            provider: provider.into(),
            ..Model::default()
        }
    }
}
