use crate::{
    Json, ToolCall, ToolResult,
    chat::{Compaction, HostedToolCall, HostedToolResult},
    string_enum::wire_enum,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of a message. The parts are in the order in which the model generated them or reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentPart {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// The sources that the model gives for the text.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Citation>,
    },
    /// An image.
    Image {
        /// The image.
        media: Media,
        /// The resolution at which the model processes the image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<ImageDetail>,
    },
    /// Audio.
    Audio {
        /// The audio.
        media: Media,
    },
    /// Video.
    Video {
        /// The video.
        media: Media,
    },
    /// A document, such as a PDF or a text file.
    Document {
        /// The document.
        media: Media,
        /// Its name or title; the model may see it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The model's reasoning before its response.
    Reasoning {
        /// The reasoning text, as far as the provider shows it.
        text: String,
        /// The provider's signature of the reasoning, which later requests must send back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// The model's refusal, for providers that distinguish it from text.
    Refusal {
        /// The text of the refusal.
        text: String,
    },
    /// A tool call by the model.
    ToolCall(ToolCall),
    /// The result of a tool call.
    ToolResult(ToolResult),
    /// A call of a tool that the provider runs.
    HostedToolCall(Box<HostedToolCall>),
    /// The result of a tool that the provider runs.
    HostedToolResult(Box<HostedToolResult>),
    /// A summary of the earlier conversation by the provider.
    Compaction(Box<Compaction>),
    /// A block in a provider's own JSON. It is sent back to that provider unchanged and to no other.
    #[serde(rename = "opaque")]
    ProviderBlock(ProviderBlock),
}

/// A content block in one provider's own JSON: redacted reasoning, cache points, unknown blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderBlock {
    /// The provider or API to which it belongs, such as `bedrock`.
    pub provider: String,
    /// The block in the API's wire format.
    pub block: Json,
}

impl ProviderBlock {
    /// Creates a block of `provider`.
    #[must_use]
    pub fn new(provider: impl Into<String>, block: Json) -> Self {
        ProviderBlock {
            provider: provider.into(),
            block,
        }
    }
}

impl ContentPart {
    /// Creates a text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        ContentPart::Text {
            text: text.into(),
            citations: Vec::new(),
        }
    }

    /// Creates an image part from a URL.
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

    /// Creates an image part from bytes, with a MIME type such as `image/png`.
    #[must_use]
    pub fn image(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        ContentPart::Image {
            media: Media::inline(mime_type, data),
            detail: None,
        }
    }

    /// Creates an audio part from bytes, with a MIME type such as `audio/wav`.
    #[must_use]
    pub fn audio(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        ContentPart::Audio {
            media: Media::inline(mime_type, data),
        }
    }

    /// Creates a document part from bytes, with a MIME type such as `application/pdf`.
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

    /// The part in its provider's own JSON, which is sent back to that provider: of a [`ProviderBlock`], a hosted tool call
    /// or result, or a compaction.
    #[must_use]
    pub fn raw(&self) -> Option<&ProviderBlock> {
        match self {
            ContentPart::ProviderBlock(block) => Some(block),
            ContentPart::HostedToolCall(call) => call.raw.as_ref(),
            ContentPart::HostedToolResult(result) => result.raw.as_ref(),
            ContentPart::Compaction(compaction) => compaction.raw.as_ref(),
            _ => None,
        }
    }

    /// Creates a part in a provider's own JSON.
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
    /// The resolution at which a model processes an image.
    ImageDetail {
        /// The provider decides.
        Auto = "auto",
        /// At low resolution.
        Low = "low",
        /// At full resolution.
        High = "high",
    }
}

/// The source of an image, audio, video or document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Media {
    /// A URL that the provider fetches (`https:`, `s3:`, `gs:`), or a `data:` URL.
    Url {
        /// The URL.
        url: String,
        /// The MIME type, which some providers require.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
    /// The bytes, sent in base64.
    Inline {
        /// The MIME type.
        mime_type: String,
        /// The bytes.
        #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
        data: Bytes,
    },
    /// A file that was uploaded to the provider before.
    File {
        /// The provider's id of the file.
        id: String,
    },
}

impl Media {
    /// Creates inline media from bytes.
    #[must_use]
    pub fn inline(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Media::Inline {
            mime_type: mime_type.into(),
            data: data.into(),
        }
    }

    /// The bytes in base64, which every API requires.
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
    /// The source's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The source's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The quoted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cited_text: Option<String>,
    /// The citation in the provider's own JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Json>,
}
