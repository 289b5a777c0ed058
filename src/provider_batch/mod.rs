//! Provider batches: many requests that a provider accepts as one job and completes within a day, at about half the price.
//!
//! The module [`batch`](crate::batch) is different: it makes many live calls, a limited number at a time. A provider batch
//! is created, polled and read by calls ([`BatchCall`]), which use the same machine as a chat:
//! [`Exchange::batch_call`](crate::sans_io::Exchange::batch_call). The types are the same for every provider: a
//! [`ProviderBatch`] has a [`BatchState`], and each of its requests has an [`ItemOutcome`].
//!
//! The provider's chat encoder makes the lines of a batch, and the provider's chat decoder reads the results. A response
//! from a batch is therefore equal to the response of a live call.

mod call;
mod file;
mod item;
mod run;

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

pub use call::{
    BatchAnswer, BatchCall, BatchInput, NewBatch, ResultsStep, RetrieveStep, UploadStep,
};
pub(crate) use call::{UploadStage, was_not_processed};
pub use file::{NewFile, StoredFile};
pub use item::{BatchItem, ItemOutcome, decode_chat, decode_embeddings};
pub use run::{BatchRun, RequestIter, RequestSource, RunOptions, RunProgress, RunState, RunStep};

/// A batch, as its provider describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderBatch {
    /// The provider's id for it.
    pub id: String,
    /// Its state.
    pub state: BatchState,
    /// The provider's own value for the state. Empty if the provider has none (xAI).
    pub native_state: String,
    /// The number of requests by outcome. The counts are approximate: providers update them late, some only at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BatchCounts>,
    /// The id of the file with its requests, if it was created from a file.
    pub input_file: Option<String>,
    /// The tag from its creation, [`NewBatch::tag`]. `None` if the provider stores no tag.
    pub tag: Option<String>,
    /// When it was created, in seconds since 1970.
    pub created_at: Option<u64>,
    /// When it expires, in seconds since 1970.
    pub expires_at: Option<u64>,
    /// Where its results are. Read every source: most providers write failures and responses to different files.
    pub results: Vec<ResultSource>,
    /// The provider's message, if the entire batch failed.
    pub message: Option<String>,
    /// How long to wait before the next poll, if the provider states it.
    #[serde(skip)]
    pub poll_after: Option<Duration>,
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchState {
    /// The provider validates the requests.
    Validating,
    /// The batch is queued, or has no requests yet.
    Queued,
    /// The batch runs. Unknown values are read as this state.
    #[default]
    Running,
    /// All requests ran, and the provider writes the results.
    Finalizing,
    /// Cancellation was requested. Requests in progress are completed.
    Cancelling,
    /// The batch ended. Each request has its own outcome.
    Completed,
    /// The batch ended, and the provider reports that some requests did not run.
    PartlyCompleted,
    /// The entire batch failed.
    Failed,
    /// The batch expired. Requests that ran before have results.
    Expired,
    /// The batch was cancelled. Requests that ran before have results.
    Cancelled,
}

impl BatchState {
    /// Whether the state is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            BatchState::Completed
                | BatchState::PartlyCompleted
                | BatchState::Failed
                | BatchState::Expired
                | BatchState::Cancelled
        )
    }

    /// The state's name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BatchState::Validating => "validating",
            BatchState::Queued => "queued",
            BatchState::Running => "running",
            BatchState::Finalizing => "finalizing",
            BatchState::Cancelling => "cancelling",
            BatchState::Completed => "completed",
            BatchState::PartlyCompleted => "partly_completed",
            BatchState::Failed => "failed",
            BatchState::Expired => "expired",
            BatchState::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a batch's requests by outcome. A count that the provider does not report is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchCounts {
    /// All requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Requests without an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Requests with a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<u64>,
    /// Requests that were refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Requests that expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// Requests that were cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<u64>,
}

/// A source of a batch's results.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResultSource {
    /// A file of lines, by the file's id.
    File(String),
    /// The lines of a batch without a file, by the batch's id.
    Lines(String),
    /// The pages of a batch's results.
    Pages {
        /// The batch's id.
        batch: String,
        /// The token of this page; `None` for the first.
        page: Option<String>,
    },
    /// The results in the batch's description, by the batch's id.
    Inline(String),
}

impl ResultSource {
    /// Whether the results are read line by line. Their total size is then not limited.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self, ResultSource::File(_) | ResultSource::Lines(_))
    }
}
