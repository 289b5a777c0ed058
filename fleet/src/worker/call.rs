//! One call in its slot.

use super::{run_context::RunContext, tasks::Task};
use crate::store::AttemptRecord;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tracing::Instrument;
use unifiedai::{Error, ErrorKind, UnifiedChatResponse, transport::RequestDelivery};

/// How a call ended.
pub(super) enum CallEnd {
    Response(Box<UnifiedChatResponse>),
    Failed(Error),
    /// The slot was not used.
    NotSent,
}

/// The time at which a call may start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    at: Instant,
    /// The same on the wall clock, which also passes while the machine is suspended.
    wall: SystemTime,
}

/// A slot that is this late is not used: others have the slots of now.
const MAX_LATE: Duration = Duration::from_secs(1);

impl Slot {
    pub(super) fn after(delay: Duration) -> Self {
        Slot {
            at: Instant::now() + delay,
            wall: SystemTime::now() + delay,
        }
    }

    fn is_late(&self) -> bool {
        let wall = SystemTime::now()
            .duration_since(self.wall)
            .unwrap_or_default();
        self.at.elapsed() > MAX_LATE || wall > MAX_LATE
    }
}

/// Waits for the slot and makes the call.
pub(super) async fn call(context: Arc<RunContext>, task: &Task, slot: Slot) -> CallEnd {
    tokio::time::sleep_until(slot.at).await;
    if slot.is_late() || context.limiter.is_held() {
        return CallEnd::NotSent;
    }
    let span = tracing::debug_span!(
        "fleet_item",
        run = context.row.config.name,
        item = task.seq,
        attempt = task.tries
    );
    let began = Instant::now();
    let result = context.client.chat(&*task.request).instrument(span).await;
    metrics::histogram!("fleet_call_seconds").record(began.elapsed().as_secs_f64());
    match result {
        Ok(response) => CallEnd::Response(Box::new(response)),
        Err(error) => CallEnd::Failed(error),
    }
}

/// What a failed call means for its item and for the other calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// All workers wait, and the attempt does not count.
    HoldAll { factor: f64 },
    /// The run is paused: no call can succeed before its owner did something.
    PauseRun,
    /// The item is tried again after a wait.
    Retry,
    /// The error is the outcome.
    Outcome,
}

impl Verdict {
    pub(super) fn of(error: &Error) -> Self {
        let not_sent = error
            .transport()
            .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
        match error.kind() {
            ErrorKind::RateLimit => Verdict::HoldAll { factor: 0.7 },
            ErrorKind::Overloaded if error.retry_after().is_some() => {
                Verdict::HoldAll { factor: 0.7 }
            }
            ErrorKind::Overloaded => Verdict::HoldAll { factor: 0.5 },
            ErrorKind::Connection if not_sent => Verdict::HoldAll { factor: 0.7 },
            ErrorKind::QuotaExceeded | ErrorKind::Authentication | ErrorKind::Credentials => {
                Verdict::PauseRun
            }
            _ if error.is_retryable() => Verdict::Retry,
            _ => Verdict::Outcome,
        }
    }
}

/// Whether a failed call surely took no tokens.
pub(super) fn took_nothing(error: &Error) -> bool {
    error
        .status()
        .is_some_and(|status| (400..500).contains(&status) || status == 503 || status == 529)
        || error
            .transport()
            .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent)
}

/// The outcome of a response.
pub(super) fn response_record(task: &Task, response: &UnifiedChatResponse) -> AttemptRecord {
    let usage = response.usage.as_ref();
    let tokens = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
    AttemptRecord {
        is_outcome: true,
        kind: "ok".into(),
        status: Some(response.provider_metadata.status.unwrap_or(200).into()),
        body: serde_json::to_string(response).ok(),
        input_tokens: tokens(usage.and_then(|usage| usage.prompt_tokens)),
        output_tokens: tokens(usage.and_then(|usage| usage.completion_tokens)),
        ..task.record()
    }
}

/// An error as an outcome, or as an attempt that is tried again.
pub(super) fn error_record(
    task: &Task,
    error: &Error,
    kind: &str,
    is_outcome: bool,
) -> AttemptRecord {
    AttemptRecord {
        is_outcome,
        kind: kind.to_owned(),
        status: error.status().map(i32::from),
        body: is_outcome
            .then(|| serde_json::to_string(error).ok())
            .flatten(),
        ..task.record()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_they_mean_for_the_other_calls() {
        let of = |kind, wait: Option<u64>| {
            let error = Error::new(kind, "x");
            Verdict::of(&match wait {
                Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
                None => error,
            })
        };
        assert_eq!(
            of(ErrorKind::RateLimit, Some(20)),
            Verdict::HoldAll { factor: 0.7 }
        );
        assert_eq!(
            of(ErrorKind::Overloaded, None),
            Verdict::HoldAll { factor: 0.5 }
        );
        assert_eq!(
            of(ErrorKind::Overloaded, Some(3)),
            Verdict::HoldAll { factor: 0.7 }
        );
        assert_eq!(of(ErrorKind::QuotaExceeded, None), Verdict::PauseRun);
        assert_eq!(of(ErrorKind::Authentication, None), Verdict::PauseRun);
        assert_eq!(of(ErrorKind::Timeout, None), Verdict::Retry);
        assert_eq!(of(ErrorKind::BadRequest, None), Verdict::Outcome);
        assert_eq!(of(ErrorKind::ContextOverflow, None), Verdict::Outcome);
    }
}
