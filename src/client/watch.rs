use super::observe::{CallEvent, CallInfo, CallSummary, Observation, Observer};
use crate::{ChatRequest, Error, ErrorKind, Input, StreamEvent, UnifiedChatResponse};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use unifiedai_transport::Time;

/// Turns what a driver does into observations.
pub(crate) struct Watch {
    observers: Arc<[Arc<dyn Observer>]>,
    call: CallInfo,
    started: Time,
    now: Time,
    summary: CallSummary,
    over: bool,
    /// Still set when an observer panicked: it is told no more then, as a second panic would end the process.
    telling: AtomicBool,
}

impl CallInfo {
    pub(super) fn new(operation: &'static str, provider: &str, model: &str, stream: bool) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        CallInfo {
            id: CALLS.fetch_add(1, Ordering::Relaxed),
            operation,
            provider: provider.to_owned(),
            model: model.to_owned(),
            stream,
        }
    }
}

impl Watch {
    pub(crate) fn new(
        observers: Arc<[Arc<dyn Observer>]>,
        call: CallInfo,
        asked: Option<&ChatRequest>,
        now: Time,
    ) -> Self {
        let watch = Watch {
            observers,
            call,
            started: now,
            now,
            summary: CallSummary::default(),
            over: false,
            telling: AtomicBool::new(false),
        };
        watch.tell(CallEvent::Started);
        if let Some(request) = asked {
            watch.tell(CallEvent::Asked(request));
        }
        watch
    }

    pub(crate) fn admitted(&mut self, now: Time) {
        self.now = now;
        self.summary.waited = self.elapsed();
    }

    pub(crate) fn sending(&mut self, uri: &http::Uri, now: Time) {
        self.now = now;
        self.summary.attempts = self.summary.attempts.saturating_add(1);
        self.tell(CallEvent::Attempt {
            number: self.summary.attempts,
            after: self.elapsed(),
            host: uri.host().unwrap_or_default(),
            port: uri.port_u16(),
        });
    }

    pub(crate) fn input(&mut self, input: &Input, now: Time) {
        self.now = now;
        if let Input::Head(head) = input {
            self.summary.status = Some(head.status.as_u16());
            self.summary
                .ttfb
                .get_or_insert(now.saturating_since(self.started));
        }
    }

    pub(crate) fn event(&mut self, event: &StreamEvent) {
        if event.is_visible() && self.call.stream && self.summary.ttft.is_none() {
            let after = self.elapsed();
            self.summary.ttft = Some(after);
            self.tell(CallEvent::FirstToken { after });
        }
    }

    pub(crate) fn outcome(
        &mut self,
        now: Time,
        outcome: Result<Option<&UnifiedChatResponse>, &Error>,
    ) {
        match outcome {
            Ok(Some(response)) => self.read(response),
            Ok(None) => {}
            Err(error) => {
                if let Some(partial) = error.partial() {
                    self.read(partial);
                }
            }
        }
        self.over(now, outcome.err().map(Error::kind));
    }

    fn read(&mut self, response: &UnifiedChatResponse) {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.summary.response_id = known(&response.id);
        self.summary.response_model = known(&response.model);
        let reasons = response.choices.iter();
        let reasons = reasons.filter_map(|choice| choice.finish_reason.clone());
        self.summary.finish_reasons = reasons.collect();
        self.summary.usage.clone_from(&response.usage);
        if let Some(usage) = &mut self.summary.usage {
            usage.raw = None;
        }
        self.tell(CallEvent::Answered(response));
    }

    fn over(&mut self, now: Time, error: Option<ErrorKind>) {
        if !std::mem::replace(&mut self.over, true) {
            self.now = now;
            self.summary.error = error;
            self.summary.duration = self.elapsed();
            self.tell(CallEvent::Finished(&self.summary));
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.saturating_since(self.started)
    }

    fn tell(&self, event: CallEvent<'_>) {
        let seen = Observation {
            call: &self.call,
            event,
        };
        let content = matches!(seen.event, CallEvent::Asked(_) | CallEvent::Answered(_));
        if self.telling.swap(true, Ordering::Relaxed) {
            return;
        }
        for observer in &*self.observers {
            if !content || observer.wants_content() {
                observer.observe(&seen);
            }
        }
        self.telling.store(false, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over(self.now, Some(ErrorKind::Cancelled));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
