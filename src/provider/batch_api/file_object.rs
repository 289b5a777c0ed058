//! The description of a file, as OpenAI, those that are like it, and Anthropic have it.

use super::reading::{Count, Moment, count, parse, require_id, seconds};
use crate::{Error, provider_batch::StoredFile};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Object<'a> {
    id: Option<String>,
    filename: Option<String>,
    #[serde(alias = "size_bytes")]
    bytes: Option<Count>,
    #[serde(alias = "mime_type")]
    mimetype: Option<String>,
    purpose: Option<String>,
    #[serde(borrow)]
    created_at: Option<Moment<'a>>,
    #[serde(borrow)]
    expires_at: Option<Moment<'a>>,
}

pub(crate) fn read(name: &str, body: &[u8]) -> Result<StoredFile, Error> {
    file(name, parse(name, "a file", body)?, body)
}

pub(crate) fn file(name: &str, object: Object<'_>, body: &[u8]) -> Result<StoredFile, Error> {
    Ok(StoredFile {
        id: require_id(name, "a file", object.id, body)?,
        name: object.filename,
        bytes: count(&object.bytes),
        media_type: object.mimetype,
        purpose: object.purpose.filter(|purpose| !purpose.is_empty()),
        uri: None,
        created_at: seconds(&object.created_at),
        expires_at: seconds(&object.expires_at),
    })
}
