use std::{
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};
use unifiedai_pool::Alarm;
use unifiedai_transport::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(real)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
fn real() -> Instant {
    Instant::now()
}

/// A timer of the reactor, once one is needed.
#[derive(Default)]
pub struct Timer(Option<(async_io::Timer, Instant)>);

impl Alarm for Timer {
    fn now() -> Time {
        let origin = origin();
        Time::ZERO.saturating_add(real().saturating_duration_since(origin))
    }

    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // Further away than a timer can be set is never.
        let Some(due) = instant(at) else {
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

fn instant(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    origin().checked_add(at.saturating_since(Time::ZERO))
}
