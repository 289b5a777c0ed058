//! Embeddings: vectors of texts.

pub(crate) mod request;
pub(crate) mod vectors;

pub use request::{EmbedEncoding, EmbeddingInputType};
