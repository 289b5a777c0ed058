//! Files that a provider stores.

use serde::{Deserialize, Serialize};
use std::fmt;
use unifiedai_transport::RequestBody;

/// A file that a provider stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredFile {
    /// The provider's id for it.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Its media type.
    pub media_type: Option<String>,
    /// The provider's value for its purpose, such as `batch`.
    pub purpose: Option<String>,
    /// The URL that requests use for it, for providers that require a URL instead of an id (Gemini).
    pub uri: Option<String>,
    /// When it was created, in seconds since 1970.
    pub created_at: Option<u64>,
    /// When the provider deletes it, in seconds since 1970.
    pub expires_at: Option<u64>,
}

/// A file to be uploaded.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// The provider's value for its purpose; `None` for the provider's usual value for files in chats.
    pub purpose: Option<String>,
    /// Its bytes, in memory or from a source.
    pub content: RequestBody,
}

impl NewFile {
    /// A file with a name and a media type, such as `application/pdf`.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        media_type: impl Into<String>,
        content: impl Into<RequestBody>,
    ) -> Self {
        NewFile {
            name: name.into(),
            media_type: media_type.into(),
            purpose: None,
            content: content.into(),
        }
    }

    /// Sets the purpose, as the provider's own value.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the content, because calls are logged (F113).
        f.debug_struct("NewFile")
            .field("name", &self.name)
            .field("media_type", &self.media_type)
            .field("purpose", &self.purpose)
            .field("bytes", &self.content.len())
            .finish()
    }
}
