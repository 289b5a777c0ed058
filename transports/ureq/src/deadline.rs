//! The limits of the call that runs on this thread, brought to where its connection waits.
//!
//! ureq takes time limits when a request is sent. The contract gives one for each chunk, so the connections of this crate ask here.

use std::{cell::Cell, time::Duration};
use unifiedai_http::clock;
use unifiedai_transport::Time;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of the request was written.
    Unsent,
    /// A part of it was.
    Sent,
    /// The head of the response has arrived.
    Answered,
    /// After the head the server closed the connection.
    Ended,
}

#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) stage: Stage,
    /// The limit for connecting.
    pub(crate) connect_by: Time,
    /// The limit for what follows.
    by: Time,
    /// True while a connection is set up, so that what is written is not the request.
    connecting: bool,
    /// True until a wait was granted one more millisecond after its limit: once a call, not for each byte of a peer that drips.
    overtime: bool,
    /// True while the call's connection may serve another one.
    pub(crate) keeps: bool,
}

const NONE: Call = Call {
    stage: Stage::Unsent,
    connect_by: Time::MAX,
    by: Time::MAX,
    connecting: false,
    overtime: true,
    keeps: true,
};

thread_local! {
    static CALL: Cell<Call> = const { Cell::new(NONE) };
}

/// Runs a part of a call, and gives how far it came.
pub(crate) fn within<T>(
    stage: Stage,
    connect_by: Time,
    by: Time,
    work: impl FnOnce() -> T,
) -> (T, Stage) {
    let outer = CALL.replace(Call {
        stage,
        connect_by,
        by,
        ..NONE
    });
    let done = work();
    (done, CALL.replace(outer).stage)
}

/// Sets up a connection within the limit for connecting.
pub(crate) fn connecting<T>(work: impl FnOnce() -> T) -> T {
    let call = CALL.get();
    CALL.set(Call {
        connecting: true,
        ..call
    });
    let done = work();
    CALL.set(call);
    done
}

/// The call that runs on this thread.
pub(crate) fn current() -> Call {
    CALL.get()
}

/// Bytes were written to a socket.
pub(crate) fn wrote() {
    let call = CALL.get();
    if call.stage == Stage::Unsent && !call.connecting {
        CALL.set(Call {
            stage: Stage::Sent,
            ..call
        });
    }
}

/// The call's connection must not serve another one.
pub(crate) fn discard() {
    let call = CALL.get();
    CALL.set(Call {
        keeps: false,
        ..call
    });
}

/// The server has closed the connection.
pub(crate) fn ended() {
    let call = CALL.get();
    if call.stage == Stage::Answered {
        CALL.set(Call {
            stage: Stage::Ended,
            ..call
        });
    }
}

/// How long a socket may wait now: `None` without a limit, zero once the time is over.
pub(crate) fn left() -> Option<Duration> {
    let call = CALL.get();
    let at = if call.connecting {
        call.connect_by
    } else {
        call.by
    };
    if at == Time::MAX {
        return None;
    }
    let left = at.saturating_since(clock::now());
    if left.is_zero() && call.overtime && !call.connecting {
        CALL.set(Call {
            overtime: false,
            ..call
        });
        return Some(Duration::from_millis(1));
    }
    Some(round_up(left))
}

/// To whole milliseconds: a socket's timeout is no finer, and to set the same one again needs no system call.
fn round_up(left: Duration) -> Duration {
    let nanos = left.subsec_nanos() % 1_000_000;
    let missing = 1_000_000_u32.saturating_sub(nanos) % 1_000_000;
    left.saturating_add(Duration::from_nanos(missing.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_milliseconds() {
        let micros = Duration::from_micros;
        assert_eq!(round_up(micros(0)), micros(0));
        assert_eq!(round_up(micros(1)), micros(1000));
        assert_eq!(round_up(micros(1500)), micros(2000));
        assert_eq!(round_up(micros(2000)), micros(2000));
        assert_eq!(round_up(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn overtime_is_granted_once() {
        let (waits, stage) = within(Stage::Sent, Time::ZERO, Time::ZERO, || [left(), left()]);
        let wait = |millis| Some(Duration::from_millis(millis));
        assert_eq!(waits, [wait(1), wait(0)]);
        assert_eq!(stage, Stage::Sent);
    }

    #[test]
    fn what_is_written_to_set_up_a_connection_is_not_the_request() {
        let run = |work: fn()| within(Stage::Unsent, Time::MAX, Time::MAX, work).1;
        assert_eq!(run(|| connecting(wrote)), Stage::Unsent);
        assert_eq!(run(wrote), Stage::Sent);
        assert_eq!(run(ended), Stage::Unsent);
    }
}
