use super::watch::Watch;
use crate::{Error, Input, StreamEvent, UnifiedChatResponse, exchange::Log};
use unifiedai_transport::Time;

/// What a client puts around an exchange: its observers, if there are any.
#[derive(Debug)]
pub(crate) struct Escort(Option<Box<Watch>>);

impl Escort {
    /// A call without observers.
    pub(crate) const NONE: Escort = Escort(None);

    pub(crate) fn new(watch: Option<Watch>) -> Self {
        Escort(watch.map(Box::new))
    }

    /// The call is driven for the first time, or again before an attempt.
    pub(crate) fn begin(&mut self, now: Time) {
        if let Some(watch) = &mut self.0 {
            watch.begin(now);
        }
    }

    pub(crate) fn sending(
        &mut self,
        request: &http::Request<bytes::Bytes>,
        log: &Log<'_>,
        now: Time,
    ) {
        if let Some(watch) = &mut self.0 {
            watch.sending(request.method(), request.uri(), log, now);
        }
    }

    /// No attempt is under way.
    pub(crate) fn waiting(&mut self, log: &Log<'_>) {
        if let Some(watch) = &mut self.0 {
            watch.catch_up(log);
        }
    }

    pub(crate) fn input(&mut self, input: &Input, now: Time) {
        if let Some(watch) = &mut self.0 {
            watch.input(input, now);
        }
    }

    pub(crate) fn event(&mut self, event: &StreamEvent) {
        if let Some(watch) = &mut self.0 {
            watch.event(event);
        }
    }

    /// The call is over.
    pub(crate) fn over(
        &mut self,
        now: Time,
        outcome: Result<Option<&UnifiedChatResponse>, &Error>,
    ) {
        if let Some(mut watch) = self.0.take() {
            watch.outcome(now, outcome);
        }
    }
}
