//! The binary frames of `application/vnd.amazon.eventstream`, according to the [Amazon event stream
//! specification][spec].
//!
//! ```text
//! | total length u32 | headers length u32 | CRC of these 8 bytes u32 | headers | payload | CRC of everything before u32 |
//! ```
//!
//! [spec]: https://smithy.io/2.0/aws/amazon-eventstream.html

mod decoder;
mod encode;
mod message;
#[cfg(test)]
mod testing;

pub use self::{decoder::EventStreamDecoder, encode::encode_message, message::Message};
pub use message::HeaderValue;

// Errors of the decoder.

/// Why a stream cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The checksum of the lengths is wrong, so the end of the message is unknown.
    #[error("an event-stream prelude has a wrong checksum")]
    PreludeChecksum,
    /// The checksum of the message is wrong.
    #[error("an event-stream message has a wrong checksum")]
    MessageChecksum,
    /// The headers do not fit into the message.
    #[error("an event-stream message of {total} bytes cannot have {headers} bytes of headers")]
    #[non_exhaustive]
    Lengths {
        /// The announced length of the message, in bytes.
        total: u32,
        /// The announced length of its headers, in bytes.
        headers: u32,
    },
    /// The message exceeds the limit of [`EventStreamDecoder::new`](EventStreamDecoder::new).
    #[error("an event-stream message of {total} bytes is larger than {limit}")]
    #[non_exhaustive]
    MessageTooLarge {
        /// The announced length, in bytes.
        total: u32,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The headers exceed the 128 KiB that the specification allows.
    #[error("the {headers} bytes of headers of an event-stream message are larger than 128 KiB")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The announced length, in bytes.
        headers: u32,
    },
    /// A header is truncated, has an unknown type, too long a value, or a text that is not UTF-8.
    #[error("an event-stream message has a malformed header: {problem}")]
    #[non_exhaustive]
    Header {
        /// The problem.
        problem: &'static str,
    },
    /// The body ended inside a message.
    #[error("the event stream ended {pending} bytes into a message")]
    #[non_exhaustive]
    Truncated {
        /// The number of received bytes of the message.
        pending: usize,
    },
}

pub(super) fn malformed(problem: &'static str) -> EventStreamError {
    EventStreamError::Header { problem }
}
