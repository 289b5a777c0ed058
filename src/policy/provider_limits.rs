use super::{
    Budget, CircuitBreakerConfig,
    budget::{AttemptEstimate, AttemptSpend, Budgets, Reservation},
    circuit_breaker::{BreakerToken, CircuitBreaker, Outcome},
    rate_limiter::{RateLimiter, TokenBucket},
    retry_budget::RetryBudget,
    wait_queue::WaitQueue,
};
use crate::{Error, ErrorKind, Usage, chat::RateLimit};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};
use unifiedai_transport::{RequestDelivery, Time, TransportError, TransportErrorKind};

/// Limits that all calls to one provider with one key share: retry budget, rate limiter, circuit breaker.
///
/// By default there is only a retry budget. All clients that share this value must share a clock; clients of the same
/// transport do.
#[derive(Debug)]
pub struct ProviderLimits(Mutex<State>);

#[derive(Debug)]
struct State {
    budget: RetryBudget,
    rate_limiter: RateLimiter,
    queue: WaitQueue,
    breaker: Option<CircuitBreaker>,
    budgets: Budgets,
    /// Kind and status of the last error that counted as the provider's failure.
    last_failure: Option<Box<str>>,
    in_flight: usize,
}

impl Default for ProviderLimits {
    fn default() -> Self {
        ProviderLimits::new()
    }
}

impl ProviderLimits {
    /// A retry budget, and no other limit.
    #[must_use]
    pub fn new() -> Self {
        ProviderLimits(Mutex::new(State {
            budget: RetryBudget::full(),
            rate_limiter: RateLimiter::default(),
            queue: WaitQueue::default(),
            breaker: None,
            budgets: Budgets::default(),
            last_failure: None,
            in_flight: 0,
        }))
    }

    /// Limits requests per minute; each attempt counts. Calls wait in FIFO order.
    #[must_use]
    pub fn requests_per_minute(self, requests: u32) -> Self {
        self.with(|state| state.rate_limiter.requests = Some(TokenBucket::new(requests.into())))
    }

    /// Limits tokens per minute. A quarter of the request's bytes plus its token limit are reserved, and corrected by
    /// the usage that the response reports.
    #[must_use]
    pub fn tokens_per_minute(self, tokens: u64) -> Self {
        self.with(|state| state.rate_limiter.tokens = Some(TokenBucket::new(tokens)))
    }

    /// Applies the provider's rate-limit headers where they report less than the local count, and waits up to a
    /// minute until an exhausted limit is reset.
    #[must_use]
    pub fn honor_rate_limit_headers(self) -> Self {
        self.with(|state| state.rate_limiter.honors_headers = true)
    }

    /// Sends no requests for a while when most calls fail. This is useful with a fallback target; without one it only
    /// prolongs an outage.
    #[must_use]
    pub fn circuit_breaker(self, rules: CircuitBreakerConfig) -> Self {
        self.with(|state| state.breaker = Some(CircuitBreaker::new(rules)))
    }

    /// Limits what calls spend. Several budgets apply together, such as one for each hour and one for each day.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.with(|state| state.budgets.add(budget))
    }

    /// Open attempts.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// What remains of the retry budget; at most 100.
    #[must_use]
    pub fn retry_budget(&self) -> u32 {
        self.state().budget.available()
    }

    /// Admits an attempt, or returns why not. `turn` is the position in the queue, if the call has one.
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: Time,
        estimate: &AttemptEstimate<'_>,
        turn: &mut Option<QueueTicket>,
    ) -> Admission {
        let tokens = estimate.tokens;
        let mut guarded = self.state();
        let state = &mut *guarded;
        let late = state.queue.drop_expired(now);
        let number = turn.as_ref().map(|turn| turn.number);
        let cost = state.rate_limiter.cost(tokens);
        let at = state
            .rate_limiter
            .ready_at(now, state.queue.cost_ahead(number).and(cost));
        if at > now {
            let (number, look_again) = state.queue.enqueue(number, now, at, cost);
            drop(guarded);
            wake(late);
            match turn {
                Some(turn) => (turn.number, turn.at) = (number, at),
                None => {
                    let guard = self.clone();
                    *turn = Some(QueueTicket {
                        limits: guard,
                        number,
                        at,
                    });
                }
            }
            return Admission::Wait {
                at,
                recheck_at: look_again,
            };
        }
        let next = number.and_then(|number| state.queue.remove(number));
        let admission = match state.admit(now, estimate) {
            Ok((ticket, reservation)) => Admission::Proceed(AttemptPermit {
                limits: self.clone(),
                ticket,
                tokens,
                reservation,
                now,
            }),
            Err(refusal) => refusal,
        };
        drop(guarded);
        [late, next].into_iter().for_each(wake);
        *turn = None;
        admission
    }

    /// Pays for a retry after this error, if the budget suffices. An unsent request costs the provider nothing.
    pub(crate) fn withdraw_retry_token(self: &Arc<Self>, error: &Error) -> Option<RetryToken> {
        let unsent = error
            .transport()
            .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
        let throttled = matches!(error.kind(), ErrorKind::RateLimit | ErrorKind::Overloaded);
        let cost = if unsent {
            0
        } else {
            self.state().budget.withdraw(throttled)?
        };
        let guard = self.clone();
        Some(RetryToken {
            limits: guard,
            cost,
        })
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state());
        self
    }

    /// A panic while the lock was held leaves consistent state: it consists of numbers only.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Checks what does not end by waiting in the queue: the budgets and the circuit breaker.
    fn admit(
        &mut self,
        now: Time,
        estimate: &AttemptEstimate<'_>,
    ) -> Result<(Option<BreakerToken>, Reservation), Admission> {
        let reservation = self.budgets.reserve(now, estimate);
        let reservation = reservation.map_err(Admission::OverBudget)?;
        let ticket = match self.breaker.as_mut().map(|breaker| breaker.admit(now)) {
            Some(Err(until)) => {
                self.budgets.release(&reservation);
                return Err(Admission::CircuitOpen(until, self.last_failure.clone()));
            }
            admitted => admitted.and_then(Result::ok),
        };
        self.rate_limiter.take(estimate.tokens);
        self.in_flight = self.in_flight.saturating_add(1);
        Ok((ticket, reservation))
    }
}

#[derive(Debug)]
pub(crate) enum Admission {
    Proceed(AttemptPermit),
    /// Not before `at`, as known now. Without a wake-up, try again at `recheck_at`.
    Wait {
        at: Time,
        recheck_at: Time,
    },
    /// The circuit breaker is open until then, for this reason.
    CircuitOpen(Time, Option<Box<str>>),
    /// A budget does not suffice, or the price of the call is unknown.
    OverBudget(Box<Error>),
}

/// A position in the queue of the rate limiter. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct QueueTicket {
    limits: Arc<ProviderLimits>,
    number: u64,
    at: Time,
}

impl QueueTicket {
    /// Registers `waker` for the moment when another try is useful. Returns the latest such time; `None` if it is
    /// now.
    pub(crate) fn wake_by(&self, waker: &Waker) -> Option<Time> {
        let mut state = self.limits.state();
        let is_due = state.queue.wake_by(self.number, self.at, waker);
        (!is_due).then_some(self.at)
    }
}

impl Drop for QueueTicket {
    fn drop(&mut self) {
        let next = self.limits.state().queue.remove(self.number);
        wake(next);
    }
}

/// The payment for a retry that has not started. Dropping it refunds it.
#[derive(Debug)]
pub(crate) struct RetryToken {
    limits: Arc<ProviderLimits>,
    cost: u32,
}

impl RetryToken {
    /// The retry starts.
    pub(crate) fn spend(mut self) {
        self.cost = 0;
    }
}

impl Drop for RetryToken {
    fn drop(&mut self) {
        if self.cost > 0 {
            self.limits.state().budget.deposit(self.cost);
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Permit of one attempt. Dropping it releases everything except the tokens, because the request may have been sent.
#[derive(Debug)]
pub(crate) struct AttemptPermit {
    limits: Arc<ProviderLimits>,
    ticket: Option<BreakerToken>,
    tokens: u64,
    reservation: Reservation,
    now: Time,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct AttemptReport<'a> {
    pub(crate) error: Option<&'a Error>,
    pub(crate) spend: AttemptSpend<'a>,
    pub(crate) limits: &'a [RateLimit],
    pub(crate) jitter: f64,
}

impl AttemptPermit {
    pub(crate) fn complete(mut self, now: Time, report: &AttemptReport<'_>) {
        let mut state = self.limits.state();
        let outcome = report.error.map_or(Outcome::Success, outcome);
        let failure = report.error.and_then(Error::transport);
        let mut next = None;
        if failure.is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent) {
            state.rate_limiter.refund(self.tokens);
            next = state.queue.mark_first_due();
        } else if let Some(used) = report.spend.usage.usage().and_then(Usage::total) {
            state.rate_limiter.correct(self.tokens, used);
            if used < self.tokens {
                next = state.queue.mark_first_due();
            }
        }
        state.budgets.settle(&self.reservation, &report.spend);
        // Without this attempt.
        let running = state.in_flight.saturating_sub(1);
        state
            .rate_limiter
            .apply_headers(now, report.limits, running, report.jitter);
        if let (Outcome::Failure, Some(error)) = (outcome, report.error) {
            let status = error.status().map(|status| format!(" (HTTP {status})"));
            let text = [error.kind().as_str(), &status.unwrap_or_default()].concat();
            state.last_failure = Some(text.into());
        }
        if outcome == Outcome::Success {
            state.budget.on_success();
        }
        if let (Some(breaker), Some(ticket)) = (&mut state.breaker, self.ticket.take()) {
            breaker.report(ticket, outcome, now, report.jitter);
        }
        drop(state);
        wake(next);
    }

    /// Releases everything: nothing was sent.
    pub(crate) fn give_back(self) {
        let next = {
            let mut state = self.limits.state();
            state.rate_limiter.refund(self.tokens);
            state.budgets.release(&self.reservation);
            state.queue.mark_first_due()
        };
        wake(next);
    }
}

impl Drop for AttemptPermit {
    fn drop(&mut self) {
        let mut state = self.limits.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let (Some(breaker), Some(ticket)) = (&mut state.breaker, self.ticket.take()) {
            breaker.report(ticket, Outcome::Neutral, self.now, 0.0);
        }
    }
}

/// What an error says about the provider. The caller's mistakes and rate limits do not count. A connection that
/// was closed before the request was sent does not count either: servers close idle connections.
fn outcome(error: &Error) -> Outcome {
    let is_dead_connection = |failure: &TransportError| {
        failure.delivery() == RequestDelivery::NotSent
            && failure.kind() == TransportErrorKind::Reset
    };
    if error.transport().is_some_and(is_dead_connection) {
        return Outcome::Neutral;
    }
    match error.kind() {
        ErrorKind::InternalServer
        | ErrorKind::ServiceUnavailable
        | ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::Truncated
        | ErrorKind::Protocol => Outcome::Failure,
        ErrorKind::Overloaded if error.status() != Some(429) => Outcome::Failure,
        _ => Outcome::Neutral,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AttemptUsage;
    use ErrorKind::*;

    // F63
    #[test]
    fn only_the_providers_failures_count_against_it() {
        let failures = [
            InternalServer,
            ServiceUnavailable,
            Timeout,
            Connection,
            Truncated,
            Protocol,
            Overloaded,
        ];
        for kind in ErrorKind::ALL {
            let wanted = if failures.contains(kind) {
                Outcome::Failure
            } else {
                Outcome::Neutral
            };
            assert_eq!(outcome(&Error::new(*kind, "x")), wanted, "{kind}");
        }
        let busy = Error::new(Overloaded, "x").with_status(429);
        assert_eq!(outcome(&busy), Outcome::Neutral);
    }

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds.saturating_mul(1_000_000_000))
    }

    fn estimate(tokens: u64) -> AttemptEstimate<'static> {
        AttemptEstimate {
            tokens,
            cost: &|| None,
        }
    }

    fn go(guard: &Arc<ProviderLimits>, now: Time, tokens: u64) -> AttemptPermit {
        match guard.admit(now, &estimate(tokens), &mut None) {
            Admission::Proceed(attempt_permit) => attempt_permit,
            other => panic!("{other:?}"),
        }
    }

    fn wait(guard: &Arc<ProviderLimits>, now: Time, tokens: u64) -> (Time, QueueTicket) {
        let mut turn = None;
        match guard.admit(now, &estimate(tokens), &mut turn) {
            Admission::Wait { at, .. } => (at, turn.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn settle(
        attempt_permit: AttemptPermit,
        error: Option<&Error>,
        used_tokens: Option<u64>,
        limits: &[crate::chat::RateLimit],
    ) {
        let usage = used_tokens.map(|tokens| Usage {
            total_tokens: Some(tokens),
            ..Usage::default()
        });
        let report = AttemptReport {
            error,
            spend: AttemptSpend {
                usage: &AttemptUsage::new(usage.as_ref(), error.is_none()),
                cost: None,
                may_have_been_billed: true,
            },
            limits,
            jitter: 0.0,
        };
        attempt_permit.complete(Time::ZERO, &report);
    }

    #[test]
    fn stale_connection_is_not_a_provider_failure() {
        for (kind, delivery, wanted) in [
            (
                TransportErrorKind::Reset,
                RequestDelivery::NotSent,
                Outcome::Neutral,
            ),
            (
                TransportErrorKind::Reset,
                RequestDelivery::MaybeProcessed,
                Outcome::Failure,
            ),
            (
                TransportErrorKind::Connect,
                RequestDelivery::NotSent,
                Outcome::Failure,
            ),
        ] {
            let failure = TransportError::new(kind, delivery, "x");
            let error = Error::new(Connection, "x").with_transport(failure);
            assert_eq!(outcome(&error), wanted, "{kind:?} {delivery:?}");
        }
    }

    fn unsent() -> Error {
        let failure =
            TransportError::new(TransportErrorKind::Connect, RequestDelivery::NotSent, "x");
        Error::new(Connection, "x").with_transport(failure)
    }

    #[test]
    fn provider_limits_keep_their_settings() {
        let guard = Arc::new(
            ProviderLimits::new()
                .requests_per_minute(1)
                .tokens_per_minute(60),
        );
        let attempt_permit = go(&guard, at(0), 0);
        assert_eq!(wait(&guard, at(0), 0).0, at(60));
        drop(attempt_permit);
        go(&guard, at(60), 60);
        let tokens = Arc::new(ProviderLimits::new().tokens_per_minute(60));
        go(&tokens, at(0), 60);
        assert_eq!(wait(&tokens, at(0), 30).0, at(30));
    }

    #[test]
    fn dropped_queue_ticket_frees_its_position() {
        let guard = Arc::new(ProviderLimits::new().requests_per_minute(60));
        for _ in 0..60 {
            go(&guard, at(0), 0);
        }
        let (first, turn) = wait(&guard, at(0), 0);
        let (second, _kept) = wait(&guard, at(0), 0);
        assert_eq!((first, second), (at(1), at(2)));
        drop(turn);
        assert_eq!(wait(&guard, at(0), 0).0, at(2));
    }

    // F67
    #[test]
    fn circuit_open_error_names_the_failures() {
        let guard =
            Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
        let failure = Error::new(ServiceUnavailable, "x").with_status(503);
        for _ in 0..5 {
            settle(go(&guard, at(0), 0), Some(&failure), None, &[]);
        }
        let Admission::CircuitOpen(_, Some(reason)) = guard.admit(at(0), &estimate(0), &mut None)
        else {
            panic!("not open")
        };
        assert_eq!(&*reason, "service_unavailable (HTTP 503)");
    }

    // F68, F69
    #[test]
    fn response_usage_corrects_the_token_bucket() {
        let limit = crate::chat::RateLimit {
            name: "tokens-minute".into(),
            limit: None,
            remaining: Some(0),
            reset: Some(std::time::Duration::from_secs(7)),
        };
        let limits = [limit];
        let learning = Arc::new(ProviderLimits::new().honor_rate_limit_headers());
        settle(go(&learning, at(0), 0), None, None, &limits);
        assert_eq!(wait(&learning, at(0), 0).0, at(7));

        let guard = || Arc::new(ProviderLimits::new().tokens_per_minute(60));
        let corrected = guard();
        settle(go(&corrected, at(0), 60), None, Some(20), &limits);
        assert_eq!(wait(&corrected, at(0), 60).0, at(20));
        let refunded = guard();
        settle(go(&refunded, at(0), 60), Some(&unsent()), None, &[]);
        go(&refunded, at(0), 60);
    }

    // F56, F59
    #[test]
    fn a_retry_is_paid_for_unless_the_request_was_not_sent() {
        let guard = Arc::new(ProviderLimits::new());
        guard.withdraw_retry_token(&unsent()).unwrap().spend();
        assert_eq!(guard.retry_budget(), 100);
        for left in (0..10).rev() {
            let failure = Error::new(ServiceUnavailable, "x");
            drop(guard.withdraw_retry_token(&failure).unwrap());
            guard.withdraw_retry_token(&failure).unwrap().spend();
            assert_eq!(guard.retry_budget(), left * 10);
        }
        assert!(
            guard
                .withdraw_retry_token(&Error::new(Overloaded, "x"))
                .is_none()
        );
        let failure = Error::new(ServiceUnavailable, "x");
        settle(go(&guard, at(0), 0), Some(&failure), None, &[]);
        assert_eq!(guard.retry_budget(), 0);
        settle(go(&guard, at(0), 0), None, None, &[]);
        assert_eq!(guard.retry_budget(), 1);
    }

    // F118
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a second thread")]
    fn a_panic_while_locked_does_not_poison_the_limits() {
        let guard = Arc::new(ProviderLimits::new());
        let poisoned = guard.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            let _held = poisoned.0.lock();
            panic!("while the lock is held");
        });
        assert!(thread.unwrap().join().is_err());
        assert!(guard.0.is_poisoned());
        let attempt_permit = guard.admit(Time::ZERO, &estimate(0), &mut None);
        assert!(matches!(attempt_permit, Admission::Proceed(_)));
        assert_eq!(guard.in_flight(), 1);
        drop(attempt_permit);
        assert_eq!(guard.in_flight(), 0);
    }
}
