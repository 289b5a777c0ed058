//! Parts of a message as they are on the wire.

use crate::{
    ContentPart, Error, ErrorKind, Json, Media, ToolCall, provider::kit::request::UnsupportedParams,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An element of `content`.
pub(super) enum EncodedPart<'a> {
    Text(Cow<'a, str>),
    ImageUrl(String, Option<&'a str>),
    Audio(String, &'a str),
    FileData(String, Option<&'a str>),
    FileId(&'a str),
    /// Mistral.
    Thinking(&'a str),
    /// Of a type without a place, as it came.
    Raw(Json),
}

impl<'a> EncodedPart<'a> {
    /// A part that has a place on this wire.
    pub(super) fn new(part: &'a ContentPart, provider: &str) -> Result<Self, Error> {
        let what = match part {
            ContentPart::Text { text, .. } => return Ok(EncodedPart::Text(text.into())),
            ContentPart::Image { media, detail } => {
                let detail = detail.as_ref().map(|detail| detail.as_str());
                return Ok(match media {
                    Media::Url { url, .. } => EncodedPart::ImageUrl(url.clone(), detail),
                    Media::Inline { mime_type, data } => {
                        EncodedPart::ImageUrl(data_url(mime_type, data), detail)
                    }
                    Media::File { id } => EncodedPart::FileId(id),
                });
            }
            ContentPart::Audio {
                media: Media::Inline { mime_type, data },
            } => {
                return Ok(EncodedPart::Audio(
                    Media::base64(data),
                    audio_format(mime_type),
                ));
            }
            ContentPart::Document { media, name } => match media {
                Media::Inline { mime_type, data } => {
                    let data = data_url(mime_type, data);
                    return Ok(EncodedPart::FileData(data, name.as_deref()));
                }
                Media::File { id } => return Ok(EncodedPart::FileId(id)),
                Media::Url { .. } => "a document by its address",
            },
            ContentPart::Audio { .. } => "sound that is not inline",
            ContentPart::Video { .. } => "a video",
            _ => "this part of a message",
        };
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{what} cannot be sent to `{provider}`"),
        ))
    }
}

impl EncodedPart<'_> {
    /// Whether it is a picture, sound or a document.
    pub(super) fn is_media(&self) -> bool {
        match self {
            EncodedPart::ImageUrl(..)
            | EncodedPart::Audio(..)
            | EncodedPart::FileData(..)
            | EncodedPart::FileId(_) => true,
            EncodedPart::Text(_) | EncodedPart::Thinking(_) | EncodedPart::Raw(_) => false,
        }
    }
}

fn audio_format(mime_type: &str) -> &str {
    match mime_type {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}

fn data_url(mime_type: &str, data: &bytes::Bytes) -> String {
    ["data:", mime_type, ";base64,", &Media::base64(data)].concat()
}

impl Serialize for EncodedPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ImageUrl<'a> {
            url: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct InputAudio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Default, Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
        }
        if let EncodedPart::Raw(json) = self {
            return json.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            EncodedPart::Raw(_) => {}
            EncodedPart::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            EncodedPart::ImageUrl(url, detail) => {
                map.serialize_entry("type", "image_url")?;
                let detail = *detail;
                map.serialize_entry("image_url", &ImageUrl { url, detail })?;
            }
            EncodedPart::Audio(data, format) => {
                map.serialize_entry("type", "input_audio")?;
                map.serialize_entry("input_audio", &InputAudio { data, format })?;
            }
            EncodedPart::FileData(data, filename) => {
                map.serialize_entry("type", "file")?;
                let file = File {
                    filename: *filename,
                    file_data: Some(data),
                    ..File::default()
                };
                map.serialize_entry("file", &file)?;
            }
            EncodedPart::FileId(id) => {
                map.serialize_entry("type", "file")?;
                let file = File {
                    file_id: Some(id),
                    ..File::default()
                };
                map.serialize_entry("file", &file)?;
            }
            EncodedPart::Thinking(text) => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", &[EncodedPart::Text((*text).into())])?;
            }
        }
        map.end()
    }
}

/// What Gemini 3 takes in the place of the signature of a call that it did not make itself.
const UNSIGNED_CALL_SIGNATURE: &str =
    r#"{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;

/// An element of `tool_calls`.
pub(super) enum EncodedCall<'a> {
    Function {
        id: &'a str,
        name: &'a str,
        arguments: Cow<'a, str>,
        extra_content: Option<&'a RawValue>,
    },
    /// Of another type, as it came.
    Raw(Json),
}

impl<'a> EncodedCall<'a> {
    /// A call with what `provider` wants back with it; another provider's data stays here.
    pub(super) fn new(
        call: &'a ToolCall,
        provider: &str,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<Self, Error> {
        let own = call
            .provider_data
            .as_ref()
            .filter(|own| own.provider == provider);
        Ok(EncodedCall::Function {
            id: &call.id,
            name: &call.name,
            arguments: omissions.arguments(call)?,
            extra_content: own.and_then(|own| serde_json::from_str(own.data.as_str()).ok()),
        })
    }
}

impl EncodedCall<'_> {
    /// Gives the first of a turn's calls a word in the place of a signature, unless one of them has its own.
    pub(super) fn sign_first(calls: &mut [Self]) {
        let is_unsigned = |call: &Self| match call {
            EncodedCall::Function { extra_content, .. } => extra_content.is_none(),
            EncodedCall::Raw(_) => true,
        };
        if !calls.iter().all(is_unsigned) {
            return;
        }
        let first = calls.iter_mut().find_map(|call| match call {
            EncodedCall::Function { extra_content, .. } => Some(extra_content),
            EncodedCall::Raw(_) => None,
        });
        if let Some(extra_content) = first {
            *extra_content = serde_json::from_str(UNSIGNED_CALL_SIGNATURE).ok();
        }
    }
}

impl Serialize for EncodedCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FunctionFields<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        let (id, function, extra_content) = match self {
            EncodedCall::Raw(json) => return json.serialize(serializer),
            EncodedCall::Function {
                id,
                name,
                arguments,
                extra_content,
            } => (id, FunctionFields { name, arguments }, extra_content),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("function", &function)?;
        if let Some(extra) = extra_content {
            map.serialize_entry("extra_content", extra)?;
        }
        map.end()
    }
}
