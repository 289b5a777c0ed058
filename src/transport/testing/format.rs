//! The file format of a recorded exchange. Unknown fields are ignored.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::collections::BTreeMap;

/// A request and its response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedExchange {
    #[serde(default)]
    pub(super) provider: String,
    /// The API, such as `openai-chat`.
    #[serde(default)]
    pub(super) dialect: String,
    #[serde(default)]
    pub(super) streaming: bool,
    pub(super) request: RecordedRequest,
    pub(super) response: RecordedResponse,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedRequest {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) body: Payload,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RecordedResponse {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) body: Payload,
    /// The lengths of the chunks of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) chunk_lengths: Vec<usize>,
}

/// A body: as text if it is UTF-8, else in base64.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_base64",
        deserialize_with = "from_base64"
    )]
    body_base64: Option<Bytes>,
}

impl Payload {
    pub(super) fn bytes(&self) -> Option<Bytes> {
        let text = || self.body.clone().map(Bytes::from);
        self.body_base64.clone().or_else(text)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Payload {
                body: (!text.is_empty()).then_some(text),
                body_base64: None,
            },
            Err(binary) => Payload {
                body: None,
                body_base64: Some(binary.into_bytes().into()),
            },
        }
    }
}

fn to_base64<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
    text.serialize(serializer)
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let bytes = text.map(|text| STANDARD.decode(text)).transpose();
    Ok(bytes.map_err(D::Error::custom)?.map(Bytes::from))
}
