use std::{task::Waker, time::Duration};
use unifiedai_transport::Time;

/// The calls that wait for the rate limiter, in FIFO order.
///
/// The first one is woken as soon as it is the first. The cost ahead of a waiter is found in logarithmic time, so
/// that many waiters cost no more each than a few do.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    /// The last number that was assigned.
    last: u64,
    /// Ascending by number. Slots of waiters that left are removed when there are too many of them.
    slots: Vec<(u64, Option<QueueEntry>)>,
    /// The slot of the first waiter, or the number of slots.
    first: usize,
    /// Slots whose waiter left.
    empty_slots: usize,
    costs: PrefixSums,
}

/// What requests cost in the rate limiter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) requests: u64,
    pub(super) tokens: u128,
}

#[derive(Debug)]
struct QueueEntry {
    cost: Cost,
    /// A waiter that has not returned by then loses its position, because it may never be driven again.
    expires_at: Time,
    waker: Option<Waker>,
    /// Whether the reason of its wait may have ended since it last tried.
    is_due: bool,
}

/// A waiter with others ahead and without a waker tries again after this time at the latest, because those may have
/// left.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How late a waiter may return without losing its position.
const GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Empty slots that are kept.
const MAX_EMPTY_SLOTS: usize = 64;

impl WaitQueue {
    /// Removes expired waiters at the front. Returns the waker of the new first one.
    pub(super) fn drop_expired(&mut self, now: Time) -> Option<Waker> {
        let mut waker = None;
        while let Some((_, Some(first))) = self.slots.get(self.first) {
            if now <= first.expires_at {
                break;
            }
            waker = self.clear_slot(self.first);
        }
        waker
    }

    /// The total cost of the waiters before this number; for a new one, of all.
    pub(super) fn cost_ahead(&self, number: Option<u64>) -> Cost {
        let slot = number.and_then(|number| self.slot(number));
        self.costs.before(slot.unwrap_or(self.slots.len()))
    }

    /// Keeps the position of this number, or appends a new waiter. It may proceed at `at`, if no earlier waiter
    /// leaves. Returns the number, and when to try again without a wake-up.
    pub(super) fn enqueue(
        &mut self,
        number: Option<u64>,
        now: Time,
        at: Time,
        cost: Cost,
    ) -> (u64, Time) {
        let slot = number
            .and_then(|number| self.slot(number))
            .unwrap_or_else(|| self.push(cost));
        let look_again = if slot == self.first {
            at
        } else {
            at.min(now.saturating_add(RECHECK_INTERVAL))
        };
        let number = match self.slots.get_mut(slot) {
            Some((number, Some(waiting))) => {
                waiting.expires_at = look_again.saturating_add(GRACE_PERIOD);
                waiting.is_due = false;
                *number
            }
            _ => self.last,
        };
        (number, look_again)
    }

    /// Registers `waker` for the moment when this number is the first, or the reason of its wait has ended. The
    /// waiter tries again at `at` anyway. Returns whether it is due already.
    pub(super) fn wake_by(&mut self, number: u64, at: Time, waker: &Waker) -> bool {
        let slot = self.slot(number);
        let Some((_, Some(waiting))) = slot.and_then(|slot| self.slots.get_mut(slot)) else {
            return true;
        };
        if waiting.is_due {
            return true;
        }
        waiting.expires_at = at.saturating_add(GRACE_PERIOD);
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    /// Removes this position. Returns the waker of the first waiter, if that changed.
    pub(super) fn remove(&mut self, number: u64) -> Option<Waker> {
        let slot = self.slot(number)?;
        self.clear_slot(slot)
    }

    /// The first waiter can proceed earlier than last reported. Returns its waker.
    pub(super) fn mark_first_due(&mut self) -> Option<Waker> {
        let first = self.slots.get_mut(self.first)?.1.as_mut()?;
        first.is_due = true;
        first.waker.take()
    }

    fn slot(&self, number: u64) -> Option<usize> {
        let slot = self
            .slots
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        self.slots.get(slot)?.1.as_ref().map(|_| slot)
    }

    fn push(&mut self, cost: Cost) -> usize {
        let slot = self.slots.len();
        self.last = self.last.saturating_add(1);
        self.costs.push(cost);
        let waiting = QueueEntry {
            cost,
            expires_at: Time::MAX,
            waker: None,
            is_due: false,
        };
        self.slots.push((self.last, Some(waiting)));
        slot
    }

    fn clear_slot(&mut self, slot: usize) -> Option<Waker> {
        let left = self.slots.get_mut(slot)?.1.take()?;
        self.costs.take(slot, left.cost);
        self.empty_slots = self.empty_slots.saturating_add(1);
        let was_first = slot == self.first;
        while let Some((_, None)) = self.slots.get(self.first) {
            self.first = self.first.saturating_add(1);
        }
        if self.empty_slots > MAX_EMPTY_SLOTS
            && self.empty_slots.saturating_mul(2) > self.slots.len()
        {
            self.compact();
        }
        if was_first {
            self.mark_first_due()
        } else {
            None
        }
    }

    /// Removes empty slots. On average each slot is moved once for each waiter that left.
    fn compact(&mut self) {
        self.slots.retain(|(_, waiting)| waiting.is_some());
        (self.first, self.empty_slots) = (0, 0);
        let waiting = self
            .slots
            .iter()
            .filter_map(|(_, waiting)| waiting.as_ref());
        self.costs = waiting.map(|waiting| waiting.cost).collect();
    }
}

impl Cost {
    pub(super) fn and(self, other: Cost) -> Cost {
        Cost {
            requests: self.requests.wrapping_add(other.requests),
            tokens: self.tokens.wrapping_add(other.tokens),
        }
    }

    fn without(self, other: Cost) -> Cost {
        Cost {
            requests: self.requests.wrapping_sub(other.requests),
            tokens: self.tokens.wrapping_sub(other.tokens),
        }
    }
}

/// Costs in a row and their prefix sums: a Fenwick tree. Element `i`, counted from 1, has the sum of as many costs up
/// to the `i`th as the value of the lowest bit of `i`.
#[derive(Debug, Default)]
struct PrefixSums(Vec<Cost>);

impl PrefixSums {
    fn before(&self, end: usize) -> Cost {
        let mut sum = Cost::default();
        let mut at = end.min(self.0.len());
        while let Some(part) = at.checked_sub(1).and_then(|index| self.0.get(index)) {
            sum = sum.and(*part);
            at &= at.wrapping_sub(1);
        }
        sum
    }

    fn push(&mut self, cost: Cost) {
        let last = self.0.len();
        let at = last.saturating_add(1);
        let from = at & at.wrapping_sub(1);
        let between = self.before(last).without(self.before(from));
        self.0.push(between.and(cost));
    }

    fn take(&mut self, index: usize, cost: Cost) {
        let mut at = index.saturating_add(1);
        while let Some(part) = at.checked_sub(1).and_then(|index| self.0.get_mut(index)) {
            *part = part.without(cost);
            at = at.saturating_add(at & at.wrapping_neg());
        }
    }
}

impl FromIterator<Cost> for PrefixSums {
    fn from_iter<I: IntoIterator<Item = Cost>>(costs: I) -> Self {
        let mut sums = PrefixSums::default();
        costs.into_iter().for_each(|cost| sums.push(cost));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn at(millis: u64) -> Time {
        Time::ZERO.saturating_add(Duration::from_millis(millis))
    }

    fn cost(tokens: u128) -> Cost {
        Cost {
            requests: 1,
            tokens,
        }
    }

    #[test]
    fn waiters_are_fifo() {
        let mut queue = WaitQueue::default();
        let now = at(0);
        let (first, look_again) = queue.enqueue(None, now, at(5000), cost(10));
        assert_eq!(look_again, at(5000));
        let (second, look_again) = queue.enqueue(None, now, at(9000), cost(20));
        assert_eq!(look_again, at(1000));
        assert_eq!(queue.enqueue(None, now, at(300), cost(30)).1, at(300));
        assert_eq!(queue.cost_ahead(Some(first)), Cost::default());
        assert_eq!(queue.cost_ahead(Some(second)), cost(10));
        assert_eq!(queue.cost_ahead(None).tokens, 60);
        queue.remove(first);
        assert_eq!(queue.cost_ahead(None).tokens, 50);
        assert_eq!(
            queue.enqueue(Some(second), now, at(9000), cost(20)),
            (second, at(9000))
        );
    }

    #[test]
    fn expired_waiter_does_not_block_the_queue() {
        let mut queue = WaitQueue::default();
        let (late, _) = queue.enqueue(None, at(0), at(5000), cost(10));
        queue.drop_expired(at(6000));
        assert_eq!(queue.cost_ahead(None), cost(10));
        queue.drop_expired(at(6001));
        assert_eq!(queue.cost_ahead(None), Cost::default());
        let (next, _) = queue.enqueue(None, at(6001), at(7000), cost(20));
        assert_eq!(queue.cost_ahead(Some(late)), cost(20), "it comes last now");
        assert!(queue.enqueue(Some(late), at(6001), at(8000), cost(10)).0 > next);
    }

    #[test]
    fn a_waiter_with_a_waker_need_not_return_before_its_time() {
        let mut queue = WaitQueue::default();
        queue.enqueue(None, at(0), at(500), cost(1));
        let (second, look_again) = queue.enqueue(None, at(0), at(60_000), cost(1));
        assert_eq!(look_again, at(1000));
        assert!(!queue.wake_by(second, at(60_000), Waker::noop()));
        queue.drop_expired(at(59_000));
        assert_eq!(queue.cost_ahead(None), cost(1), "the second is still there");
        assert!(
            queue.wake_by(second, at(60_000), Waker::noop()),
            "it is the first now"
        );
    }

    proptest! {
        #[test]
        fn cost_ahead_is_the_sum_of_earlier_waiters(
            steps in vec((any::<bool>(), 0..200_usize, 0..1000_u128), 0..400)
        ) {
            let mut queue = WaitQueue::default();
            let mut waiting: Vec<(u64, u128)> = Vec::new();
            for (comes, place, tokens) in steps {
                if comes || waiting.is_empty() {
                    let (number, _) = queue.enqueue(None, at(0), at(5000), cost(tokens));
                    waiting.push((number, tokens));
                } else {
                    // Mostly the first.
                    let place = place.saturating_sub(150).min(waiting.len() - 1);
                    let (number, _) = waiting.remove(place);
                    queue.remove(number);
                    prop_assert_eq!(queue.slot(number), None);
                    if let (0, Some((first, _))) = (place, waiting.first()) {
                        prop_assert!(queue.wake_by(*first, at(5000), Waker::noop()));
                    }
                }
                let mut cost_ahead = Cost::default();
                for (number, tokens) in &waiting {
                    prop_assert_eq!(queue.cost_ahead(Some(*number)), cost_ahead);
                    cost_ahead = cost_ahead.and(cost(*tokens));
                }
                prop_assert_eq!(queue.cost_ahead(None), cost_ahead);
                prop_assert!(queue.slots.len() <= 2 * (waiting.len() + MAX_EMPTY_SLOTS + 1));
            }
        }
    }
}
