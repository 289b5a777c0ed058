use crate::{
    Usage,
    chat::{CallMetrics, ProviderMetadata, Warning},
};
use serde::Serialize;

/// Vectors, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbedResponse {
    /// The model that answered; the one asked if the provider does not say.
    pub model: String,
    /// One vector for each text.
    pub embeddings: Vec<Vec<f32>>,
    /// The tokens counted, over all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What was dropped from the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What belongs to this provider alone; `raw` is the last request's body.
    pub provider_metadata: ProviderMetadata,
    /// Times.
    pub metrics: CallMetrics,
}
