//! The wire format of a part of a request.

use crate::{Json, provider::kit::json_object::JsonObject};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

/// The field of a part's signature.
pub(super) const SIGNATURE: &str = "thoughtSignature";

/// A part and added fields, such as `thoughtSignature`.
#[derive(Debug)]
pub(super) struct EncodedPart<'a> {
    pub(super) piece: PartContent<'a>,
    pub(super) more: Option<JsonObject>,
}

#[derive(Debug)]
pub(super) enum PartContent<'a> {
    Text(&'a str),
    InlineData(Blob<'a>),
    FileData(FileData<'a>),
    FunctionCall(FunctionCall<'a>),
    FunctionResponse(FunctionResponse<'a>),
    Thought(&'a str),
    Opaque(&'a Json),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    pub(super) mime_type: &'a str,
    pub(super) data: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<&'a str>,
    pub(super) file_uri: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Json>,
    pub(super) name: &'a str,
    pub(super) args: Json,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Json>,
    pub(super) name: &'a str,
    pub(super) response: Json,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<EncodedPart<'a>>,
}

impl<'a> EncodedPart<'a> {
    pub(super) fn new(piece: PartContent<'a>) -> Self {
        EncodedPart { piece, more: None }
    }

    /// Whether this is reasoning, or a signature without text.
    pub(super) fn is_reasoning(&self) -> bool {
        match &self.piece {
            PartContent::Thought(_) => true,
            PartContent::Opaque(raw) => JsonObject::read(raw.as_str()).is_some_and(|members| {
                members.get(SIGNATURE).is_some()
                    && members.iter().all(|(name, value)| match name {
                        "text" => value.as_str() == "\"\"",
                        other => matches!(other, SIGNATURE | "thought"),
                    })
            }),
            _ => false,
        }
    }
}

impl Serialize for EncodedPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let (PartContent::Opaque(raw), None) = (&self.piece, &self.more) {
            return raw.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match &self.piece {
            PartContent::Text(text) => map.serialize_entry("text", text)?,
            PartContent::Thought(text) => {
                map.serialize_entry("text", text)?;
                map.serialize_entry("thought", &true)?;
            }
            PartContent::InlineData(blob) => map.serialize_entry("inlineData", blob)?,
            PartContent::FileData(file) => map.serialize_entry("fileData", file)?,
            PartContent::FunctionCall(call) => map.serialize_entry("functionCall", call)?,
            PartContent::FunctionResponse(response) => {
                map.serialize_entry("functionResponse", response)?;
            }
            PartContent::Opaque(raw) => {
                for (name, value) in JsonObject::read(raw.as_str())
                    .iter()
                    .flat_map(JsonObject::iter)
                {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        for (name, value) in self.more.iter().flat_map(JsonObject::iter) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
