//! What the connection has to know of the call that uses it: until when to wait, and how far the request got.
//!
//! ureq does all of a call on the caller's thread and has no way to hand such things down, so they lie in a
//! thread-local for the call's duration.

use std::cell::Cell;
use unifiedai_transport::{Limits, Time};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) stage: Stage,
    connect: Time,
    io: Time,
    overtime: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was written on a connection that stands.
    Unsent,
    /// Something was.
    Sent,
    /// The head has arrived.
    Answered,
    /// And then the connection ended.
    Ended,
}

thread_local! {
    static CURRENT: Cell<Option<Call>> = const { Cell::new(None) };
}

impl Call {
    pub(crate) fn sending(limits: &Limits) -> Call {
        let head = limits.head.min(limits.total);
        Call {
            stage: Stage::Unsent,
            connect: limits.connect.min(head),
            io: head,
            overtime: false,
        }
    }

    pub(crate) fn reading(deadline: Time) -> Call {
        Call {
            stage: Stage::Answered,
            connect: deadline,
            io: deadline,
            overtime: false,
        }
    }

    /// Runs `work` as part of this call and tells how far it got.
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> (T, Stage) {
        let outer = CURRENT.replace(Some(self));
        let done = work();
        let stage = CURRENT.replace(outer).map_or(self.stage, |call| call.stage);
        (done, stage)
    }
}

/// The request is about to be written.
pub(crate) fn mark_sent() {
    if let Some(call) = CURRENT.get().filter(|call| call.stage == Stage::Unsent) {
        CURRENT.set(Some(Call {
            stage: Stage::Sent,
            ..call
        }));
    }
}

/// The server has closed the connection.
pub(crate) fn mark_ended() {
    if let Some(call) = CURRENT.get().filter(|call| call.stage == Stage::Answered) {
        CURRENT.set(Some(Call {
            stage: Stage::Ended,
            ..call
        }));
    }
}

/// Whether the request is still to be written.
pub(crate) fn is_unsent() -> bool {
    CURRENT
        .get()
        .is_some_and(|call| call.stage == Stage::Unsent)
}

/// Whether something of the request was written, so that the call has a connection.
pub(crate) fn is_under_way() -> bool {
    CURRENT
        .get()
        .is_some_and(|call| call.stage != Stage::Unsent)
}

/// Until when to wait for the connection.
pub(crate) fn connect_deadline() -> Time {
    CURRENT.get().map_or(Time::MAX, |call| call.connect)
}

/// Until when to wait for the socket, and for what.
pub(crate) fn io_deadline() -> (Time, Stage) {
    CURRENT
        .get()
        .map_or((Time::MAX, Stage::Answered), |call| (call.io, call.stage))
}

/// Whether a call whose time is up may still look at what has arrived: once.
pub(crate) fn take_overtime() -> bool {
    match CURRENT.get() {
        Some(call) if !call.overtime => {
            CURRENT.set(Some(Call {
                overtime: true,
                ..call
            }));
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_wins_and_the_stage_is_told() {
        let mut limits = Limits::NONE;
        limits.connect = Time::from_nanos(5);
        limits.head = Time::from_nanos(3);
        let (seen, stage) = Call::sending(&limits).run(|| {
            let seen = (connect_deadline(), io_deadline().0);
            mark_sent();
            seen
        });
        assert_eq!(seen, (Time::from_nanos(3), Time::from_nanos(3)));
        assert_eq!(stage, Stage::Sent);
        assert_eq!(connect_deadline(), Time::MAX);
    }
}
