//! Why a stream cannot be read on.

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The checksum of the lengths is wrong: where the message ends is not known.
    #[error("an event-stream prelude has a wrong checksum")]
    PreludeChecksum,
    /// The checksum of the message is wrong.
    #[error("an event-stream message has a wrong checksum")]
    MessageChecksum,
    /// The headers would not fit into the message.
    #[error("an event-stream message of {total} bytes cannot have {headers} bytes of headers")]
    #[non_exhaustive]
    Lengths {
        /// The claimed length of the message, in bytes.
        total: u32,
        /// The claimed length of its headers, in bytes.
        headers: u32,
    },
    /// The message is larger than the limit of [`EventStreamDecoder::new`](super::EventStreamDecoder::new).
    #[error("an event-stream message of {total} bytes is larger than {limit}")]
    #[non_exhaustive]
    MessageTooLarge {
        /// The claimed length, in bytes.
        total: u32,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The headers are larger than the 128 KiB that the specification allows.
    #[error("the {headers} bytes of headers of an event-stream message are larger than 128 KiB")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The claimed length, in bytes.
        headers: u32,
    },
    /// A header is cut short, has an unknown type or too long a value, or is not UTF-8 where it
    /// must be.
    #[error("an event-stream message has a malformed header: {problem}")]
    #[non_exhaustive]
    Header {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The body ended within a message.
    #[error("the event stream ended {pending} bytes into a message")]
    #[non_exhaustive]
    Truncated {
        /// How many bytes of the message arrived.
        pending: usize,
    },
}

pub(super) fn malformed(problem: &'static str) -> EventStreamError {
    EventStreamError::Header { problem }
}
