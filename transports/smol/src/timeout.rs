//! Timers of smol's reactor.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};
use unifiedai_http::clock;
use unifiedai_transport::Time;

/// A timer of the reactor, once one is needed.
#[derive(Debug, Default)]
pub struct Timer(Option<(async_io::Timer, Instant)>);

impl unifiedai_http::Timer for Timer {
    fn now() -> Time {
        clock::now()
    }

    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // Further away than a timer can be set is never.
        let Some(due) = clock::instant_of(at) else {
            return Poll::Pending;
        };
        let (timer, set) = self
            .0
            .get_or_insert_with(|| (async_io::Timer::at(due), due));
        if *set > due {
            timer.set_at(due);
            *set = due;
        }
        loop {
            // A timer that has fired stays silent until it is set again.
            if timer.will_fire() {
                ready!(Pin::new(&mut *timer).poll(cx));
            }
            if *set >= due {
                return Poll::Ready(());
            }
            timer.set_at(due);
            *set = due;
        }
    }
}
