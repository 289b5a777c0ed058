//! Limits of what calls may spend.

use crate::{
    Error, ErrorKind,
    cost::{AttemptUsage, Cost, Usd},
};
use std::time::Duration;
use unifiedai_transport::Time;

/// A limit of money or tokens for a period of time, for [`ProviderLimits::budget`](super::ProviderLimits::budget).
///
/// The first attempt starts the first period; the next one starts with the first attempt after its end. Before an
/// attempt is sent, its estimate is reserved: a quarter of the request's bytes as input, and
/// [`max_tokens`](crate::ChatRequest::max_tokens) as output. An estimate that does not fit is refused with
/// [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded), code `budget_exceeded`, and nothing is sent. Afterwards the
/// reported usage replaces the estimate. An attempt that is certainly not billed is not counted; one whose usage is
/// unknown, such as a dropped call, counts with its estimate. Without `max_tokens` the output of running attempts is not
/// reserved, so that the limit can be exceeded by it.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use unifiedai::{cost::Usd, policy::{Budget, ProviderLimits}};
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let limits = ProviderLimits::new()
///     .budget(Budget::usd(Usd::from_cents(10_00), DAY)) // needs `CallOptions::prices`
///     .budget(Budget::tokens(1_000_000, DAY / 24));
/// # let _ = Arc::new(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    unit: Unit,
    /// In units of [`Usd`], or tokens.
    limit: i128,
    period: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Usd,
    Tokens,
}

impl Budget {
    /// Limits the money that is spent in each period. Calls need [prices](crate::CallOptions::prices); a call whose price
    /// is not known is refused.
    #[must_use]
    pub fn usd(limit: Usd, period: Duration) -> Self {
        Budget {
            unit: Unit::Usd,
            limit: limit.units(),
            period,
        }
    }

    /// Limits the tokens, input and output, that are used in each period.
    #[must_use]
    pub fn tokens(limit: u64, period: Duration) -> Self {
        Budget {
            unit: Unit::Tokens,
            limit: limit.into(),
            period,
        }
    }
}

/// What an attempt is expected to use.
pub(crate) struct AttemptEstimate<'a> {
    pub(crate) tokens: u64,
    /// The price of the tokens; `None` without prices. It is not needed for most calls.
    pub(crate) cost: &'a dyn Fn() -> Option<Cost>,
}

/// What an attempt used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptSpend<'a> {
    pub(crate) usage: &'a AttemptUsage,
    pub(crate) cost: Option<&'a Cost>,
    pub(crate) may_have_been_billed: bool,
}

/// The budgets of a provider.
#[derive(Debug, Default)]
pub(super) struct Budgets(Vec<Account>);

#[derive(Debug)]
struct Account {
    budget: Budget,
    spent: i128,
    /// The end of the current period, and how many there were.
    until: Option<Time>,
    period: u64,
}

/// What an attempt reserved in each budget. Dropping it leaves the reservation in place, because the request may have been
/// sent.
#[derive(Debug, Default)]
pub(super) struct Reservation(Vec<Reserved>);

#[derive(Debug)]
struct Reserved {
    amount: i128,
    period: u64,
}

impl Budgets {
    pub(super) fn add(&mut self, budget: Budget) {
        self.0.push(Account {
            budget,
            spent: 0,
            until: None,
            period: 0,
        });
    }

    /// Reserves the estimate in every budget, or in none.
    pub(super) fn reserve(
        &mut self,
        now: Time,
        estimate: &AttemptEstimate<'_>,
    ) -> Result<Reservation, Box<Error>> {
        if self.0.is_empty() {
            return Ok(Reservation::default());
        }
        let mut reserved = Vec::with_capacity(self.0.len());
        for account in &mut self.0 {
            account.begin_period(now);
            let amount = account.budget.estimated(estimate)?;
            account.check(now, amount)?;
            let period = account.period;
            reserved.push(Reserved { amount, period });
        }
        for (account, reserved) in self.0.iter_mut().zip(&reserved) {
            account.spent = account.spent.saturating_add(reserved.amount);
        }
        Ok(Reservation(reserved))
    }

    /// Replaces a reservation by what was used.
    pub(super) fn settle(&mut self, reservation: &Reservation, spend: &AttemptSpend<'_>) {
        for (account, reserved) in self.0.iter_mut().zip(&reservation.0) {
            account.replace(reserved, account.budget.used(spend));
        }
    }

    /// Takes back a reservation: nothing was sent.
    pub(super) fn release(&mut self, reservation: &Reservation) {
        for (account, reserved) in self.0.iter_mut().zip(&reservation.0) {
            account.replace(reserved, Some(0));
        }
    }
}

impl Account {
    fn begin_period(&mut self, now: Time) {
        if self.until.is_none_or(|until| until <= now) {
            self.until = Some(now.saturating_add(self.budget.period));
            self.period = self.period.saturating_add(1);
            self.spent = 0;
        }
    }

    fn check(&self, now: Time, amount: i128) -> Result<(), Box<Error>> {
        let left = self.budget.limit.saturating_sub(self.spent);
        if amount <= left {
            return Ok(());
        }
        let wait = self.until.unwrap_or(now).saturating_since(now);
        let budget = &self.budget;
        let message = format!(
            "the budget of {} in {:?} is used up: {} is left, the call needs about {}; the next period begins in {wait:.0?}",
            budget.shown(budget.limit),
            budget.period,
            budget.shown(left.max(0)),
            budget.shown(amount),
        );
        let error = Error::new(ErrorKind::QuotaExceeded, message).with_code("budget_exceeded");
        Err(Box::new(error.with_retry_after(wait)))
    }

    /// `None`: the reservation counts as used. A reservation of an earlier period no longer counts.
    fn replace(&mut self, reserved: &Reserved, used: Option<i128>) {
        if let (true, Some(used)) = (reserved.period == self.period, used) {
            let others = self.spent.saturating_sub(reserved.amount);
            self.spent = others.saturating_add(used);
        }
    }
}

impl Budget {
    fn estimated(&self, estimate: &AttemptEstimate<'_>) -> Result<i128, Box<Error>> {
        if self.unit == Unit::Tokens {
            return Ok(estimate.tokens.into());
        }
        let cost = (estimate.cost)();
        if let Some(total) = cost.as_ref().and_then(Cost::total) {
            return Ok(total.units());
        }
        let why = match cost {
            Some(cost) => format!("no price is known for: {}", cost.unknown.join(", ")),
            None => "`CallOptions::prices` is not set".to_owned(),
        };
        let message = format!("the call cannot be counted against a budget in dollars: {why}");
        let error = Error::new(ErrorKind::InvalidRequest, message);
        Err(Box::new(error.with_code("unknown_price")))
    }

    /// `None` if it is not known.
    fn used(&self, spend: &AttemptSpend<'_>) -> Option<i128> {
        if !spend.may_have_been_billed {
            return Some(0);
        }
        // A part of the usage says nothing about the rest.
        let AttemptUsage::Reported(usage) = spend.usage else {
            return None;
        };
        match self.unit {
            Unit::Usd => spend.cost?.total().map(Usd::units),
            Unit::Tokens => usage.total().map(i128::from),
        }
    }

    fn shown(&self, amount: i128) -> String {
        match self.unit {
            Unit::Usd => format!("${}", Usd::from_units(amount)),
            Unit::Tokens => format!("{amount} tokens"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Usage;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn budgets(list: &[Budget]) -> Budgets {
        let mut budgets = Budgets::default();
        list.iter().for_each(|budget| budgets.add(*budget));
        budgets
    }

    fn reserve(budgets: &mut Budgets, now: Time, tokens: u64) -> Result<Reservation, Error> {
        let cost = || Some(Cost::new(Usd::from_cents(1)).times(tokens));
        let estimate = AttemptEstimate {
            tokens,
            cost: &cost,
        };
        budgets.reserve(now, &estimate).map_err(|error| *error)
    }

    fn spend(tokens: Option<u64>, billed: bool) -> (AttemptUsage, Cost, bool) {
        let usage = tokens.map(|tokens| Usage {
            total_tokens: Some(tokens),
            ..Usage::default()
        });
        let cost = match tokens {
            Some(tokens) => Cost::new(Usd::from_cents(1)).times(tokens),
            None => Cost::unknown("tokens"),
        };
        (AttemptUsage::new(usage.as_ref(), true), cost, billed)
    }

    fn settle(
        budgets: &mut Budgets,
        reservation: &Reservation,
        spent: &(AttemptUsage, Cost, bool),
    ) {
        let spend = AttemptSpend {
            usage: &spent.0,
            cost: Some(&spent.1),
            may_have_been_billed: spent.2,
        };
        budgets.settle(reservation, &spend);
    }

    #[test]
    fn the_estimate_is_replaced_by_what_was_used() {
        for budget in [
            Budget::tokens(100, HOUR),
            Budget::usd(Usd::from_cents(100), HOUR),
        ] {
            let mut budgets = budgets(&[budget]);
            let first = reserve(&mut budgets, at(0), 60).unwrap();
            assert!(reserve(&mut budgets, at(1), 60).is_err());
            settle(&mut budgets, &first, &spend(Some(10), true));
            let second = reserve(&mut budgets, at(2), 60).unwrap();
            // Nothing is known of this one, so that its estimate counts.
            settle(&mut budgets, &second, &spend(None, true));
            assert!(reserve(&mut budgets, at(3), 31).is_err());
            let third = reserve(&mut budgets, at(3), 30).unwrap();
            // This one is certainly not billed.
            settle(&mut budgets, &third, &spend(None, false));
            let fourth = reserve(&mut budgets, at(4), 30).unwrap();
            budgets.release(&fourth);
            reserve(&mut budgets, at(5), 30).unwrap();
        }
    }

    #[test]
    fn the_refusal_says_what_is_left_and_when_there_is_more() {
        let mut one = budgets(&[Budget::usd(Usd::from_cents(100), HOUR)]);
        reserve(&mut one, at(0), 75).unwrap();
        let error = reserve(&mut one, at(600), 50).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(error.code(), Some("budget_exceeded"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3000)));
        for part in ["$1 in 3600s", "$0.25 is left", "about $0.5;", "in 3000s"] {
            assert!(error.message().contains(part), "{error}");
        }
        reserve(&mut one, at(3600), 50).unwrap();
    }

    #[test]
    fn a_reservation_of_an_earlier_period_no_longer_counts() {
        let mut budgets = budgets(&[Budget::tokens(100, HOUR)]);
        let old = reserve(&mut budgets, at(0), 100).unwrap();
        reserve(&mut budgets, at(4000), 90).unwrap();
        settle(&mut budgets, &old, &spend(Some(0), true));
        assert!(reserve(&mut budgets, at(4001), 11).is_err());
    }

    #[test]
    fn a_call_that_one_budget_refuses_reserves_nothing_in_the_others() {
        let mut budgets = budgets(&[Budget::tokens(100, HOUR), Budget::tokens(10, HOUR)]);
        assert!(reserve(&mut budgets, at(0), 11).is_err());
        reserve(&mut budgets, at(0), 10).unwrap();
        assert_eq!(budgets.0[0].spent, 10);
    }

    #[test]
    fn an_unknown_price_is_refused() {
        let mut budgets = budgets(&[Budget::usd(Usd::from_cents(1), HOUR)]);
        for (cost, why) in [
            (None, "`CallOptions::prices` is not set"),
            (Some(Cost::unknown("model")), "no price is known for: model"),
        ] {
            let cost = || cost.clone();
            let estimate = AttemptEstimate {
                tokens: 1,
                cost: &cost,
            };
            let error = budgets.reserve(at(0), &estimate).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert_eq!(error.code(), Some("unknown_price"));
            assert!(error.message().contains(why), "{error}");
        }
    }
}
