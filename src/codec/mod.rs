//! Framing: bytes to frames. This module does no I/O and knows no providers.
//!
//! All decoders have the same interface. `next` takes bytes off the front of a chunk and returns the next frame,
//! borrowed from the chunk if the chunk contains all of it. `finish` reports what the end of the body means. Chunk
//! boundaries make no difference, no byte is scanned twice, and the buffer for an incomplete frame has the limit
//! given to `new`. An error is final: later calls return it again.

mod buffer;
pub(crate) mod decimal;
#[cfg(feature = "bedrock")]
pub mod event_stream;
#[cfg(feature = "http1-codec")]
pub mod http1;
pub mod ndjson;
pub mod percent;
pub(crate) mod rfc3339;
pub mod sse;

/// Test helper: shows that chunk boundaries make no difference.
#[cfg(test)]
mod chunking {
    use std::fmt::Debug;

    /// The result of `decode` for a stream. Checks that it is the same for the complete stream, byte by byte, and split
    /// in two at every position.
    pub(super) fn every_chunking<T: Debug + PartialEq>(
        stream: &[u8],
        decode: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
    ) -> T {
        let whole = decode(&mut [stream].into_iter());
        assert_eq!(decode(&mut stream.chunks(1)), whole, "byte by byte");
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            let split = decode(&mut [head, tail].into_iter());
            assert_eq!(split, whole, "split at {at}");
        }
        whole
    }
}
