//! What became of one request of a batch.

use crate::{
    ChatRequest, Error, Json, UnifiedChatResponse,
    policy::SizeLimits,
    provider::{DecodedEmbeddings, Provider},
    sans_io::decode_chat_body,
};
use bytes::Bytes;
use std::sync::Arc;

/// One request of a batch, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchItem<R = UnifiedChatResponse> {
    /// The id that the request was given. Results come in any order: only this tells which is whose. Empty if the provider's
    /// line could not be read.
    pub id: String,
    /// What became of it.
    pub outcome: ItemOutcome<R>,
}

/// What became of one request.
#[derive(Debug)]
#[non_exhaustive]
pub enum ItemOutcome<R = UnifiedChatResponse> {
    /// It was answered.
    Succeeded(Box<R>),
    /// It was refused or failed. The error is of the kind that a call would have had.
    Failed(Error),
    /// The batch's time passed before its turn.
    Expired,
    /// The batch was cancelled before its turn.
    Cancelled,
    /// The batch is over, and no result names it.
    Lost,
}

impl<R> BatchItem<R> {
    /// An item.
    #[must_use]
    pub fn new(id: impl Into<String>, outcome: ItemOutcome<R>) -> Self {
        BatchItem {
            id: id.into(),
            outcome,
        }
    }

    /// The item with its answer read; an answer that cannot be read is a failure.
    #[must_use]
    pub fn and_then<S>(self, read: impl FnOnce(R) -> Result<S, Error>) -> BatchItem<S> {
        let outcome = match self.outcome {
            ItemOutcome::Succeeded(answer) => match read(*answer) {
                Ok(answer) => ItemOutcome::Succeeded(Box::new(answer)),
                Err(error) => ItemOutcome::Failed(error),
            },
            ItemOutcome::Failed(error) => ItemOutcome::Failed(error),
            ItemOutcome::Expired => ItemOutcome::Expired,
            ItemOutcome::Cancelled => ItemOutcome::Cancelled,
            ItemOutcome::Lost => ItemOutcome::Lost,
        };
        BatchItem {
            id: self.id,
            outcome,
        }
    }
}

impl<R> ItemOutcome<R> {
    /// The outcome in one word: `succeeded`, `failed`, `expired`, `cancelled`, `lost`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            ItemOutcome::Succeeded(_) => "succeeded",
            ItemOutcome::Failed(_) => "failed",
            ItemOutcome::Expired => "expired",
            ItemOutcome::Cancelled => "cancelled",
            ItemOutcome::Lost => "lost",
        }
    }
}

/// Reads the answer of a chat, as the provider's chat decoder reads it. `request` is the request that it answers, if it is at
/// hand: [`parse_think_tags`](ChatRequest::parse_think_tags), for one, is a wish of the request.
#[must_use]
pub fn decode_chat(
    provider: &dyn Provider,
    item: BatchItem<Json>,
    request: Option<&Arc<ChatRequest>>,
    sizes: &SizeLimits,
) -> BatchItem {
    item.and_then(|body| {
        let body = Bytes::copy_from_slice(body.as_str().as_bytes());
        decode_chat_body(provider, body, request, sizes)
    })
}

/// Reads the answer of a request for vectors.
#[must_use]
pub fn decode_embeddings(
    provider: &dyn Provider,
    item: BatchItem<Json>,
) -> BatchItem<DecodedEmbeddings> {
    item.and_then(|body| {
        let body = Bytes::copy_from_slice(body.as_str().as_bytes());
        provider.decode_embed(&body)
    })
}
