//! The outcome of one request of a batch.

use crate::{
    ChatRequest, Error, Json, UnifiedChatResponse,
    policy::SizeLimits,
    provider::{DecodedEmbeddings, Provider},
    sans_io::decode_chat_body,
};
use bytes::Bytes;
use std::sync::Arc;

/// One request of a batch, and its outcome.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchItem<R = UnifiedChatResponse> {
    /// The id of the request. Results arrive in any order, so only the id identifies the request. Empty if the id in the
    /// provider's line could not be read.
    pub id: String,
    /// Its outcome.
    pub outcome: ItemOutcome<R>,
}

/// The outcome of one request.
#[derive(Debug)]
#[non_exhaustive]
pub enum ItemOutcome<R = UnifiedChatResponse> {
    /// The request has a response.
    Succeeded(Box<R>),
    /// The request was refused or failed. The error has the same kind as the error of a live call.
    Failed(Error),
    /// The batch expired before the request ran.
    Expired,
    /// The batch was cancelled before the request ran.
    Cancelled,
    /// The batch ended, and no result has the request's id.
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

    /// Reads the item's response. A response that cannot be read makes the item a failed one.
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
    /// The outcome's name: `succeeded`, `failed`, `expired`, `cancelled`, `lost`.
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

/// Reads the response of a chat with the provider's chat decoder. `request` is the request, if it is available; its options,
/// such as [`parse_think_tags`](ChatRequest::parse_think_tags), change how the response is read.
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

/// Reads the response of an embedding request.
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
