use crate::{
    Error, Json,
    json::Budget,
    provider::lenient::{List, Raw, too_large},
};
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

/// The models of a list that came in a body of so many bytes; what is no model is left out.
pub(super) fn read_models(
    body: usize,
    list: List<Raw<'_>>,
    provider: &str,
    read: impl Fn(&str, Raw<'_>) -> Option<Model>,
) -> Result<Vec<Model>, Error> {
    let each = size_of::<Model>().saturating_add(provider.len());
    Budget::of(body)
        .charge(list.0.len().saturating_mul(each))
        .map_err(|_| too_large(body))?;
    let mut models = Vec::with_capacity(list.0.len());
    models.extend(list.0.into_iter().filter_map(|raw| read(provider, raw)));
    Ok(models)
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
