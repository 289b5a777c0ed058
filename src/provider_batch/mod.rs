//! Provider batches: many requests that a provider takes as one job and answers within a day, at about half the price.
//!
//! Not to be confused with [`batch`](crate::batch), which makes many live calls a few at a time. A provider batch is made of
//! calls ([`BatchCall`]) that go through the same machine as a chat: [`Exchange::batch_call`](crate::sans_io::Exchange::batch_call).
//! What they mean is the same for every provider: a [`ProviderBatch`] has a [`BatchState`], and each of its requests ends as an
//! [`ItemOutcome`].
//!
//! A line of a batch is what the provider's chat encoder makes, and a result is read by the provider's chat decoder: the
//! answer that comes by a batch is the answer that would have come by a call.

mod call;
mod file;
mod item;
mod run;

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

pub use call::{BatchAnswer, BatchCall, BatchInput, NewBatch, UploadStep};
pub(crate) use call::{UploadStage, was_not_processed};
pub use file::{NewFile, StoredFile};
pub use item::{BatchItem, ItemOutcome, decode_chat, decode_embeddings};
pub use run::{BatchRun, RunOptions, RunProgress, RunState, RunStep};

/// A batch, as its provider describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderBatch {
    /// The provider's id for it.
    pub id: String,
    /// How far it is.
    pub state: BatchState,
    /// How far it is, in the provider's own word. Empty where the provider has none (xAI).
    pub native_state: String,
    /// How many requests ended how. A hint: providers count late, and some count nothing before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BatchCounts>,
    /// The id of the file with its requests, if it was made from one.
    pub input_file: Option<String>,
    /// The name or tag that its creator gave it: [`NewBatch::tag`]. `None` where the provider keeps none.
    pub tag: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created_at: Option<u64>,
    /// When the provider gives up, in seconds since 1970.
    pub expires_at: Option<u64>,
    /// Where its results are. All of them have to be read: failures are in another file than answers with most providers.
    pub results: Vec<ResultSource>,
    /// Why it failed as a whole, in the provider's words.
    pub message: Option<String>,
    /// How long to wait before asking again, if the provider says so.
    #[serde(skip)]
    pub poll_after: Option<Duration>,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchState {
    /// The provider checks the requests.
    Validating,
    /// It waits for its turn, or for its first request.
    Queued,
    /// It runs. A word that this version does not know counts as this.
    #[default]
    Running,
    /// All requests ran; the results are being written.
    Finalizing,
    /// Its cancellation was asked for; what runs is finished.
    Cancelling,
    /// It is over. Each request has an outcome of its own.
    Completed,
    /// It is over, and the provider says that not all requests ran.
    PartlyCompleted,
    /// It failed as a whole.
    Failed,
    /// Its time passed. What was done by then has results.
    Expired,
    /// It was cancelled. What was done by then has results.
    Cancelled,
}

impl BatchState {
    /// Whether nothing happens to it any more.
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

    /// The state in one word, as it is in JSON.
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

/// How many requests of a batch ended how. A count that the provider does not give is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchCounts {
    /// All requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Those that are not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Those that were answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<u64>,
    /// Those that were refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Those whose time passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// Those that were cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<u64>,
}

/// Where results of a batch are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResultSource {
    /// A file of lines, by its id.
    File(String),
    /// Lines that belong to the batch of this id and to no file.
    Lines(String),
    /// Pages that belong to a batch.
    Pages {
        /// The batch's id.
        batch: String,
        /// What asks for this page; `None` for the first.
        page: Option<String>,
    },
    /// The description of the batch of this id itself.
    Inline(String),
}

impl ResultSource {
    /// Whether the results come line by line, so that their whole length does not matter.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self, ResultSource::File(_) | ResultSource::Lines(_))
    }
}
