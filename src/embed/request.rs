use crate::{Error, ErrorKind, Json, string_enum::wire_enum};
use serde::Serialize;
use std::sync::Arc;

/// Texts to be turned into vectors, and how.
///
/// A member that is `None` is not sent. One that the provider does not know is an error, or with
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
    /// The model's name, as the provider knows it.
    pub model: String,
    /// The texts. More than the provider takes at once are sent in several requests.
    pub input: Vec<String>,
    /// How many numbers a vector is to have, where the model lets one choose.
    pub dimensions: Option<u32>,
    /// How vectors travel. The response has numbers in any case.
    pub encoding: Option<EmbedEncoding>,
    /// What the vectors are for (Cohere, Gemini).
    pub input_type: Option<EmbeddingInputType>,
    /// Who the end user is, for the provider's abuse checks.
    pub user_id: Option<String>,
    /// Further members of the request's JSON object, merged last, in this order.
    pub extra: Vec<(String, Json)>,
    /// Drop and list what the provider does not support, rather than refuse the request.
    pub drop_unsupported: bool,
}

wire_enum! {
    /// How vectors travel.
    EmbedEncoding {
        /// As JSON numbers.
        Float = "float",
        /// As 32-bit floats, little-endian, in base64: about a third of the size.
        Base64 = "base64",
    }
}

wire_enum! {
    /// What vectors are for, in Cohere's words.
    EmbeddingInputType {
        /// To be found.
        Document = "search_document",
        /// To find.
        Query = "search_query",
        /// To be sorted into classes.
        Classification = "classification",
        /// To be grouped.
        Clustering = "clustering",
    }
}

impl EmbedRequest {
    /// A request without texts.
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

    /// How many numbers a vector is to have.
    #[must_use]
    pub fn dimensions(mut self, dimensions: u32) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// How vectors travel.
    #[must_use]
    pub fn encoding(mut self, encoding: EmbedEncoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// What the vectors are for.
    #[must_use]
    pub fn input_type(mut self, input_type: EmbeddingInputType) -> Self {
        self.input_type = Some(input_type);
        self
    }

    /// Who the end user is.
    #[must_use]
    pub fn user_id(mut self, user: impl Into<String>) -> Self {
        self.user_id = Some(user.into());
        self
    }

    /// A member of the request's JSON object that has no field here. The last one of a name counts.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be written as JSON.
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

    /// Drops and lists what the provider does not support, rather than refuse the request.
    #[must_use]
    pub fn drop_unsupported(mut self) -> Self {
        self.drop_unsupported = true;
        self
    }

    /// Checks what no provider can accept.
    ///
    /// # Errors
    /// `invalid_request` that names the field: an empty model, no texts, an empty text, `dimensions` of zero, an extra
    /// member without a name.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::new(ErrorKind::InvalidRequest, what));
        if self.model.trim().is_empty() {
            return refuse("`model` is empty: name the model that is to embed");
        }
        if self.input.is_empty() {
            return refuse("`input` is empty: add at least one text, for example with `text(..)`");
        }
        if self.input.iter().any(String::is_empty) {
            return refuse("`input` has an empty text, which no model embeds");
        }
        if self.dimensions == Some(0) {
            return refuse("`dimensions` is 0: a vector has at least one number");
        }
        if self.extra.iter().any(|(name, _)| name.is_empty()) {
            return refuse("`extra` has a member without a name");
        }
        Ok(())
    }
}
impl From<&EmbedRequest> for Arc<EmbedRequest> {
    /// A copy, so that a call can be made with a reference. An `Arc` of one's own is not copied.
    fn from(request: &EmbedRequest) -> Self {
        Arc::new(request.clone())
    }
}
