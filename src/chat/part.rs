use crate::{Json, ToolCall, ToolResult, string_enum::wire_enum};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A piece of a message. A message's pieces are in the order in which the model wrote or is to read them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentPart {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Where the model says it has it from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Citation>,
    },
    /// A picture.
    Image {
        /// Where it is.
        media: Media,
        /// How closely the model is to look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<ImageDetail>,
    },
    /// Sound.
    Audio {
        /// Where it is.
        media: Media,
    },
    /// Film.
    Video {
        /// Where it is.
        media: Media,
    },
    /// A document, such as a PDF or a text file.
    Document {
        /// Where it is.
        media: Media,
        /// Its name or title; the model may see it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// What the model thought before it answered.
    Reasoning {
        /// The thought, as far as the provider shows it.
        text: String,
        /// What the provider wants back with the thought, as it came (a signature).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// The model's refusal to answer, where the provider tells it from text.
    Refusal {
        /// Its words.
        text: String,
    },
    /// A call that the model asks for.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
    /// A piece in a provider's own JSON. It goes back to that provider unchanged and to no other.
    #[serde(rename = "opaque")]
    ProviderBlock(ProviderBlock),
}

/// A piece of a message in one provider's own JSON: redacted reasoning, server tools, cache points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderBlock {
    /// The provider or wire it belongs to, such as `bedrock`.
    pub provider: String,
    /// The block as it is on the wire.
    pub block: Json,
}

impl ProviderBlock {
    /// A block of `provider`.
    #[must_use]
    pub fn new(provider: impl Into<String>, block: Json) -> Self {
        ProviderBlock {
            provider: provider.into(),
            block,
        }
    }
}

impl ContentPart {
    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        ContentPart::Text {
            text: text.into(),
            citations: Vec::new(),
        }
    }

    /// A picture by its address.
    #[must_use]
    pub fn image_url(url: impl Into<String>) -> Self {
        ContentPart::Image {
            media: Media::Url {
                url: url.into(),
                mime_type: None,
            },
            detail: None,
        }
    }

    /// A picture by its bytes, with a MIME type such as `image/png`.
    #[must_use]
    pub fn image(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        ContentPart::Image {
            media: Media::inline(mime_type, data),
            detail: None,
        }
    }

    /// Sound by its bytes, with a MIME type such as `audio/wav`.
    #[must_use]
    pub fn audio(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        ContentPart::Audio {
            media: Media::inline(mime_type, data),
        }
    }

    /// A document by its bytes, with a MIME type such as `application/pdf`.
    #[must_use]
    pub fn document(
        name: impl Into<String>,
        mime_type: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Self {
        ContentPart::Document {
            media: Media::inline(mime_type, data),
            name: Some(name.into()),
        }
    }

    /// A block in a provider's own JSON.
    #[must_use]
    pub fn provider_block(provider: impl Into<String>, block: Json) -> Self {
        ContentPart::ProviderBlock(ProviderBlock::new(provider, block))
    }
}

impl From<&str> for ContentPart {
    fn from(text: &str) -> Self {
        ContentPart::text(text)
    }
}

impl From<String> for ContentPart {
    fn from(text: String) -> Self {
        ContentPart::text(text)
    }
}

wire_enum! {
    /// How closely a model is to look at a picture.
    ImageDetail {
        /// The provider decides.
        Auto = "auto",
        /// A small version.
        Low = "low",
        /// In full.
        High = "high",
    }
}

/// Where a picture, sound, film or document is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Media {
    /// At an address that the provider fetches (`https:`, `s3:`, `gs:`), or in a `data:` URL.
    Url {
        /// The address.
        url: String,
        /// Its MIME type, which some providers ask for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
    /// Here. Sent in base64.
    Inline {
        /// Its MIME type.
        mime_type: String,
        /// The bytes.
        #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
        data: Bytes,
    },
    /// Uploaded to the provider before.
    File {
        /// The provider's id for it.
        id: String,
    },
}

impl Media {
    /// Bytes with their MIME type.
    #[must_use]
    pub fn inline(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Media::Inline {
            mime_type: mime_type.into(),
            data: data.into(),
        }
    }

    /// The bytes of an inline medium in base64, as every wire wants them.
    pub(crate) fn base64(data: &Bytes) -> String {
        STANDARD.encode(data)
    }
}

fn as_base64<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Media::base64(data))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(serde::de::Error::custom)
}

/// A source that the model or the provider names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Citation {
    /// The source's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The source's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is quoted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cited_text: Option<String>,
    /// The citation as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Json>,
}
