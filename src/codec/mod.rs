//! Framing: bytes to frames. This module does no I/O and knows no providers.
//!
//! All decoders have the same interface. `next` takes bytes off the front of a chunk and returns the next frame,
//! borrowed from the chunk if the chunk contains all of it. `finish` reports what the end of the body means. Chunk
//! boundaries make no difference, no byte is scanned twice, and the buffer for an incomplete frame has the limit
//! given to `new`. An error is final: later calls return it again.

mod buffer;
#[cfg(test)]
mod chunking;
pub(crate) mod decimal;
#[cfg(feature = "bedrock")]
pub mod event_stream;
#[cfg(feature = "http1-codec")]
pub mod http1;
pub mod ndjson;
pub mod percent;
pub(crate) mod rfc3339;
pub mod sse;
