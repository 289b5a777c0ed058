use crate::{
    Error, ErrorKind, UnifiedChatResponse,
    chat::{ProviderMetadata, RawBody},
    provider::ApiResponse,
};
use bytes::Bytes;
use http::HeaderMap;

/// A response as it was received, and its decoded form.
#[derive(Clone, Debug, PartialEq)]
pub struct RawResponse<O = UnifiedChatResponse> {
    parsed: O,
    native: ProviderMetadata,
}

impl RawResponse {
    pub(super) fn of_chat(response: UnifiedChatResponse) -> Self {
        let native = response.provider_metadata.clone();
        RawResponse {
            parsed: response,
            native,
        }
    }
}

impl<O> RawResponse<O> {
    pub(super) fn new(response: ApiResponse<O>) -> Self {
        RawResponse {
            parsed: response.answer,
            native: response.provider_metadata,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.native.status.unwrap_or_default()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.native.headers.as_map()
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let raw = self.native.raw.as_ref();
        raw.map_or(&[], |raw| RawBody::as_bytes(raw))
    }

    /// Decodes the body as the caller's own type, such as one of the vendor's SDK.
    ///
    /// # Errors
    /// `protocol` if the body does not have the shape of `T`.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(self.body()).map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!("the response body does not match the requested type: {e}"),
            )
        })
    }

    /// The response in this library's types.
    #[must_use]
    pub fn parse(self) -> O {
        self.parsed
    }
}

impl<O> AsRef<O> for RawResponse<O> {
    fn as_ref(&self) -> &O {
        &self.parsed
    }
}

impl<O> From<RawResponse<O>> for Bytes {
    fn from(response: RawResponse<O>) -> Bytes {
        let raw = response.native.raw;
        raw.map(|raw| raw.as_bytes().clone()).unwrap_or_default()
    }
}
