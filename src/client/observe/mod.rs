//! What can be seen of calls from outside: plain data, and what was asked and answered only for those who want it.

mod notifier;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod telemetry;

pub(crate) use notifier::ObserverNotifier;
#[cfg(feature = "metrics")]
pub use telemetry::MetricsObserver;
#[cfg(feature = "tracing")]
pub use telemetry::TracingObserver;

use crate::{ChatRequest, ErrorKind, FinishReason, UnifiedChatResponse, Usage};
use serde::Serialize;
use std::time::Duration;

/// Is told of every call of a client. Any closure that takes an [`CallObservation`] is one.
///
/// It is called inside the call, so it should be quick. It gets names, numbers and times, and nothing that was asked or
/// answered unless it [says so](Observer::capture_content).
///
/// ```
/// use unifiedai::observe::{CallEvent, CallObservation};
/// let log = |seen: &CallObservation<'_>| {
///     let (provider, model) = (&seen.call.provider, &seen.call.model);
///     match &seen.event {
///         CallEvent::Fallback { error, .. } => eprintln!("{provider} {model} failed: {error}"),
///         CallEvent::Finished(summary) => eprintln!("{provider} {model}: {:?}", summary.duration),
///         _ => {}
///     }
/// };
/// # let _: &dyn unifiedai::observe::Observer = &log;
/// ```
pub trait Observer: Send + Sync {
    /// Something happened in a call.
    fn observe(&self, seen: &CallObservation<'_>);

    /// Whether it is also to be told what was asked and answered: [`CallEvent::Request`] and [`CallEvent::Response`].
    fn capture_content(&self) -> bool {
        false
    }
}

impl<F: Fn(&CallObservation<'_>) + Send + Sync> Observer for F {
    fn observe(&self, seen: &CallObservation<'_>) {
        self(seen);
    }
}

/// What happened, and in which call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallObservation<'a> {
    /// The call.
    pub call: &'a CallInfo,
    /// What happened.
    pub event: CallEvent<'a>,
}

/// A call, and the target that it is with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallInfo {
    /// A number of this process's own; it ties the observations of one call together.
    pub id: u64,
    /// `chat`, `list_models`, `model` or `ping`.
    pub operation: &'static str,
    /// The provider's name. After a fallback that of the next target, so that the last observation names the one that
    /// answered or was asked last.
    pub provider: String,
    /// The model that is asked for, at this provider; empty where none is.
    pub model: String,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
}

/// Something that happened in a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// The call was made. Comes first, and on the thread that made it. The times of the others count from the moment when
    /// the call is first driven, which for a stream can be later.
    Started,
    /// What is asked in a chat. Only for an observer that [wants content](Observer::capture_content).
    Request(&'a ChatRequest),
    /// A request goes out. Where a connection turns out to have ended before, the attempt goes on over another one.
    #[non_exhaustive]
    Attempt {
        /// 1 for the first.
        number: u32,
        /// Since the call began, waiting for permits included.
        after: Duration,
        /// The HTTP method.
        method: &'a str,
        /// Where to.
        host: &'a str,
        /// The port, if it is not the usual one.
        port: Option<u16>,
    },
    /// An attempt is over. Comes after each [`Attempt`](Self::Attempt), also if the call was dropped.
    #[non_exhaustive]
    AttemptFinished {
        /// That of the attempt.
        number: u32,
        /// From the request to the end of its answer.
        duration: Duration,
        /// Where it went to.
        host: &'a str,
        /// The port, if it is not the usual one.
        port: Option<u16>,
        /// The answer's HTTP status, if one came.
        status: Option<u16>,
        /// Why it failed; `None` if it did not.
        error: Option<ErrorKind>,
    },
    /// The call leaves the target that the observation names, for the next one of its fallback. The target may have failed
    /// without an attempt: an open circuit, no room in its pace, a parameter that it lacks.
    #[non_exhaustive]
    Fallback {
        /// The HTTP status of the failure, if an answer came.
        status: Option<u16>,
        /// Why.
        error: ErrorKind,
    },
    /// The first text, reasoning or tool call of a stream.
    #[non_exhaustive]
    FirstToken {
        /// Since the call began.
        after: Duration,
    },
    /// What was answered in a chat, or the part of it that came before a failure. Only for an observer that
    /// [wants content](Observer::capture_content).
    Response(&'a UnifiedChatResponse),
    /// The call is over. Comes last and always, also for a call that was dropped.
    Finished(&'a CallSummary),
}

/// How a call went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallSummary {
    /// The HTTP status of the last attempt's answer; `None` if none came.
    pub status: Option<u16>,
    /// Why it failed, in the words of [`ErrorKind`]; `cancelled` if it was dropped before its end.
    #[serde(serialize_with = "serialize_error_kind")]
    pub error: Option<ErrorKind>,
    /// From the first time that the call was driven to its end; for a dropped call, to what was last heard of it.
    pub duration: Duration,
    /// How long it waited before its first request went out, for permits to run and for the pace.
    #[serde(rename = "waited")]
    pub queue_time: Duration,
    /// From the call to the first byte of the head of the last attempt's answer.
    pub ttfb: Option<Duration>,
    /// From the call to the first text, reasoning or tool call of a stream.
    pub ttft: Option<Duration>,
    /// Attempts. One that went on over another connection counts once.
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

fn serialize_error_kind<S: serde::Serializer>(
    kind: &Option<ErrorKind>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kind.map(ErrorKind::as_str).serialize(serializer)
}
