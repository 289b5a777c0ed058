use super::observe::{CallEvent, CallInfo, CallObservation, CallSummary, Observer};
use crate::{
    Attempt, ChatRequest, Error, ErrorKind, Input, StreamEvent, UnifiedChatResponse, exchange::Log,
};
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
    /// When the call was first driven.
    started: Option<Time>,
    now: Time,
    summary: CallSummary,
    attempt: Option<Running>,
    /// Of the attempts and of the targets that were left, those that observers know of.
    known: (usize, usize),
    over: bool,
    /// Still set when an observer panicked: it is told no more then, as a second panic would end the process.
    telling: AtomicBool,
}

/// The attempt that is under way.
struct Running {
    began: Time,
    host: String,
    port: Option<u16>,
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
            started: None,
            now,
            summary: CallSummary::default(),
            attempt: None,
            known: (0, 0),
            over: false,
            telling: AtomicBool::new(false),
        };
        watch.tell(CallEvent::Started);
        if let Some(request) = asked {
            watch.tell(CallEvent::Request(request));
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

    pub(crate) fn sending(
        &mut self,
        method: &http::Method,
        uri: &http::Uri,
        log: &Log<'_>,
        now: Time,
    ) {
        self.begin(now);
        self.catch_up(log);
        // The attempt goes on over another connection.
        if log.finished.last().is_some_and(|attempt| attempt.replayed) {
            return;
        }
        self.summary.attempts = self.summary.attempts.saturating_add(1);
        // What was measured of an attempt that failed is not the answer's.
        (self.summary.status, self.summary.ttfb, self.summary.ttft) = (None, None, None);
        let host = uri.host().unwrap_or_default();
        self.attempt = Some(Running {
            began: now,
            host: host.to_owned(),
            port: uri.port_u16(),
        });
        self.tell(CallEvent::Attempt {
            number: self.summary.attempts,
            after: self.elapsed(),
            method: method.as_str(),
            host,
            port: uri.port_u16(),
        });
    }

    /// Reports what has become of the call since the last time: attempts that are over, targets that it has left.
    pub(crate) fn catch_up(&mut self, log: &Log<'_>) {
        let finished = log.finished.get(self.known.0..).unwrap_or_default();
        let left = log.left.get(self.known.1..).unwrap_or_default();
        self.known = (log.finished.len(), log.left.len());
        for attempt in finished.iter().filter(|attempt| !attempt.replayed) {
            self.finish_attempt(attempt);
        }
        for left in left {
            self.turn_to(&left.provider, &left.model);
            self.tell(CallEvent::Fallback {
                status: left.status,
                error: left.error,
            });
        }
        self.turn_to(log.provider, log.model);
    }

    fn finish_attempt(&mut self, attempt: &Attempt) {
        if let Some(running) = self.attempt.take() {
            self.tell(CallEvent::AttemptFinished {
                number: self.summary.attempts,
                duration: self.now.saturating_since(running.began),
                host: &running.host,
                port: running.port,
                status: attempt.status,
                error: attempt.error,
            });
        }
    }

    fn turn_to(&mut self, provider: &str, model: &str) {
        for (name, known) in [
            (provider, &mut self.call.provider),
            (model, &mut self.call.model),
        ] {
            // Other operations than chats name no model to the machine.
            if !name.is_empty() && name != known {
                name.clone_into(known);
            }
        }
    }

    pub(crate) fn input(&mut self, input: &Input, now: Time) {
        self.now = now;
        if let Input::Headers(head) = input {
            self.summary.status = Some(head.status.as_u16());
            let after = self.elapsed();
            self.summary.ttfb.get_or_insert(after);
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
        self.tell(CallEvent::Response(response));
    }

    fn over(&mut self, now: Time, error: Option<ErrorKind>) {
        if !std::mem::replace(&mut self.over, true) {
            self.now = now;
            let mut attempt = Attempt::new(Duration::ZERO);
            (attempt.status, attempt.error) = (self.summary.status, error);
            self.finish_attempt(&attempt);
            self.summary.error = error;
            self.summary.duration = self.elapsed();
            self.tell(CallEvent::Finished(&self.summary));
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.saturating_since(self.started.unwrap_or(self.now))
    }

    fn tell(&self, event: CallEvent<'_>) {
        let seen = CallObservation {
            call: &self.call,
            event,
        };
        let content = matches!(seen.event, CallEvent::Request(_) | CallEvent::Response(_));
        if self.telling.swap(true, Ordering::Relaxed) {
            return;
        }
        for observer in &*self.observers {
            if !content || observer.capture_content() {
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
