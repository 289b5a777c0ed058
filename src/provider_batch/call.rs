//! The calls of batch and file APIs, and their answers.

use super::{NewFile, ProviderBatch, ResultSource, StoredFile};
use crate::Error;
use bytes::Bytes;
use http::Uri;
use std::fmt;
use unifiedai_transport::RequestDelivery;

/// A call of a provider's batch or file API.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchCall {
    /// Uploads a file. Answer: [`BatchAnswer::File`].
    UploadFile(NewFile),
    /// Carries an upload on that takes several requests.
    ContinueUpload(UploadStep),
    /// Describes a file. Answer: [`BatchAnswer::File`].
    RetrieveFile(String),
    /// Deletes a file. Answer: [`BatchAnswer::Done`].
    DeleteFile(String),
    /// Lists files, from a page on. Answer: [`BatchAnswer::Files`].
    ListFiles(Option<String>),
    /// Downloads a file, which must be no larger than [`SizeLimits::body`](crate::policy::SizeLimits::body). Answer:
    /// [`BatchAnswer::Content`].
    DownloadFile(String),
    /// Makes a batch. Answer: [`BatchAnswer::Batch`].
    Create(NewBatch),
    /// Adds requests to a batch that was made without (xAI). Answer: [`BatchAnswer::Done`].
    Add {
        /// The batch.
        id: String,
        /// Its requests, as lines.
        requests: BatchInput,
    },
    /// Describes a batch. Answer: [`BatchAnswer::Batch`].
    Retrieve(String),
    /// Cancels a batch. Answer: [`BatchAnswer::Batch`] or, from providers that describe nothing then, [`BatchAnswer::Done`].
    Cancel(String),
    /// Lists batches, from a page on. Answer: [`BatchAnswer::Batches`].
    List(Option<String>),
    /// Reads results. Each is an event; the answer is [`BatchAnswer::Done`].
    Results(ResultSource),
}

/// A batch to be made.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NewBatch {
    /// Its requests.
    pub input: BatchInput,
    /// The model of its requests, for providers that want it beside them.
    pub model: String,
    /// A name by which the batch is found again in a list, kept by providers that have a place for it: letters, digits, `-` and
    /// `_`, at most 63.
    pub tag: String,
}

/// Where the requests of a batch are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchInput {
    /// In an uploaded file, by its id.
    File(String),
    /// In the call that makes the batch: the lines as the provider's encoder made them, each with a line feed behind.
    Lines(Bytes),
    /// In later calls: [`BatchCall::Add`].
    Later,
}

impl NewBatch {
    /// A batch of requests to a model, with a tag.
    #[must_use]
    pub fn new(input: BatchInput, model: impl Into<String>, tag: impl Into<String>) -> Self {
        NewBatch {
            input,
            model: model.into(),
            tag: tag.into(),
        }
    }
}

/// A further request of an upload that takes several.
#[derive(Clone, PartialEq)]
pub struct UploadStep {
    pub(crate) stage: UploadStage,
    pub(crate) file: NewFile,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum UploadStage {
    /// The bytes go to this address, which the server named.
    Send { to: Uri, id: String },
    /// The bytes are there.
    Finish { id: String },
}

/// The answer of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchAnswer {
    /// A file.
    File(StoredFile),
    /// A page of files, and what asks for the next page.
    Files(Vec<StoredFile>, Option<String>),
    /// The bytes of a file.
    Content(Bytes),
    /// A batch.
    Batch(Box<ProviderBatch>),
    /// A page of batches, and what asks for the next page.
    Batches(Vec<ProviderBatch>, Option<String>),
    /// Nothing but success.
    Done,
}

/// Whether the provider certainly did not process a call: the provider refused it, or the transport did not send it.
pub(crate) fn was_not_processed(error: &Error) -> bool {
    let was_refused = error
        .status()
        .is_some_and(|status| (400..500).contains(&status) && status != 408);
    let was_not_sent = error
        .transport()
        .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
    was_refused || was_not_sent
}

impl fmt::Debug for NewBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBatch")
            .field("input", &self.input)
            .field("model", &self.model)
            .field("tag", &self.tag)
            .finish()
    }
}

impl fmt::Debug for BatchInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchInput::File(id) => f.debug_tuple("File").field(id).finish(),
            // Not the requests: calls end up in logs (F113).
            BatchInput::Lines(lines) => f.debug_tuple("Lines").field(&lines.len()).finish(),
            BatchInput::Later => f.write_str("Later"),
        }
    }
}

impl fmt::Debug for UploadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: its query is a permission to write.
        f.debug_struct("UploadStep")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
