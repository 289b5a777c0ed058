use crate::observe::ObserverNotifier;
use crate::{
    Error, StreamEvent, UnifiedChatResponse,
    sans_io::{CallProgress, Exchange, Input, Operation},
};
use unifiedai_transport::{RequestBody, Time};

/// State that a client adds to each exchange: its observers, if it has any.
#[derive(Debug)]
pub(crate) struct CallContext(Option<Box<ObserverNotifier>>);

impl CallContext {
    /// A call without observers.
    pub(crate) const NONE: CallContext = CallContext(None);

    pub(crate) fn new(watch: Option<ObserverNotifier>) -> Self {
        CallContext(watch.map(Box::new))
    }

    /// Called when the call is first driven, and again before each attempt.
    pub(crate) fn begin(&mut self, now: Time) {
        if let Some(watch) = &mut self.0 {
            watch.begin(now);
        }
    }

    pub(crate) fn on_send(
        &mut self,
        request: &http::Request<RequestBody>,
        log: &CallProgress<'_>,
        now: Time,
    ) {
        if let Some(watch) = &mut self.0 {
            watch.on_send(request.method(), request.uri(), log, now);
        }
    }

    /// Called while no attempt is open.
    pub(crate) fn on_wait(&mut self, log: &CallProgress<'_>) {
        if let Some(watch) = &mut self.0 {
            watch.report_progress(log);
        }
    }

    pub(crate) fn on_input(&mut self, input: &Input, now: Time) {
        if let Some(watch) = &mut self.0 {
            watch.on_input(input, now);
        }
    }

    /// Called after each input, so that the usage of a call that is dropped is known.
    pub(crate) fn on_handled<O: Operation>(&mut self, exchange: &Exchange<O>) {
        if let Some(watch) = &mut self.0 {
            watch.on_usage(exchange.reported_usage(), || exchange.reported_cost());
        }
    }

    pub(crate) fn on_event(&mut self, event: &StreamEvent) {
        if let Some(watch) = &mut self.0 {
            watch.on_event(event);
        }
    }

    /// Called when the call has ended.
    pub(crate) fn finish(
        &mut self,
        now: Time,
        outcome: Result<Option<&UnifiedChatResponse>, &Error>,
    ) {
        if let Some(mut watch) = self.0.take() {
            watch.outcome(now, outcome);
        }
    }
}
