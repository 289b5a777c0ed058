use std::{collections::BTreeMap, time::Duration};
use unifiedai_transport::Time;

/// Who waits for the pace, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    tokens: u64,
    /// Who is not back by then does not hold up the others: it may never be driven again.
    back_by: Time,
}

/// Who has others before it looks again after this time at the latest: they may have left.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How late one may come back without being passed over.
const LATE: Duration = Duration::from_secs(1);

impl Queue {
    /// The tokens wanted by each of those before this number; a newcomer has all before it.
    pub(super) fn ahead(
        &self,
        number: Option<u64>,
        now: Time,
    ) -> impl Iterator<Item = u64> + Clone {
        let before = self.waiting.range(..number.unwrap_or(u64::MAX));
        before
            .filter(move |(_, waiting)| now <= waiting.back_by)
            .map(|(_, waiting)| waiting.tokens)
    }

    /// Keeps the place of this number, or gives a newcomer the last one. Its turn comes at `at`, if nobody before it leaves.
    /// Returns the number, and when to look again.
    pub(super) fn wait(
        &mut self,
        number: Option<u64>,
        now: Time,
        at: Time,
        tokens: u64,
    ) -> (u64, Time) {
        let look_again = match self.ahead(number, now).next() {
            Some(_) => at.min(now.saturating_add(LOOK_AGAIN)),
            None => at,
        };
        let number = number.unwrap_or_else(|| {
            self.last = self.last.saturating_add(1);
            self.last
        });
        let back_by = look_again.saturating_add(LATE);
        self.waiting.insert(number, Waiting { tokens, back_by });
        (number, look_again)
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.waiting.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn each_waits_behind_those_who_came_before_until_they_leave() {
        let mut queue = Queue::default();
        let now = at(0);
        let (first, look_again) = queue.wait(None, now, at(5000), 10);
        assert_eq!(look_again, at(5000));
        let (second, look_again) = queue.wait(None, now, at(9000), 20);
        assert_eq!(look_again, at(1000));
        assert_eq!(queue.wait(None, now, at(300), 30).1, at(300));
        let ahead = |queue: &Queue, number| queue.ahead(number, now).collect::<Vec<_>>();
        assert!(ahead(&queue, Some(first)).is_empty());
        assert_eq!(ahead(&queue, Some(second)), [10]);
        assert_eq!(ahead(&queue, None), [10, 20, 30]);
        queue.leave(first);
        assert_eq!(ahead(&queue, None), [20, 30]);
        assert_eq!(
            queue.wait(Some(second), now, at(9000), 20),
            (second, at(9000))
        );
    }

    #[test]
    fn who_is_not_back_in_time_holds_up_nobody() {
        let mut queue = Queue::default();
        queue.wait(None, at(0), at(5000), 10);
        assert_eq!(queue.ahead(None, at(6000)).count(), 1);
        assert_eq!(queue.ahead(None, at(6001)).count(), 0);
    }
}
