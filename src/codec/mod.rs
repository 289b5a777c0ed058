//! Framing: bytes in, frames out. Nothing here knows a provider, and nothing here does I/O.
//!
//! All decoders work alike: `next` takes bytes off the front of a chunk and lends the next frame,
//! from the chunk itself where it lies whole in it; `finish` says what the end of the body means.
//! Any chunking gives the same frames, no byte is scanned twice, and what is kept of an unfinished
//! frame is bounded by the limit given to `new`. An error is final: later calls repeat it.

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
