//! Server-sent events according to the [WHATWG specification][spec], without its reconnection.
//!
//! Every byte is examined once. Only the values of `data` and `event` lines are stored; comments, unknown fields and
//! their names take no memory.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

mod decoder;
#[cfg(test)]
mod spec_tests;

pub use decoder::SseDecoder;

/// One event of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// The value of the last `event` line; empty if there was none, which means `message`.
    pub event: &'a str,
    /// The values of the `data` lines joined by `\n`; never empty.
    pub data: &'a str,
}

/// Why a stream cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// The stored part of an event exceeds the limit of [`SseDecoder::new`].
    #[error("a server-sent event is larger than {limit} bytes")]
    #[non_exhaustive]
    EventTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The data or the name of an event is not UTF-8. It is not repaired, because a tool call with a replaced
    /// character is a different command.
    #[error("a server-sent event is not valid UTF-8 after byte {valid_up_to} of its value")]
    #[non_exhaustive]
    InvalidUtf8 {
        /// The number of valid bytes at the beginning of the value.
        valid_up_to: usize,
    },
}
