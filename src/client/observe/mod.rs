//! Observers of calls. They get plain data, and content only if they request it.

mod notifier;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod telemetry;

pub(crate) use notifier::ObserverNotifier;
#[cfg(feature = "metrics")]
pub use telemetry::MetricsObserver;
#[cfg(feature = "tracing")]
pub use telemetry::TracingObserver;

use crate::{
    ChatRequest, ErrorKind, FinishReason, UnifiedChatResponse, Usage,
    cost::{AttemptUsage, Cost, Labels},
};
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// Is notified of every call of a client. Any closure that takes a [`CallObservation`] is an observer.
///
/// It runs inside the call, so it should be quick. It gets names, numbers and times, and no content of messages
/// unless [`capture_content`](Observer::capture_content) returns true.
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
    /// Called for each event of a call.
    fn observe(&self, seen: &CallObservation<'_>);

    /// Whether this observer also gets content: [`CallEvent::Request`] and [`CallEvent::Response`].
    fn capture_content(&self) -> bool {
        false
    }
}

impl<F: Fn(&CallObservation<'_>) + Send + Sync> Observer for F {
    fn observe(&self, seen: &CallObservation<'_>) {
        self(seen);
    }
}

/// An event, and the call to which it belongs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallObservation<'a> {
    /// The call.
    pub call: &'a CallInfo,
    /// The event.
    pub event: CallEvent<'a>,
}

/// A call and its current target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallInfo {
    /// A number that is unique in this process; it ties the observations of one call together.
    pub id: u64,
    /// `chat`, `list_models`, `model` or `ping`.
    pub operation: &'static str,
    /// The provider's name. After a fallback it is that of the next target, so the last observation names the last
    /// target.
    pub provider: String,
    /// The model's name at this provider; empty for calls without a model.
    pub model: String,
    /// Whether the response is streamed.
    pub stream: bool,
    /// The call's [labels](crate::CallOptions::label), and the metadata of a chat's request. A label is preferred to
    /// metadata of the same name.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// An event in the life of a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// The call was created. This is the first event, on the thread that created the call. The times of the other
    /// events count from the moment when the call is first driven, which for a stream can be later.
    Started,
    /// The request of a chat. Only for an observer that [captures content](Observer::capture_content).
    Request(&'a ChatRequest),
    /// An attempt starts. If the pooled connection turns out to be closed, the same attempt continues over another
    /// one.
    #[non_exhaustive]
    Attempt {
        /// The attempt's number; 1 for the first.
        number: u32,
        /// Time since the call began, including waits for permits.
        after: Duration,
        /// The HTTP method.
        method: &'a str,
        /// The server's host.
        host: &'a str,
        /// The port, if it is not the scheme's default.
        port: Option<u16>,
    },
    /// An attempt ended. Follows each [`Attempt`](Self::Attempt), even if the call was dropped.
    #[non_exhaustive]
    AttemptFinished {
        /// The attempt's number.
        number: u32,
        /// From the request to the end of the response.
        duration: Duration,
        /// The server's host.
        host: &'a str,
        /// The port, if it is not the scheme's default.
        port: Option<u16>,
        /// The HTTP status, if a response was received.
        status: Option<u16>,
        /// The kind of the failure; `None` on success.
        error: Option<ErrorKind>,
        /// What the attempt used and cost.
        billing: AttemptBilling<'a>,
    },
    /// The call has fetched a token that expires, or failed to. Reported before the attempt that uses the token, with
    /// which the call continues.
    #[non_exhaustive]
    CredentialsFetched {
        /// The name of the source.
        source: &'a str,
        /// From the start of the fetch to its result.
        duration: Duration,
        /// The code of the failure, such as `credentials_refused`; `None` on success.
        error: Option<&'a str>,
    },
    /// The call moves to the next target of its fallback. The observation names the target that failed. That target
    /// may have failed without an attempt: an open circuit breaker, the rate limit, an unsupported parameter.
    #[non_exhaustive]
    Fallback {
        /// The HTTP status of the failure, if a response was received.
        status: Option<u16>,
        /// The kind of the failure.
        error: ErrorKind,
    },
    /// The first text, reasoning or tool call of a stream.
    #[non_exhaustive]
    FirstToken {
        /// Time since the call began.
        after: Duration,
    },
    /// The response of a chat, or the part of it that was received before a failure. Only for an observer that
    /// [captures content](Observer::capture_content).
    Response(&'a UnifiedChatResponse),
    /// The call ended. The last event of every call, also of one that was dropped.
    Finished(&'a CallSummary),
}

/// What an attempt used and cost, as far as it is known. A [`Ledger`](crate::cost::Ledger) records it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AttemptBilling<'a> {
    /// When the request was sent, by the call's wall clock.
    pub sent_at: SystemTime,
    /// The provider's id of the request.
    pub request_id: Option<&'a str>,
    /// The tokens.
    pub usage: &'a AttemptUsage,
    /// The price of the tokens; `None` without [prices](crate::CallOptions::prices).
    pub cost: Option<&'a Cost>,
    /// False if the provider certainly does not bill the attempt.
    pub may_have_been_billed: bool,
}

/// The outcome of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallSummary {
    /// The HTTP status of the last attempt; `None` if no response was received.
    pub status: Option<u16>,
    /// The kind of the failure, by the names of [`ErrorKind`]; `cancelled` if the call was dropped.
    #[serde(serialize_with = "serialize_error_kind")]
    pub error: Option<ErrorKind>,
    /// From the first time that the call was driven to its end; for a dropped call, to its last event.
    pub duration: Duration,
    /// Time before the first request was sent: waits for permits and for the rate limit.
    #[serde(rename = "waited")]
    pub queue_time: Duration,
    /// From the start of the call to the first byte of the last attempt's response headers.
    pub ttfb: Option<Duration>,
    /// From the start of the call to the first text, reasoning or tool call of a stream.
    pub ttft: Option<Duration>,
    /// Number of attempts. An attempt that continued over another connection counts once.
    pub attempts: u32,
    /// The model that the response names.
    pub response_model: Option<String>,
    /// The response's id.
    pub response_id: Option<String>,
    /// The finish reason of each choice.
    pub finish_reasons: Vec<FinishReason>,
    /// Token counts.
    pub usage: Option<Usage>,
}

fn serialize_error_kind<S: serde::Serializer>(
    kind: &Option<ErrorKind>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kind.map(ErrorKind::as_str).serialize(serializer)
}
