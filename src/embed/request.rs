use crate::{
    Error, ErrorKind, Json, Usage,
    chat::{CallMetrics, ProviderMetadata, Warning},
    string_enum::wire_enum,
};
use serde::Serialize;
use std::sync::Arc;

/// Texts to embed, and parameters.
///
/// A parameter that is `None` is not sent. A parameter that the provider does not support is an error, or with
/// [`drop_unsupported`](EmbedRequest::drop_unsupported) a warning in the response.
///
/// ```
/// use unifiedai::EmbedRequest;
/// let request = EmbedRequest::new("text-embedding-3-small").text("one").text("two").dimensions(256);
/// assert_eq!(request.input.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EmbedRequest {
    /// The model's name at the provider.
    pub model: String,
    /// The texts. More texts than the provider's batch limit are sent in several requests.
    pub input: Vec<String>,
    /// The number of dimensions of a vector, where the model supports a choice.
    pub dimensions: Option<u32>,
    /// The encoding of vectors in the API. The response has numbers in any case.
    pub encoding: Option<EmbedEncoding>,
    /// The purpose of the vectors (Cohere, Gemini).
    pub input_type: Option<EmbeddingInputType>,
    /// Identifier of the end user, for the provider's abuse checks.
    pub user_id: Option<String>,
    /// Additional fields of the JSON body, merged last, in this order.
    pub extra: Vec<(String, Json)>,
    /// Drop unsupported parameters with a warning instead of refusing the request.
    pub drop_unsupported: bool,
}

wire_enum! {
    /// The encoding of vectors in the API.
    EmbedEncoding {
        /// As JSON numbers.
        Float = "float",
        /// As 32-bit floats, little-endian, in base64: about a third of the size.
        Base64 = "base64",
    }
}

wire_enum! {
    /// The purpose of vectors, in Cohere's terms.
    EmbeddingInputType {
        /// Documents to be searched.
        Document = "search_document",
        /// Search queries.
        Query = "search_query",
        /// Classification.
        Classification = "classification",
        /// Clustering.
        Clustering = "clustering",
    }
}

impl EmbedRequest {
    /// Creates a request without texts.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        EmbedRequest {
            model: model.into(),
            input: Vec::new(),
            dimensions: None,
            encoding: None,
            input_type: None,
            user_id: None,
            extra: Vec::new(),
            drop_unsupported: false,
        }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.input.push(text.into());
        self
    }

    /// Adds texts.
    #[must_use]
    pub fn texts<T: Into<String>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        self.input.extend(texts.into_iter().map(Into::into));
        self
    }

    /// Sets the number of dimensions of a vector.
    #[must_use]
    pub fn dimensions(mut self, dimensions: u32) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// Sets the encoding of vectors in the API.
    #[must_use]
    pub fn encoding(mut self, encoding: EmbedEncoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Sets the purpose of the vectors.
    #[must_use]
    pub fn input_type(mut self, input_type: EmbeddingInputType) -> Self {
        self.input_type = Some(input_type);
        self
    }

    /// Sets the identifier of the end user.
    #[must_use]
    pub fn user_id(mut self, user: impl Into<String>) -> Self {
        self.user_id = Some(user.into());
        self
    }

    /// Adds a field of the JSON body that has no field here. A later value of the same name replaces it.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn extra<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), Json::new(value)?);
        self.extra.retain(|(other, _)| *other != name);
        self.extra.push((name, value));
        Ok(self)
    }

    /// Drops unsupported parameters with a warning instead of refusing the request.
    #[must_use]
    pub fn drop_unsupported(mut self) -> Self {
        self.drop_unsupported = true;
        self
    }

    /// The same request without its texts.
    pub(crate) fn without_input(&self) -> Self {
        EmbedRequest {
            model: self.model.clone(),
            input: Vec::new(),
            dimensions: self.dimensions,
            encoding: self.encoding.clone(),
            input_type: self.input_type.clone(),
            user_id: self.user_id.clone(),
            extra: self.extra.clone(),
            drop_unsupported: self.drop_unsupported,
        }
    }

    /// Checks for errors that no provider accepts.
    ///
    /// # Errors
    /// `invalid_request` that names the field: an empty model, no texts, an empty text, `dimensions` of zero, an
    /// extra field without a name.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::new(ErrorKind::InvalidRequest, what));
        if self.model.trim().is_empty() {
            return refuse("`model` is empty: set the name of a model");
        }
        if self.input.is_empty() {
            return refuse("`input` is empty: add at least one text, for example with `text(..)`");
        }
        if self.input.iter().any(String::is_empty) {
            return refuse("`input` has an empty text: remove it");
        }
        if self.dimensions == Some(0) {
            return refuse("`dimensions` is 0: it must be at least 1");
        }
        if self.extra.iter().any(|(name, _)| name.is_empty()) {
            return refuse("`extra` has a field without a name");
        }
        Ok(())
    }
}
impl From<&EmbedRequest> for Arc<EmbedRequest> {
    /// Copies the request, so that a call can take a reference. An `Arc` of the caller's is not copied.
    fn from(request: &EmbedRequest) -> Self {
        Arc::new(request.clone())
    }
}

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
