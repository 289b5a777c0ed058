//! The end of a call: its outcome or its next attempt, and what it means for the other calls.

use super::{
    answers::Answer,
    call::{self, CallEnd, Verdict},
    dispatch::Dispatcher,
    tasks::Task,
    until_reachable,
};
use crate::store::{AttemptRecord, RunState};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};
use unifiedai::{Error, chat::RateLimit};

/// Attempts of one item that a rate limit refused, or that found no connection.
const MAX_THROTTLED: i32 = 100;

impl Dispatcher {
    pub(super) async fn on_ended(
        &mut self,
        mut task: Task,
        end: CallEnd,
        epoch: i32,
        answers: &mpsc::Sender<Answer>,
    ) {
        let record = match end {
            CallEnd::Response(response) => {
                if let Some(usage) = &response.usage {
                    task.context.settle(task.estimate, usage);
                }
                self.heed_headers(&task, &response.provider_metadata.rate_limits, epoch);
                call::response_record(&task, &response)
            }
            CallEnd::NotSent => {
                task.context.refund(task.estimate);
                task.throttled += 1;
                AttemptRecord {
                    kind: "not_sent".into(),
                    ..task.record()
                }
            }
            CallEnd::Failed(error) => self.on_failed(&mut task, &error, epoch),
        };
        let record = Box::new(record);
        if record.is_outcome {
            // It stays in progress until it is stored, so that a worker that is killed repeats no more calls than it makes at once.
            let _ = answers.send(Answer::Outcome(record)).await;
            self.chunks.ended(task.lease);
        } else {
            let _ = answers.send(Answer::Row(record)).await;
            self.requeue(task);
        }
    }

    fn on_failed(&mut self, task: &mut Task, error: &Error, epoch: i32) -> AttemptRecord {
        if call::took_nothing(error) {
            task.context.refund(task.estimate);
        }
        let now = Instant::now();
        let kind = error.kind().as_str();
        match Verdict::of(error) {
            Verdict::Outcome => return call::error_record(task, error, kind, true),
            Verdict::HoldAll { factor } => {
                task.throttled += 1;
                self.hold(task, error.retry_after(), factor, epoch);
                tracing::info!(%error, "calls wait");
            }
            Verdict::PauseRun => {
                task.throttled += 1;
                self.pause(task, error);
                self.release_run(task.context.row.id);
            }
            Verdict::Retry => {
                let counted = (task.tries - task.throttled).clamp(1, 7);
                let wait = Duration::from_millis(500) * (1 << (counted - 1));
                task.due = now
                    + error
                        .retry_after()
                        .unwrap_or(wait)
                        .min(Duration::from_secs(3600));
            }
        }
        let counted = task.tries - task.throttled;
        if counted >= self.options.max_attempts || task.throttled >= MAX_THROTTLED {
            return call::error_record(task, error, "gave_up", true);
        }
        call::error_record(task, error, kind, false)
    }

    /// Holds back all workers, those of this process at once.
    fn hold(&self, task: &Task, retry_after: Option<Duration>, factor: f64, epoch: i32) {
        let limiter = task.context.limiter.clone();
        let until = Instant::now() + retry_after.unwrap_or(Duration::from_secs(1));
        if !limiter.hold_until(until) && factor >= 1.0 {
            return;
        }
        let store = self.store.clone();
        let wait = retry_after.map(|wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 4));
        tokio::spawn(async move {
            let result = until_reachable(|| store.penalise(limiter.id, epoch, wait, factor)).await;
            match result {
                Ok(true) => {
                    metrics::counter!("fleet_rate_reductions_total").increment(1);
                    tracing::warn!(
                        limiter = limiter.id,
                        ?wait,
                        "the rate is lowered, and all workers wait"
                    );
                }
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the other workers could not be held back"),
            }
        });
    }

    /// A limit whose headers say that nothing remains holds calls back until it is reset.
    fn heed_headers(&self, task: &Task, limits: &[RateLimit], epoch: i32) {
        const LONGEST: Duration = Duration::from_secs(120);
        for limit in limits {
            let is_short = matches!(
                &*limit.name,
                "requests" | "tokens" | "requests-minute" | "tokens-minute"
            );
            let reset = limit
                .reset
                .filter(|reset| !reset.is_zero() && *reset <= LONGEST);
            if let (true, Some(0), Some(reset)) = (is_short, limit.remaining, reset) {
                self.hold(task, Some(reset), 1.0, epoch);
            }
        }
    }

    fn pause(&self, task: &Task, error: &Error) {
        let name = task.context.row.config.name.clone();
        let reason = format!("{}: {}", error.kind(), error.message());
        tracing::error!(run = name, reason, "the run is paused");
        let store = self.store.clone();
        tokio::spawn(async move {
            let paused =
                until_reachable(|| store.set_state(&name, RunState::Paused, Some(&reason)));
            if let Err(error) = paused.await {
                tracing::error!(%error, "the run could not be paused");
            }
        });
    }
}
