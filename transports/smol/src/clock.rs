use async_io::Timer;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};
use unifiedai_transport::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(real)
}

pub(crate) fn now() -> Time {
    let origin = origin();
    Time::ZERO.saturating_add(real().saturating_duration_since(origin))
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

/// Fires at a point that may move. Moving it later costs nothing until the old point has come.
#[derive(Default)]
pub(crate) struct Alarm(Option<(Timer, Instant)>);

impl Alarm {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // Further away than a timer can be set is never.
        let Some(due) = instant(at) else {
            return Poll::Pending;
        };
        let (timer, set) = self.0.get_or_insert_with(|| (Timer::at(due), due));
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

    /// What `work` gives, or `None` once `at` has come.
    pub(crate) async fn within<T>(&mut self, at: Time, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(cx, at).map(|()| None),
        })
        .await
    }
}

fn instant(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    origin().checked_add(at.saturating_since(Time::ZERO))
}
