use std::{
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, Sleep};
use unifiedai_pool::Alarm;
use unifiedai_transport::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Taken from the real clock and put into the past, so that no runtime with a paused clock is before it.
fn origin() -> Instant {
    *ORIGIN.get_or_init(|| {
        let now = Instant::from_std(real());
        now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
    })
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
fn real() -> std::time::Instant {
    std::time::Instant::now()
}

/// A timer of the runtime, once one is needed.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Alarm for Timer {
    /// On tokio's clock, which a test can pause.
    fn now() -> Time {
        Time::ZERO.saturating_add(Instant::now().saturating_duration_since(origin()))
    }

    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // Further away than a timer can be set is never.
        let Some(due) = instant(at) else {
            return Poll::Pending;
        };
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

fn instant(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    origin().checked_add(at.saturating_since(Time::ZERO))
}
