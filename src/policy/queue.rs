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
