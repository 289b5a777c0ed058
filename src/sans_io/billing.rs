//! What attempts are expected to use, and what they used. Nothing here changes the state of a call.

use super::{Exchange, Operation};
use crate::{
    CallOptions, Error, Usage,
    chat::Attempt,
    cost::{AttemptUsage, BilledTokens, Charge, Cost, may_have_been_billed},
    error::scrub,
    policy::{AcquireOutcome, AttemptEstimate, AttemptSpend},
};
use std::time::SystemTime;

impl<O: Operation> Exchange<O> {
    /// Requests the permits of the next attempt.
    pub(super) fn acquire_permits(&mut self) -> AcquireOutcome {
        let usage = self.operation.estimate(&self.target);
        let expected = BilledTokens {
            usage: &usage,
            model: "",
            service_tier: "",
        };
        let (wall, options) = (self.moment().wall, &self.options);
        let target = &mut self.target;
        let (provider, model) = (target.provider.name(), O::model(&target.request));
        let cost = || price(options, provider, model, wall, expected);
        let estimate = AttemptEstimate {
            tokens: usage.total().unwrap_or_default(),
            cost: &cost,
        };
        target.permits.acquire(self.now, &estimate)
    }

    /// The tokens of the running attempt, as far as the provider reported them.
    pub(crate) fn reported_usage(&self) -> Option<&Usage> {
        let is_running = self.attempt_open;
        self.operation
            .billed()
            .filter(|_| is_running)
            .map(|billed| billed.usage)
    }

    /// The price of [`reported_usage`](Self::reported_usage); `None` without prices.
    pub(crate) fn reported_cost(&self) -> Option<Cost> {
        let sent_at = self.metrics.attempts.last()?.sent_at;
        let (provider, model) = (self.target.provider.name(), O::model(&self.target.request));
        let billed = self.operation.billed()?;
        let cost = price(&self.options, provider, model, sent_at, billed);
        cost.map(|cost| cost.without(UNREPORTED))
    }

    /// Records what the last attempt used and cost.
    pub(super) fn bill_attempt(&mut self, error: Option<&Error>) {
        let Some(attempt) = self.metrics.attempts.last_mut() else {
            return;
        };
        attempt.request_id.clone_from(&self.metadata.request_id);
        if let (Some(id), Some(secret)) = (&mut attempt.request_id, &self.secret) {
            scrub(id, secret.expose());
        }
        let billed = self.operation.billed();
        attempt.usage = AttemptUsage::new(billed.map(|billed| billed.usage), error.is_none());
        attempt.may_have_been_billed = billed.is_some()
            || (self.operation.is_billed() && may_have_been_billed(attempt.status, error));
        attempt.cost = match (billed, attempt.may_have_been_billed) {
            _ if self.options.prices.is_none() => None,
            (Some(billed), _) => {
                let provider = self.target.provider.name();
                let model = O::model(&self.target.request);
                let cost = price(&self.options, provider, model, attempt.sent_at, billed);
                match error {
                    None => cost,
                    Some(_) => cost.map(|cost| cost.without(UNREPORTED)),
                }
            }
            (None, true) => Some(Cost::unknown("tokens")),
            (None, false) => Some(Cost::ZERO),
        };
    }
}

/// What an attempt that ended early may have used beyond what was reported.
const UNREPORTED: &str = "unreported tokens";

/// What an attempt used, for the limits of its target.
pub(super) fn spend(attempt: Option<&Attempt>) -> AttemptSpend<'_> {
    AttemptSpend {
        usage: attempt.map_or(&AttemptUsage::Unknown, |attempt| &attempt.usage),
        cost: attempt.and_then(|attempt| attempt.cost.as_ref()),
        may_have_been_billed: attempt.is_none_or(|attempt| attempt.may_have_been_billed),
    }
}

/// `None` without prices.
fn price(
    options: &CallOptions,
    provider: &str,
    model: &str,
    at: SystemTime,
    tokens: BilledTokens<'_>,
) -> Option<Cost> {
    let charge = Charge::new(provider, model, at, tokens.usage)
        .response_model(tokens.model)
        .service_tier(tokens.service_tier);
    Some(options.prices.as_ref()?.cost(&charge))
}
