use crate::{
    Usage,
    chat::{CallMetrics, ProviderMetadata, Warning},
};
use serde::Serialize;

/// Vectors, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbedResponse {
    /// The model that generated the vectors; the requested one if the provider names none.
    pub model: String,
    /// One vector for each text.
    pub embeddings: Vec<Vec<f32>>,
    /// Token counts, summed over all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What was dropped from the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Data that only this provider has; `raw` is the body of the last response.
    pub provider_metadata: ProviderMetadata,
    /// Measurements of the call.
    pub metrics: CallMetrics,
}
