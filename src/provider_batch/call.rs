//! The calls of batch and file APIs, and their results.

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
    /// Uploads a file. Result: [`BatchAnswer::File`].
    UploadFile(NewFile),
    /// Continues an upload that needs several requests.
    ContinueUpload(UploadStep),
    /// Describes a file. Result: [`BatchAnswer::File`].
    RetrieveFile(String),
    /// Deletes a file. Result: [`BatchAnswer::Done`].
    DeleteFile(String),
    /// Lists one page of files; `None` is the first page. Result: [`BatchAnswer::Files`].
    ListFiles(Option<String>),
    /// Downloads a file of at most [`SizeLimits::body`](crate::policy::SizeLimits::body) bytes. Result:
    /// [`BatchAnswer::Content`].
    DownloadFile(String),
    /// Creates a batch. Result: [`BatchAnswer::Batch`].
    Create(NewBatch),
    /// Adds requests to a batch that was created without requests (xAI). Result: [`BatchAnswer::Done`].
    Add {
        /// The batch.
        id: String,
        /// Its requests, as lines.
        requests: BatchInput,
    },
    /// Describes a batch. Result: [`BatchAnswer::Batch`].
    Retrieve(String),
    /// Continues a description that needs several requests.
    ContinueRetrieve(RetrieveStep),
    /// Cancels a batch. Result: [`BatchAnswer::Batch`], or [`BatchAnswer::Done`] from providers that return no description.
    Cancel(String),
    /// Lists one page of batches; `None` is the first page. Result: [`BatchAnswer::Batches`].
    List(Option<String>),
    /// Lists one page of batches, to find the batch with this tag; `page` is as in [`List`](Self::List). Providers that can
    /// search (Bedrock) list only batches whose name contains the tag, the others list all. Result: [`BatchAnswer::Batches`].
    Find {
        /// The tag of the batch, [`NewBatch::tag`].
        tag: String,
        /// The token of the page; `None` for the first.
        page: Option<String>,
    },
    /// Reads results. Each result is an event; the call's own result is [`BatchAnswer::Done`].
    Results(ResultSource),
    /// Continues to read results from a URL that the server returned.
    ContinueResults(ResultsStep),
}

/// A batch to be created.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NewBatch {
    /// Its requests.
    pub input: BatchInput,
    /// The model of its requests, for providers that require it for the batch.
    pub model: String,
    /// A name that identifies the batch in a list: at most 63 letters, digits, `-` and `_`. Some providers do not store it.
    pub tag: String,
}

/// Where the requests of a batch are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchInput {
    /// In an uploaded file, by its id.
    File(String),
    /// In the call that creates the batch: the lines from the provider's encoder, each followed by a line feed.
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

/// A later request of an upload that needs several.
#[derive(Clone, PartialEq)]
pub struct UploadStep {
    pub(crate) stage: UploadStage,
    pub(crate) file: NewFile,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum UploadStage {
    /// Sends the bytes to this URL, which the server returned.
    Send { to: Uri, id: String },
    /// Completes the upload. The server has the bytes.
    Finish { id: String },
}

/// A later request of a description that needs several: the description without its results, and where they are listed.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrieveStep {
    pub(crate) batch: Box<ProviderBatch>,
    /// The folder of the results.
    pub(crate) folder: String,
    /// The token of the page of the list.
    pub(crate) page: Option<String>,
}

/// A later request for results: the URL of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct ResultsStep {
    pub(crate) from: Uri,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchAnswer {
    /// A file.
    File(StoredFile),
    /// A page of files, and the token of the next page.
    Files(Vec<StoredFile>, Option<String>),
    /// The bytes of a file.
    Content(Bytes),
    /// A batch.
    Batch(Box<ProviderBatch>),
    /// A page of batches, and the token of the next page.
    Batches(Vec<ProviderBatch>, Option<String>),
    /// The call succeeded and has no other result.
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
            // Without the requests, because calls are logged (F113).
            BatchInput::Lines(lines) => f.debug_tuple("Lines").field(&lines.len()).finish(),
            BatchInput::Later => f.write_str("Later"),
        }
    }
}

impl fmt::Debug for ResultsStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, because its query permits reading.
        f.debug_struct("ResultsStep").finish_non_exhaustive()
    }
}

impl fmt::Debug for UploadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, because its query permits writing.
        f.debug_struct("UploadStep")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
