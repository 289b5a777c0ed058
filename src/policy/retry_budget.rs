/// A budget for the retries of all calls to a provider, so that an outage does not multiply the load on it.
///
/// It is full at first. A retry costs ten, after a rate limit or overload five; a success adds one. In the long run
/// that is one retry for ten successes.
#[derive(Debug)]
pub(super) struct RetryBudget(u32);

const FULL: u32 = 100;
const RETRY: u32 = 10;
const THROTTLED: u32 = 5;

impl RetryBudget {
    pub(super) fn full() -> Self {
        RetryBudget(FULL)
    }

    pub(super) fn available(&self) -> u32 {
        self.0
    }

    /// Pays for a retry, if the budget suffices. Returns the cost.
    pub(super) fn withdraw(&mut self, throttled: bool) -> Option<u32> {
        let cost = if throttled { THROTTLED } else { RETRY };
        self.0 = self.0.checked_sub(cost)?;
        Some(cost)
    }

    /// Refunds the payment for a retry that did not start.
    pub(super) fn deposit(&mut self, cost: u32) {
        self.0 = self.0.saturating_add(cost).min(FULL);
    }

    pub(super) fn on_success(&mut self) {
        self.0 = self.0.saturating_add(1).min(FULL);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        // F56, F118
        #[test]
        fn retries_stay_within_a_tenth_of_the_successes_and_the_first_hundred(
            steps in vec(any::<Option<bool>>(), 0..500)
        ) {
            let mut budget = RetryBudget::full();
            let (mut spent, mut earned, mut left) = (0, 0, FULL);
            for step in steps {
                prop_assert_eq!(budget.available(), left);
                match step {
                    Some(throttled) => {
                        let cost = if throttled { 5 } else { 10 };
                        let paid = budget.withdraw(throttled);
                        prop_assert_eq!(paid, (left >= cost).then_some(cost));
                        if paid.is_some() {
                            spent += cost;
                            left -= cost;
                        }
                    }
                    None => {
                        budget.on_success();
                        earned += 1;
                        left = (left + 1).min(FULL);
                    }
                }
                prop_assert!(spent <= 100 + earned);
            }
        }
    }
}
