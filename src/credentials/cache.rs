//! The token that calls share: whether it is valid, and which call fetches the next one. It reads no clock: the time
//! is an argument.

use super::{
    Credentials, Token,
    errors::{Failure, refused},
    fetch::{FETCH_LIMIT, Moment},
    token::Expiry,
};
use crate::{Error, sans_io::shifted};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai_transport::Time;

const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);
const MAX_MARGIN: Duration = Duration::from_secs(30);
/// The wait after a failed early renewal, while the old token is still valid.
const RETRY_AHEAD: Duration = Duration::from_secs(10);
/// For this time all calls get the error of a failed fetch, instead of fetching again.
const REFUSED_FOR: Duration = Duration::from_secs(5);
const UNREACHABLE_FOR: Duration = Duration::from_secs(1);
/// A token that the provider refuses earlier was never valid; a new one would be refused too.
const MIN_AGE_TO_RENEW: Duration = Duration::from_secs(60);
/// How much longer an expired but stable token ([`Token::stable`]) is used before the next attempt to renew it.
const STABLE_FOR: Duration = Duration::from_secs(10 * 60);
/// A fetch whose call is this late with a due step is taken over by another call.
pub(super) const UNPOLLED: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Slot {
    held: Option<Held>,
    flight: Option<Flight>,
    failed: Option<Failed>,
    retry_ahead_at: Time,
    /// The number of the last token and of the last fetch.
    serial: u64,
}

struct Held {
    token: Arc<Token>,
    serial: u64,
    skew: i64,
    fetched: Time,
    /// After it, one call renews the token while the others use it.
    ahead: Deadline,
    /// After it, the token is used only if it cannot be renewed.
    must: Deadline,
    end: Deadline,
}

/// A time on both clocks. It has passed as soon as one of them has passed it: the monotonic clock may stop while a
/// computer sleeps, and the wall clock may be set.
#[derive(Clone, Copy)]
struct Deadline(Option<(Time, SystemTime)>);

struct Flight {
    id: u64,
    /// After it, another call may start its own fetch.
    until: Time,
}

struct Failed {
    until: Time,
    failure: Failure,
}

/// A call's next action for the token.
pub(crate) enum Claim {
    Use(Claimed),
    /// Fetch one.
    Lead(Lease),
    /// Another call fetches one: check again soon.
    Wait,
    Failed(Error),
}

/// A token, for one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) token: Arc<Token>,
    serial: u64,
    /// The issuing server's clock minus the local one, in seconds, if they differ much.
    pub(crate) skew: i64,
    /// Remaining validity; `None` means unlimited.
    left: Option<Duration>,
}

impl Claimed {
    /// The token with its remaining lifetime.
    pub(super) fn into_token(self) -> Token {
        let token = Token::clone(&self.token);
        match self.left {
            Some(left) => token.expires_in(left),
            None => token.never_expires(),
        }
    }
}

/// The right to fetch. If dropped without a result, it passes to the next call that checks.
#[derive(Debug)]
pub(crate) struct Lease {
    credentials: Credentials,
    id: u64,
}

/// The measurements of a fetch.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    /// The time at which the last request was sent.
    pub(super) sent: Time,
    pub(super) skew: i64,
}

impl Credentials {
    pub(crate) fn claim(&self, moment: Moment) -> Claim {
        let mut slot = self.slot();
        let has_flight = slot
            .flight
            .as_ref()
            .is_some_and(|flight| moment.now < flight.until);
        if let Some(held) = &slot.held {
            let is_renewed = has_flight || moment.now < slot.retry_ahead_at;
            if !held.must.has_come(moment) && (is_renewed || !held.ahead.has_come(moment)) {
                return Claim::Use(held.claimed(moment));
            }
        }
        if has_flight {
            return Claim::Wait;
        }
        if let Some(failed) = slot
            .failed
            .as_ref()
            .filter(|failed| moment.now < failed.until)
        {
            return match slot.held.as_ref().filter(|held| !held.end.has_come(moment)) {
                Some(held) => Claim::Use(held.claimed(moment)),
                None => Claim::Failed(failed.failure.error()),
            };
        }
        slot.serial = slot.serial.wrapping_add(1);
        let id = slot.serial;
        slot.flight = Some(Flight {
            id,
            until: moment.now.saturating_add(UNPOLLED),
        });
        drop(slot);
        Claim::Lead(Lease {
            credentials: self.clone(),
            id,
        })
    }

    /// Records that the provider refused this token as expired or unknown. Returns whether the request may be sent
    /// again with another one.
    pub(crate) fn reject(&self, claimed: &Claimed, moment: Moment) -> bool {
        let mut slot = self.slot();
        let Some(held) = slot
            .held
            .as_ref()
            .filter(|held| held.serial == claimed.serial)
        else {
            return true;
        };
        if moment.now.saturating_since(held.fetched) < MIN_AGE_TO_RENEW {
            return false;
        }
        slot.forget();
        true
    }
}

impl Slot {
    pub(super) fn forget(&mut self) {
        self.held = None;
        self.failed = None;
        self.retry_ahead_at = Time::ZERO;
    }

    fn has_flight(&self, id: u64) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.id == id)
    }

    fn end_flight(&mut self, id: u64) {
        if self.has_flight(id) {
            self.flight = None;
        }
    }
}

impl Lease {
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The call that fetches is active, and its next step is due at `due`. `limit` is the end of the fetch.
    pub(super) fn extend(&self, due: Time, limit: Time) {
        let due = match self.credentials.0.exclusive {
            true => limit,
            false => due.min(limit),
        };
        let mut slot = self.credentials.slot();
        if let Some(flight) = slot.flight.as_mut().filter(|flight| flight.id == self.id) {
            flight.until = due.saturating_add(UNPOLLED);
        }
    }

    /// Prevents a takeover by another call until the end of the fetch's time limit.
    pub(super) fn keep(&self) {
        let mut slot = self.credentials.slot();
        if let Some(flight) = slot.flight.as_mut().filter(|flight| flight.id == self.id) {
            flight.until = flight.until.saturating_add(FETCH_LIMIT);
        }
    }

    /// Passes a token to all calls. `unit` is a random number from 0 to 1.
    pub(super) fn publish(
        &self,
        token: Token,
        timing: Timing,
        moment: Moment,
        unit: f64,
    ) -> Result<(), Error> {
        let left = remaining(&token, timing, moment);
        let left = match left {
            Some(left) if left.is_zero() && token.stable => Some(STABLE_FOR),
            Some(left) if left.is_zero() => {
                return Err(refused(
                    "the token that it gave has expired already: is the clock of this machine right?",
                ));
            }
            left => left,
        };
        let mut slot = self.credentials.slot();
        let end = Deadline::after(moment, left);
        let was_taken_over = !slot.has_flight(self.id);
        let keeps_other = was_taken_over
            && slot
                .held
                .as_ref()
                .is_some_and(|held| !held.end.is_before(end));
        slot.end_flight(self.id);
        if keeps_other {
            return Ok(());
        }
        slot.serial = slot.serial.wrapping_add(1);
        let before_end =
            |time: Duration| Deadline::after(moment, left.map(|left| left.saturating_sub(time)));
        let quarter = left.map_or(Duration::ZERO, |left| left.mul_f64(0.25));
        let ahead = token.renew_ahead.unwrap_or(MAX_AHEAD).min(quarter);
        slot.held = Some(Held {
            serial: slot.serial,
            skew: timing.skew,
            fetched: moment.now,
            ahead: before_end(ahead.mul_f64(0.9 + 0.2 * unit).min(quarter)),
            must: before_end(left.map_or(Duration::ZERO, |left| left.mul_f64(0.1).min(MAX_MARGIN))),
            end,
            token: Arc::new(token),
        });
        slot.failed = None;
        slot.retry_ahead_at = Time::ZERO;
        Ok(())
    }

    /// The fetch failed. An existing token is kept.
    pub(super) fn fail(&self, failure: Failure, moment: Moment) {
        let mut slot = self.credentials.slot();
        if !slot.has_flight(self.id) {
            return;
        }
        slot.flight = None;
        slot.retry_ahead_at = moment.now.saturating_add(RETRY_AHEAD);
        let wait = match failure.retryable {
            true => UNREACHABLE_FOR,
            false => REFUSED_FOR,
        };
        slot.failed = Some(Failed {
            until: moment.now.saturating_add(wait),
            failure,
        });
        if let Some(held) = slot.held.as_mut().filter(|held| held.token.stable) {
            if held.must.has_come(moment) {
                let later = Deadline::after(moment, Some(STABLE_FOR));
                (held.ahead, held.must, held.end) = (later, later, later);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.credentials.slot().end_flight(self.id);
    }
}

/// Remaining validity of a token; `None` means unlimited.
fn remaining(token: &Token, timing: Timing, moment: Moment) -> Option<Duration> {
    match token.expiry {
        Expiry::Never => None,
        Expiry::After(lifetime) => {
            let end = timing.sent.saturating_add(lifetime);
            Some(end.saturating_since(moment.now))
        }
        Expiry::At(end) => {
            let server = shifted(moment.wall, timing.skew);
            let left = end.duration_since(server).ok();
            Some(left.unwrap_or(Duration::ZERO))
        }
    }
}

impl Held {
    fn claimed(&self, moment: Moment) -> Claimed {
        Claimed {
            token: self.token.clone(),
            serial: self.serial,
            skew: self.skew,
            left: self.end.left(moment),
        }
    }
}

impl Deadline {
    fn after(moment: Moment, left: Option<Duration>) -> Deadline {
        Deadline(left.and_then(|left| {
            let wall = moment.wall.checked_add(left)?;
            Some((moment.now.saturating_add(left), wall))
        }))
    }

    fn has_come(self, moment: Moment) -> bool {
        self.0
            .is_some_and(|(time, wall)| time <= moment.now || wall <= moment.wall)
    }

    fn left(self, moment: Moment) -> Option<Duration> {
        let (time, wall) = self.0?;
        let by_wall = wall.duration_since(moment.wall).unwrap_or_default();
        Some(time.saturating_since(moment.now).min(by_wall))
    }

    fn is_before(self, other: Deadline) -> bool {
        match (self.0, other.0) {
            (Some((time, _)), Some((other, _))) => time < other,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use std::time::UNIX_EPOCH;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        let after = Duration::from_secs(seconds);
        Moment {
            now: Time::ZERO.saturating_add(after),
            wall: UNIX_EPOCH + Duration::from_secs(1_795_953_600) + after,
        }
    }

    fn credentials() -> Credentials {
        Credentials::from_fn("test", || Err(refused("not called")))
    }

    fn token(seconds: u64) -> Token {
        Token::bearer(Secret::new("t").unwrap()).expires_in(Duration::from_secs(seconds))
    }

    fn lead(credentials: &Credentials, moment: Moment) -> Lease {
        match credentials.claim(moment) {
            Claim::Lead(lease) => lease,
            other => panic!("no lease: {}", name(&other)),
        }
    }

    fn name(claim: &Claim) -> &'static str {
        match claim {
            Claim::Use(_) => "use",
            Claim::Lead(_) => "lead",
            Claim::Wait => "wait",
            Claim::Failed(_) => "failed",
        }
    }

    fn publish(lease: &Lease, token: Token, moment: Moment) -> Result<(), Error> {
        let timing = Timing {
            sent: moment.now,
            skew: 0,
        };
        lease.publish(token, timing, moment, 0.5)
    }

    fn failure(retryable: bool) -> Failure {
        let error = refused("no").with_retryable(retryable);
        Failure::new("test", &error, &[])
    }

    #[test]
    fn one_call_fetches_and_the_others_wait() {
        let credentials = credentials();
        let lease = lead(&credentials, at(0));
        assert_eq!(name(&credentials.claim(at(0))), "wait");
        publish(&lease, token(3600), at(0)).unwrap();
        assert_eq!(name(&credentials.claim(at(0))), "use");
    }

    #[test]
    fn another_call_takes_over_when_the_first_is_dropped_or_not_polled() {
        let credentials = credentials();
        drop(lead(&credentials, at(0)));
        let unpolled = lead(&credentials, at(0));
        unpolled.extend(at(5).now, at(30).now);
        assert_eq!(name(&credentials.claim(at(5))), "wait");
        let second = lead(&credentials, at(6));
        publish(&second, token(3600), at(6)).unwrap();
        // What the first one gets in the end is older, and must not replace the newer one.
        publish(&unpolled, token(60), at(7)).unwrap();
        assert_eq!(name(&credentials.claim(at(600))), "use");
    }

    #[test]
    fn a_token_is_renewed_ahead_by_one_call_while_the_others_use_it() {
        let credentials = credentials();
        publish(&lead(&credentials, at(0)), token(3600), at(0)).unwrap();
        assert_eq!(name(&credentials.claim(at(3299))), "use");
        let ahead = lead(&credentials, at(3300));
        assert_eq!(name(&credentials.claim(at(3300))), "use");
        ahead.fail(failure(true), at(3300));
        assert_eq!(name(&credentials.claim(at(3309))), "use");
        drop(lead(&credentials, at(3310)));
        assert_eq!(name(&credentials.claim(at(3570))), "lead");
    }

    #[test]
    fn a_short_life_is_renewed_in_its_last_quarter() {
        let credentials = credentials();
        publish(&lead(&credentials, at(0)), token(40), at(0)).unwrap();
        assert_eq!(name(&credentials.claim(at(29))), "use");
        assert_eq!(name(&credentials.claim(at(30))), "lead");
    }

    #[test]
    fn a_failed_renewal_leaves_the_old_token_until_its_end() {
        let credentials = credentials();
        publish(&lead(&credentials, at(0)), token(3600), at(0)).unwrap();
        lead(&credentials, at(3590)).fail(failure(false), at(3590));
        assert_eq!(name(&credentials.claim(at(3591))), "use");
        lead(&credentials, at(3598)).fail(failure(false), at(3598));
        assert_eq!(name(&credentials.claim(at(3601))), "failed");
        assert_eq!(name(&credentials.claim(at(3603))), "lead");
    }

    #[test]
    fn calls_share_a_failure_for_a_while() {
        for (retryable, seconds) in [(true, 1), (false, 5)] {
            let credentials = credentials();
            lead(&credentials, at(0)).fail(failure(retryable), at(0));
            assert_eq!(name(&credentials.claim(at(seconds - 1))), "failed");
            assert_eq!(name(&credentials.claim(at(seconds))), "lead");
        }
    }

    #[test]
    fn either_clock_ends_a_token() {
        let credentials = credentials();
        publish(&lead(&credentials, at(0)), token(3600), at(0)).unwrap();
        let slept = Moment {
            now: at(10).now,
            wall: at(4000).wall,
        };
        assert_eq!(name(&credentials.claim(slept)), "lead");
        let set_back = Moment {
            now: at(4000).now,
            wall: at(10).wall,
        };
        assert_eq!(name(&credentials.claim(set_back)), "lead");
    }

    #[test]
    fn an_expired_token_is_an_error_unless_it_is_stable() {
        let credentials = credentials();
        let past = at(0).wall - SECOND;
        let lease = lead(&credentials, at(0));
        let old = || token(1).expires_at(past);
        let error = publish(&lease, old(), at(0)).unwrap_err();
        assert!(error.message().contains("expired already"), "{error}");
        publish(&lease, old().stable(), at(0)).unwrap();
        assert_eq!(name(&credentials.claim(at(400))), "use");
        let renewal = lead(&credentials, at(599));
        renewal.fail(failure(true), at(599));
        assert_eq!(name(&credentials.claim(at(1198))), "use");
    }

    #[test]
    fn the_servers_clock_decides_about_an_absolute_end() {
        let moment = at(0);
        let token = token(1).expires_at(moment.wall + 3600 * SECOND);
        for (skew, seconds) in [(0, 3600), (-7200, 10_800), (1800, 1800), (7200, 0)] {
            let timing = Timing {
                sent: moment.now,
                skew,
            };
            assert_eq!(remaining(&token, timing, moment), Some(seconds * SECOND));
        }
    }

    #[test]
    fn a_refused_token_is_renewed_only_if_it_was_good_for_a_while() {
        let credentials = credentials();
        publish(&lead(&credentials, at(0)), token(3600), at(0)).unwrap();
        let Claim::Use(claimed) = credentials.claim(at(1)) else {
            panic!("no token");
        };
        assert!(!credentials.reject(&claimed, at(59)));
        assert_eq!(name(&credentials.claim(at(59))), "use");
        assert!(credentials.reject(&claimed, at(60)));
        publish(&lead(&credentials, at(60)), token(3600), at(60)).unwrap();
        // Another call renewed it: nothing is dropped.
        assert!(credentials.reject(&claimed, at(61)));
        assert_eq!(name(&credentials.claim(at(61))), "use");
    }
}
