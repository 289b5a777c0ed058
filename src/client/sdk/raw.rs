use crate::{Error, ErrorKind, RawBody, UnifiedChatResponse};
use bytes::Bytes;
use http::HeaderMap;

/// An answer as it came, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct RawResponse(UnifiedChatResponse);

impl RawResponse {
    pub(super) fn new(response: UnifiedChatResponse) -> Self {
        RawResponse(response)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.provider_metadata.status.unwrap_or_default()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.provider_metadata.headers.as_map()
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let raw = self.0.provider_metadata.raw.as_ref();
        raw.map_or(&[], |raw| RawBody::as_bytes(raw))
    }

    /// The body as a type of the caller's own, such as the vendor's.
    ///
    /// # Errors
    /// `protocol` if it has another shape.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(self.body()).map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!("the answer has another shape: {e}"),
            )
        })
    }

    /// The answer in the library's terms.
    #[must_use]
    pub fn parse(self) -> UnifiedChatResponse {
        self.0
    }
}

impl AsRef<UnifiedChatResponse> for RawResponse {
    fn as_ref(&self) -> &UnifiedChatResponse {
        &self.0
    }
}

impl From<RawResponse> for Bytes {
    fn from(response: RawResponse) -> Bytes {
        let raw = response.0.provider_metadata.raw;
        raw.map(|raw| raw.as_bytes().clone()).unwrap_or_default()
    }
}
