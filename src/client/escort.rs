use super::{
    limit::{Permit, Ticket},
    watch::Watch,
};
use crate::{Error, Input, StreamEvent, UnifiedChatResponse};
use std::{
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};
use unifiedai_transport::{CancelHandle, Interrupt, Time};

/// What a client puts around an exchange: a place among the calls that may run at once, and those who watch.
///
/// The place is asked for when the call is first driven and given back when this is dropped, whichever way that happens.
#[derive(Debug)]
pub(crate) struct Escort {
    // Dropped before the place: who counts calls at once sees this one end before the next begins.
    watch: Option<Box<Watch>>,
    place: Place,
    /// The end of the whole call: waiting for a place counts.
    deadline: Time,
}

#[derive(Debug)]
enum Place {
    /// Needed no more, or never.
    None,
    Wanted(Ticket),
    Held {
        _permit: Permit,
    },
}

impl Escort {
    /// A call that nobody limits or watches.
    pub(crate) const NONE: Escort = Escort {
        place: Place::None,
        watch: None,
        deadline: Time::MAX,
    };

    pub(crate) fn new(ticket: Option<Ticket>, watch: Option<Watch>, deadline: Time) -> Self {
        Escort {
            place: ticket.map_or(Place::None, Place::Wanted),
            watch: watch.map(Box::new),
            deadline,
        }
    }

    /// Whether the call still has to wait for a place.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.place, Place::Wanted(_))
    }

    /// When waiting is over even without a place: the exchange then finds its own time up.
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    /// Waits for a place without blocking; ready at once where none is needed.
    pub(crate) fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Place::Wanted(ticket) = &mut self.place else {
            return Poll::Ready(());
        };
        ticket.poll_permit(cx).map(|permit| {
            self.place = Place::Held { _permit: permit };
        })
    }

    /// Waits for a place, blocking this thread until the deadline at the latest, or until the call is cancelled.
    pub(crate) fn wait(&mut self, now: impl Fn() -> Time, cancel: Option<&CancelHandle>) {
        let unpark = Arc::new(Unpark(thread::current()));
        if let Some(handle) = cancel {
            let weak: Weak<dyn Interrupt> = Arc::<Unpark>::downgrade(&unpark);
            handle.interrupts(weak);
        }
        let waker = Waker::from(unpark);
        let mut cx = Context::from_waker(&waker);
        while self.poll_admission(&mut cx).is_pending() {
            let left = self.deadline.saturating_since(now());
            if left.is_zero() || cancel.is_some_and(CancelHandle::is_cancelled) {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// Waiting is over, at `now`. Returns the time that the exchange goes on with.
    pub(crate) fn stop_waiting(&mut self, now: Time) -> Time {
        let now = if self.is_waiting() {
            self.place = Place::None;
            now.max(self.deadline)
        } else {
            now
        };
        if let Some(watch) = &mut self.watch {
            watch.admitted(now);
        }
        now
    }

    pub(crate) fn sending(&mut self, request: &http::Request<bytes::Bytes>, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.sending(request.uri(), now);
        }
    }

    pub(crate) fn input(&mut self, input: &Input, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.input(input, now);
        }
    }

    pub(crate) fn event(&mut self, event: &StreamEvent) {
        if let Some(watch) = &mut self.watch {
            watch.event(event);
        }
    }

    /// The call is over: whoever watches is told, then the next one may begin.
    pub(crate) fn over(
        &mut self,
        now: Time,
        outcome: Result<Option<&UnifiedChatResponse>, &Error>,
    ) {
        if let Some(mut watch) = self.watch.take() {
            watch.outcome(now, outcome);
        }
        self.place = Place::None;
    }
}

struct Unpark(Thread);

impl Interrupt for Unpark {
    fn interrupt(&self) {
        self.0.unpark();
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
