use crate::StreamEvent;
use bytes::Bytes;
use http::{Request, response};
use std::time::SystemTime;
use unifiedai_transport::{Limits, Time, TransportError};

/// What the driver must do next.
#[expect(
    clippy::large_enum_variant,
    reason = "one step at a time exists, and a box would cost an allocation per attempt"
)]
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Step {
    /// Send this request within these limits, dropping any response that is still open; then
    /// [`handle`](super::Exchange::handle) [`Input::Head`] or [`Input::Failed`].
    Send {
        /// The request, authenticated.
        request: Request<Bytes>,
        /// What this attempt may take.
        limits: Limits,
    },
    /// Read the response on, until `deadline` at the latest; then handle [`Input::Body`], [`Input::End`] or
    /// [`Input::Failed`], or just poll again once the deadline has passed.
    Receive {
        /// When to give up waiting.
        deadline: Time,
    },
    /// Drop any response, do nothing until then, and poll again.
    Sleep {
        /// When to poll again.
        until: Time,
    },
    /// Hand this to the application and poll again.
    Event(StreamEvent),
    /// Drop any response and call [`into_result`](super::Exchange::into_result).
    Done,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The response's head arrived.
    Head(response::Parts),
    /// More of its body arrived.
    Body(Bytes),
    /// Its body ended where its HTTP framing says that it does.
    End,
    /// The attempt failed.
    Failed(TransportError),
}

impl From<Result<Option<Bytes>, TransportError>> for Input {
    /// What reading a body gave.
    fn from(read: Result<Option<Bytes>, TransportError>) -> Self {
        match read {
            Ok(Some(bytes)) => Input::Body(bytes),
            Ok(None) => Input::End,
            Err(error) => Input::Failed(error),
        }
    }
}

/// When a call begins, and the seed of its jitter. All limits and times count from then. The drivers of this crate begin a
/// call when it is first driven, and move both clocks on to that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Start {
    /// The driver's monotonic clock.
    pub now: Time,
    /// The wall clock at the same moment, for signatures and dates.
    pub wall: SystemTime,
    /// Any number; the same one gives the same waits.
    pub seed: u64,
}

impl Start {
    /// A call that begins now.
    #[must_use]
    pub fn new(now: Time, wall: SystemTime, seed: u64) -> Self {
        Start { now, wall, seed }
    }
}
