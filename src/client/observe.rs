//! What can be seen of calls from outside: plain data, never what was asked or answered.

use crate::{Error, ErrorKind, FinishReason, Input, StreamEvent, UnifiedChatResponse, Usage};
use serde::Serialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use unifiedai_transport::Time;

/// Is told of every call of a client. Any closure that takes an [`Observation`] is one.
///
/// It is called inside the call, so it should be quick. It gets names, numbers and times, and nothing that was asked or
/// answered.
///
/// ```
/// use unifiedai::{CallEvent, Observation};
/// let log = |seen: &Observation<'_>| {
///     if let CallEvent::Finished(summary) = &seen.event {
///         eprintln!("{} {}: {:?}", seen.call.provider, seen.call.model, summary.duration);
///     }
/// };
/// # let _: &dyn unifiedai::Observer = &log;
/// ```
pub trait Observer: Send + Sync {
    /// Something happened in a call.
    fn observe(&self, seen: &Observation<'_>);
}

impl<F: Fn(&Observation<'_>) + Send + Sync> Observer for F {
    fn observe(&self, seen: &Observation<'_>) {
        self(seen);
    }
}

/// What happened, and in which call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// The call.
    pub call: &'a CallInfo,
    /// What happened.
    pub event: CallEvent<'a>,
}

/// A call, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallInfo {
    /// A number of this process's own; it ties the observations of one call together.
    pub id: u64,
    /// `chat`, `list_models`, `model` or `ping`.
    pub operation: &'static str,
    /// The provider's name.
    pub provider: String,
    /// The model that was asked for; empty where none is.
    pub model: String,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
}

/// Something that happened in a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// The call was made. Comes first, and on the thread that made it.
    Started,
    /// A request goes out.
    Attempt {
        /// 1 for the first.
        number: u32,
        /// Since the call was made, waiting for a place included.
        after: Duration,
        /// Where to.
        host: &'a str,
        /// The port, if it is not the usual one.
        port: Option<u16>,
    },
    /// The first text, reasoning or tool call of a stream.
    FirstToken {
        /// Since the call was made.
        after: Duration,
    },
    /// The call is over. Comes last and always, also for a call that was dropped.
    Finished(&'a CallSummary),
}

/// How a call went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallSummary {
    /// The last answer's HTTP status.
    pub status: Option<u16>,
    /// Why it failed, in the words of [`ErrorKind`]; `cancelled` if it was dropped before its end.
    #[serde(serialize_with = "as_word")]
    pub error: Option<ErrorKind>,
    /// From the call to its end; for a dropped call, to what was last heard of it.
    pub duration: Duration,
    /// How long it waited for a place.
    pub waited: Duration,
    /// To the answer's head.
    pub ttfb: Option<Duration>,
    /// To the first text, reasoning or tool call of a stream.
    pub ttft: Option<Duration>,
    /// Requests that went out.
    pub attempts: u32,
    /// The model that answered.
    pub response_model: Option<String>,
    /// The answer's id.
    pub response_id: Option<String>,
    /// Why the model stopped, for each answer.
    pub finish_reasons: Vec<FinishReason>,
    /// The tokens counted.
    pub usage: Option<Usage>,
}

/// Turns what a driver does into observations.
pub(crate) struct Watch {
    observers: Arc<[Arc<dyn Observer>]>,
    call: CallInfo,
    started: Time,
    now: Time,
    summary: CallSummary,
    over: bool,
}

static CALLS: AtomicU64 = AtomicU64::new(1);

impl Watch {
    pub(crate) fn new(
        observers: Arc<[Arc<dyn Observer>]>,
        operation: &'static str,
        provider: &str,
        model: &str,
        stream: bool,
        now: Time,
    ) -> Self {
        let watch = Watch {
            observers,
            call: CallInfo {
                id: CALLS.fetch_add(1, Ordering::Relaxed),
                operation,
                provider: provider.to_owned(),
                model: model.to_owned(),
                stream,
            },
            started: now,
            now,
            summary: CallSummary::default(),
            over: false,
        };
        watch.tell(CallEvent::Started);
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
        for observer in &*self.observers {
            observer.observe(&seen);
        }
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

fn as_word<S: serde::Serializer>(
    kind: &Option<ErrorKind>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kind.map(ErrorKind::as_str).serialize(serializer)
}
