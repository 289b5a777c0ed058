//! The limits of the call that runs on this thread, brought to where its connection waits.
//!
//! ureq takes time limits when a request is sent. The contract gives one for each chunk, so the connections of this crate ask here.

use crate::error;
use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    time::Duration,
};
use unifiedai_http::{clock, target::Target, upload::Upload};
use unifiedai_transport::{CancelHandle, Time, TransportError, TransportErrorKind};
use ureq::Error;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A connection is set up, so that what is written is not the request.
    Connecting,
    /// Nothing of the request was written.
    Unsent,
    /// A part of it was.
    Sent,
    /// The head of the response has arrived.
    Answered,
    /// After the head the server closed the connection.
    Ended,
}

/// A part of a call: sending it, or reading a chunk of its response.
pub(crate) struct Call {
    pub(crate) stage: Stage,
    /// The limit for connecting.
    pub(crate) connect_by: Time,
    /// The limit for what follows.
    pub(crate) by: Time,
    /// True if its connection may serve another call afterwards.
    pub(crate) keeps: bool,
    /// What another thread cancels the call with.
    pub(crate) cancel: Option<CancelHandle>,
    /// The request's body, if it is streamed. It moves the limit.
    pub(crate) upload: Option<Upload>,
    /// True once the server takes no more of the request.
    pub(crate) write_failed: bool,
}

thread_local! {
    static CALL: RefCell<Call> = const {
        RefCell::new(Call {
            stage: Stage::Unsent,
            connect_by: Time::MAX,
            by: Time::MAX,
            keeps: true,
            cancel: None,
            upload: None,
            write_failed: false,
        })
    };
}

/// What a wait has whose limit has passed already, so that it takes what has arrived.
const OVERTIME: Duration = Duration::from_millis(1);

impl Call {
    /// Does this part of the call on this thread. Errors name the target.
    pub(crate) fn run<T>(
        mut self,
        target: &Target,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, TransportError> {
        if self.by != Time::MAX {
            self.by = self.by.max(clock::now().saturating_add(OVERTIME));
        }
        // While a thread's own values are dropped, this one may be gone.
        let Ok(outer) = CALL.try_with(|call| call.replace(self)) else {
            return Err(error::cancelled(Stage::Ended, target));
        };
        let done = work();
        let call = CALL.replace(outer);
        let stage = call.stage;
        // A socket that was shut down to cancel the call looks like the end of a body without a length.
        if call.is_cancelled() {
            return Err(error::cancelled(stage, target));
        }
        done.map_err(|failure| {
            let failure = error::from_ureq(failure, stage, target);
            let is_late = matches!(failure.kind(), TransportErrorKind::Timeout(_));
            let upload = call.upload.as_ref().filter(|_| is_late);
            let late = upload.and_then(|upload| upload.timeout(target));
            late.unwrap_or(failure)
        })
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled)
    }
}

/// Looks at the call that runs on this thread, or changes it.
pub(crate) fn call<T>(work: impl FnOnce(&mut Call) -> T) -> T {
    CALL.with_borrow_mut(work)
}

pub(crate) fn stage() -> Stage {
    call(|call| call.stage)
}

/// The call has come so far, if it had come so far before.
pub(crate) fn advance(from: Stage, to: Stage) {
    call(|call| {
        if call.stage == from {
            call.stage = to;
        }
    });
}

/// How long this thread may wait now: `None` without a limit.
///
/// # Errors
/// `TimedOut` once the time is over, `ConnectionAborted` once the call is cancelled.
pub(crate) fn wait() -> io::Result<Option<Duration>> {
    let (at, is_cancelled) = call(|call| {
        let at = match call.stage {
            Stage::Connecting => call.connect_by,
            Stage::Unsent | Stage::Sent => {
                let moving = call.upload.as_ref().map(Upload::deadline);
                moving.unwrap_or(call.by)
            }
            _ => call.by,
        };
        (at, call.is_cancelled())
    });
    if is_cancelled {
        return Err(ErrorKind::ConnectionAborted.into());
    }
    if at == Time::MAX {
        return Ok(None);
    }
    let left = at.saturating_since(clock::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(Some(whole_millis(left)))
}

/// A little more than `left`, in whole milliseconds: a socket's timeout is no finer, and to set the same one again needs no system call.
fn whole_millis(left: Duration) -> Duration {
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::whole_millis;
    use std::time::Duration;

    /// A wait that ends early would be repeated until the limit has passed, at the cost of a processor.
    #[test]
    fn waits_are_whole_milliseconds_and_never_shorter_than_what_is_left() {
        for (micros, millis) in [
            (1, 1),
            (999, 1),
            (1_000, 2),
            (1_001, 2),
            (59_999_999, 60_000),
        ] {
            let left = Duration::from_micros(micros);
            assert_eq!(
                whole_millis(left),
                Duration::from_millis(millis),
                "{left:?}"
            );
            assert!(whole_millis(left) > left);
        }
        // Two reads within a millisecond set one timeout.
        let (first, second) = (Duration::from_micros(7_900), Duration::from_micros(7_100));
        assert_eq!(whole_millis(first), whole_millis(second));
        assert!(whole_millis(Duration::MAX) >= Duration::from_millis(u64::MAX));
    }
}
