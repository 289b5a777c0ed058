//! Server-sent events, as in the [WHATWG specification][spec], without its reconnection.
//!
//! Every byte is looked at once and only the value of `data` and `event` lines is ever kept:
//! comments, unknown fields and their names cost no memory however long they are.
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
    /// The value of the last `event` line; empty where there was none, which means `message`.
    pub event: &'a str,
    /// The values of the `data` lines joined by `\n`; never empty.
    pub data: &'a str,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// What must be kept of one event outgrew the limit of [`SseDecoder::new`].
    #[error("a server-sent event is larger than {limit} bytes")]
    #[non_exhaustive]
    EventTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The data or the name of an event is not UTF-8. It is not repaired: a tool call with a
    /// replaced character is a different command.
    #[error("a server-sent event is not valid UTF-8 after byte {valid_up_to} of its value")]
    #[non_exhaustive]
    InvalidUtf8 {
        /// How many bytes of the value are valid.
        valid_up_to: usize,
    },
}
