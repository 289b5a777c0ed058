//! Provider batches: many requests that a provider takes as one job and answers within a day, at about half the price.
//!
//! Not to be confused with [`batch`](crate::batch), which makes many live calls a few at a time. A provider batch is made of
//! calls ([`BatchCall`]) that go through the same machine as a chat: [`Exchange::batch_call`](crate::sans_io::Exchange::batch_call).
//! What they mean is the same for every provider: a [`ProviderBatch`] has a [`BatchState`], and each of its requests ends as an
//! [`ItemOutcome`].
//!
//! A line of a batch is what the provider's chat encoder makes, and a result is read by the provider's chat decoder: the
//! answer that comes by a batch is the answer that would have come by a call.

mod batch;
mod call;
mod file;
mod item;
mod run;

pub use batch::{BatchCounts, BatchState, ProviderBatch, ResultSource};
pub(crate) use call::UploadStage;
pub use call::{BatchAnswer, BatchCall, BatchInput, NewBatch, UploadStep};
pub use file::{NewFile, StoredFile};
pub use item::{BatchItem, ItemOutcome, decode_chat, decode_embeddings};
pub use run::{BatchRun, RunOptions, RunProgress, RunState, RunStep};
