use super::{AttemptBilling, CallEvent, CallInfo, CallObservation, CallSummary, Observer};
use crate::{
    ChatRequest, Error, ErrorKind, StreamEvent, UnifiedChatResponse, Usage,
    chat::{Attempt, CredentialFetch},
    cost::{AttemptUsage, Cost, Labels},
    sans_io::{CallProgress, Input},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use unifiedai_transport::Time;

/// Turns the driver's steps into observations.
pub(crate) struct ObserverNotifier {
    observers: Arc<[Arc<dyn Observer>]>,
    call: CallInfo,
    /// When the call was first driven.
    started: Option<Time>,
    now: Time,
    summary: CallSummary,
    attempt: Option<RunningAttempt>,
    reported: Reported,
    is_finished: bool,
    /// Set while an observer runs. After an observer panicked it stays set, and no observer is called again: a second
    /// panic during unwinding aborts the process.
    is_notifying: AtomicBool,
}

/// How much of the progress of the call was reported.
#[derive(Default)]
struct Reported {
    attempts: usize,
    fetches: usize,
    abandoned: usize,
}

/// The current attempt.
struct RunningAttempt {
    began: Time,
    sent_at: SystemTime,
    /// What the response reported so far, for a call that is dropped.
    usage: AttemptUsage,
    cost: Option<Cost>,
    host: String,
    port: Option<u16>,
}

impl CallInfo {
    pub(crate) fn new(
        operation: &'static str,
        provider: &str,
        model: &str,
        stream: bool,
        labels: Labels,
    ) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        CallInfo {
            id: CALLS.fetch_add(1, Ordering::Relaxed),
            operation,
            provider: provider.to_owned(),
            model: model.to_owned(),
            stream,
            labels,
        }
    }
}

impl ObserverNotifier {
    pub(crate) fn new(
        observers: Arc<[Arc<dyn Observer>]>,
        call: CallInfo,
        asked: Option<&ChatRequest>,
        now: Time,
    ) -> Self {
        let watch = ObserverNotifier {
            observers,
            call,
            started: None,
            now,
            summary: CallSummary::default(),
            attempt: None,
            reported: Reported::default(),
            is_finished: false,
            is_notifying: AtomicBool::new(false),
        };
        watch.notify(CallEvent::Started);
        if let Some(request) = asked {
            watch.notify(CallEvent::Request(request));
        }
        watch
    }

    pub(crate) fn begin(&mut self, now: Time) {
        self.now = now;
        self.started.get_or_insert(now);
        if self.summary.attempts == 0 {
            self.summary.queue_time = self.elapsed();
        }
    }

    pub(crate) fn on_send(
        &mut self,
        method: &http::Method,
        uri: &http::Uri,
        log: &CallProgress<'_>,
        now: Time,
    ) {
        self.begin(now);
        self.report_progress(log);
        // The attempt continues over another connection.
        if log.finished.last().is_some_and(|attempt| attempt.replayed) {
            return;
        }
        self.summary.attempts = self.summary.attempts.saturating_add(1);
        // The measurements of a failed attempt do not apply to the response.
        (self.summary.status, self.summary.ttfb, self.summary.ttft) = (None, None, None);
        let host = uri.host().unwrap_or_default();
        self.attempt = Some(RunningAttempt {
            began: now,
            sent_at: log.open.map_or(SystemTime::UNIX_EPOCH, |open| open.sent_at),
            usage: AttemptUsage::Unknown,
            cost: log.open.and_then(|open| open.cost.clone()),
            host: host.to_owned(),
            port: uri.port_u16(),
        });
        self.notify(CallEvent::Attempt {
            number: self.summary.attempts,
            after: self.elapsed(),
            method: method.as_str(),
            host,
            port: uri.port_u16(),
        });
    }

    /// Reports what is new since the last call: attempts and fetches that ended, targets that were abandoned.
    pub(crate) fn report_progress(&mut self, log: &CallProgress<'_>) {
        let finished = log
            .finished
            .get(self.reported.attempts..)
            .unwrap_or_default();
        let fetches = log.fetches.get(self.reported.fetches..).unwrap_or_default();
        let left = log
            .abandoned
            .get(self.reported.abandoned..)
            .unwrap_or_default();
        let before = self.reported.abandoned;
        self.reported = Reported {
            attempts: log.finished.len(),
            fetches: log.fetches.len(),
            abandoned: log.abandoned.len(),
        };
        for attempt in finished.iter().filter(|attempt| !attempt.replayed) {
            self.finish_attempt(attempt);
        }
        let mut fetches = fetches.iter().peekable();
        for (number, left) in (before..).zip(left) {
            self.switch_target(&left.provider, &left.model);
            while let Some(fetch) = fetches.next_if(|fetch| fetch.abandoned <= number) {
                self.report_fetch(fetch);
            }
            self.notify(CallEvent::Fallback {
                status: left.status,
                error: left.error,
            });
        }
        self.switch_target(log.provider, log.model);
        for fetch in fetches {
            self.report_fetch(fetch);
        }
    }

    fn report_fetch(&self, fetch: &CredentialFetch) {
        self.notify(CallEvent::CredentialsFetched {
            source: &fetch.source,
            duration: fetch.duration,
            error: fetch.error.as_deref(),
        });
    }

    fn finish_attempt(&mut self, attempt: &Attempt) {
        if let Some(running) = self.attempt.take() {
            self.notify(CallEvent::AttemptFinished {
                number: self.summary.attempts,
                duration: self.now.saturating_since(running.began),
                host: &running.host,
                port: running.port,
                status: attempt.status,
                error: attempt.error,
                billing: AttemptBilling {
                    sent_at: attempt.sent_at,
                    request_id: attempt.request_id.as_deref(),
                    usage: &attempt.usage,
                    cost: attempt.cost.as_ref(),
                    may_have_been_billed: attempt.may_have_been_billed,
                },
            });
        }
    }

    fn switch_target(&mut self, provider: &str, model: &str) {
        for (name, known) in [
            (provider, &mut self.call.provider),
            (model, &mut self.call.model),
        ] {
            // Some operations have no model name.
            if !name.is_empty() && name != known {
                name.clone_into(known);
            }
        }
    }

    pub(crate) fn on_input(&mut self, input: &Input, now: Time) {
        self.now = now;
        if let Input::Headers(head) = input {
            self.summary.status = Some(head.status.as_u16());
            let after = self.elapsed();
            self.summary.ttfb.get_or_insert(after);
        }
    }

    /// `usage` and its price are those of the running attempt, as far as they were reported.
    pub(crate) fn on_usage(&mut self, usage: Option<&Usage>, cost: impl Fn() -> Option<Cost>) {
        if let (Some(usage), Some(running)) = (usage, &mut self.attempt) {
            let known = running.usage.usage();
            if known.is_none_or(|known| !known.has_counts_of(usage)) {
                running.usage = AttemptUsage::new(Some(usage), false);
                running.cost = cost();
            }
        }
    }

    pub(crate) fn on_event(&mut self, event: &StreamEvent) {
        if event.is_visible() && self.call.stream && self.summary.ttft.is_none() {
            let after = self.elapsed();
            self.summary.ttft = Some(after);
            self.notify(CallEvent::FirstToken { after });
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
        self.finish(now, outcome.err().map(Error::kind));
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
        self.notify(CallEvent::Response(response));
    }

    fn finish(&mut self, now: Time, error: Option<ErrorKind>) {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.now = now;
            self.finish_running_attempt(error);
            self.summary.error = error;
            self.summary.duration = self.elapsed();
            self.notify(CallEvent::Finished(&self.summary));
        }
    }

    /// Reports an attempt that the exchange did not end itself: the call was dropped.
    fn finish_running_attempt(&mut self, error: Option<ErrorKind>) {
        let Some(running) = &mut self.attempt else {
            return;
        };
        let mut attempt = Attempt::new(Duration::ZERO, running.sent_at);
        (attempt.status, attempt.error) = (self.summary.status, error);
        attempt.usage = std::mem::take(&mut running.usage);
        attempt.cost = running.cost.take();
        self.finish_attempt(&attempt);
    }

    fn elapsed(&self) -> Duration {
        self.now.saturating_since(self.started.unwrap_or(self.now))
    }

    fn notify(&self, event: CallEvent<'_>) {
        let seen = CallObservation {
            call: &self.call,
            event,
        };
        let content = matches!(seen.event, CallEvent::Request(_) | CallEvent::Response(_));
        if self.is_notifying.swap(true, Ordering::Relaxed) {
            return;
        }
        for observer in &*self.observers {
            if !content || observer.capture_content() {
                observer.observe(&seen);
            }
        }
        self.is_notifying.store(false, Ordering::Relaxed);
    }
}

impl Drop for ObserverNotifier {
    fn drop(&mut self) {
        self.finish(self.now, Some(ErrorKind::Cancelled));
    }
}

impl fmt::Debug for ObserverNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserverNotifier")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
