//! Timers on tokio's clock.

use std::{
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, Sleep},
};
use unifiedai_http::clock;
use unifiedai_transport::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Taken from the real clock and put into the past, so that no runtime with a paused clock is before it.
fn origin() -> Instant {
    *ORIGIN.get_or_init(|| {
        let now = Instant::from_std(clock::instant());
        now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
    })
}

fn instant(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    origin().checked_add(at.saturating_since(Time::ZERO))
}

/// A timer of the runtime in which it is polled, once one is needed.
#[derive(Debug, Default)]
pub struct Timer(Option<(Id, Pin<Box<Sleep>>)>);

impl unifiedai_http::Timer for Timer {
    /// On tokio's clock, which a test can pause.
    fn now() -> Time {
        Time::ZERO.saturating_add(Instant::now().saturating_duration_since(origin()))
    }

    /// Outside a runtime all time is over.
    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        // Further away than a timer can be set is never.
        let Some(due) = instant(at) else {
            return Poll::Pending;
        };
        let Ok(runtime) = Handle::try_current() else {
            return Poll::Ready(());
        };
        // A timer of another runtime fires only while that one runs, and panics once it has ended.
        let sleep = match &mut self.0 {
            Some((id, sleep)) if *id == runtime.id() => sleep,
            timer => {
                let sleep = Box::pin(tokio::time::sleep_until(due));
                &mut timer.insert((runtime.id(), sleep)).1
            }
        };
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
