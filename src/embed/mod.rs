//! Embeddings: texts as lists of numbers.

mod request;
mod response;
pub(crate) mod vectors;

pub use request::{EmbedEncoding, EmbedRequest, EmbeddingInputType};
pub use response::EmbedResponse;
