//! What can be seen of calls from outside: plain data, and what was asked and answered only for those who want it.

use crate::{ChatRequest, ErrorKind, FinishReason, UnifiedChatResponse, Usage};
use serde::Serialize;
use std::time::Duration;

/// Is told of every call of a client. Any closure that takes an [`Observation`] is one.
///
/// It is called inside the call, so it should be quick. It gets names, numbers and times, and nothing that was asked or
/// answered unless it [says so](Observer::wants_content).
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

    /// Whether it is also to be told what was asked and answered: [`CallEvent::Asked`] and [`CallEvent::Answered`].
    fn wants_content(&self) -> bool {
        false
    }
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
    /// What is asked in a chat. Only for an observer that [wants content](Observer::wants_content).
    Asked(&'a ChatRequest),
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
    /// What was answered in a chat, or the part of it that came before a failure. Only for an observer that
    /// [wants content](Observer::wants_content).
    Answered(&'a UnifiedChatResponse),
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
    /// From the call to the first byte of the answer's head.
    pub ttfb: Option<Duration>,
    /// From the call to the first text, reasoning or tool call of a stream.
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

fn as_word<S: serde::Serializer>(
    kind: &Option<ErrorKind>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kind.map(ErrorKind::as_str).serialize(serializer)
}
