//! Searches the provider's list for a batch whose creation was sent, but whose response was lost.

use super::{BatchRun, Part};
use crate::provider_batch::ProviderBatch;
use std::time::Duration;

/// The position in the provider's list.
#[derive(Default)]
pub(super) struct Search {
    /// The token of the next page.
    pub(super) page: Option<String>,
    pages: u32,
}

/// The largest number of pages of one search.
const MAX_PAGES: u32 = 200;

/// A list may be out of date. The batch is created again only after this many searches without a match.
const MIN_SEARCHES: u32 = 2;

/// The time between two searches.
const PAUSE: Duration = Duration::from_secs(10);

/// The largest difference between the clocks of the provider and of this machine, in seconds.
const SKEW: u64 = 600;

impl BatchRun {
    /// Takes a page of the list.
    pub(super) fn on_list(
        &mut self,
        index: usize,
        batches: Vec<ProviderBatch>,
        next: Option<String>,
    ) {
        let tag = self.tag(index);
        let Some(part) = self.state.parts.get(index) else {
            return;
        };
        let others: Vec<&str> = self.state.batches().collect();
        let is_free = |batch: &&ProviderBatch| !others.contains(&batch.id.as_str());
        let found = batches.iter().filter(is_free).find_map(|batch| {
            let certainty = resemblance(part, &tag, batch)?;
            Some((batch.clone(), certainty == Certainty::Guess))
        });
        if let Some((batch, is_guess)) = found {
            return self.on_batch(index, batch, is_guess);
        }
        // Lists begin with the newest batch. If all batches of a page are older, so are those of the later pages.
        let is_older = |batch: &ProviderBatch| {
            batch
                .created_at
                .is_some_and(|at| at.saturating_add(SKEW) < part.since)
        };
        let is_past = !batches.is_empty() && batches.iter().all(is_older);
        let Some(live) = self.live.get_mut(index) else {
            return;
        };
        live.search.pages = live.search.pages.saturating_add(1);
        if let Some(next) = next.filter(|_| !is_past && live.search.pages < MAX_PAGES) {
            live.search.page = Some(next);
            return;
        }
        live.search = Search::default();
        live.searches = live.searches.saturating_add(1);
        if live.searches >= MIN_SEARCHES {
            // The batch was not created.
            live.is_ambiguous = false;
            return;
        }
        self.wait_for(index, self.options.poll.unwrap_or(PAUSE).min(PAUSE));
    }
}

#[derive(PartialEq, Eq)]
enum Certainty {
    Sure,
    /// The provider stores neither a tag nor a file. Only the results show whether it is the right batch.
    Guess,
}

/// Whether a batch may belong to a part.
fn resemblance(part: &Part, tag: &str, batch: &ProviderBatch) -> Option<Certainty> {
    if part.rejected.contains(&batch.id) {
        return None;
    }
    let same = |ours: Option<&str>, theirs: Option<&str>| ours.is_some() && ours == theirs;
    if same(Some(tag), batch.tag.as_deref())
        || same(part.file.as_deref(), batch.input_file.as_deref())
    {
        return Some(Certainty::Sure);
    }
    if batch.tag.is_some() || batch.input_file.is_some() {
        return None;
    }
    let made = batch.created_at?;
    let total = batch.counts.and_then(|counts| counts.total);
    let is_recent = made.saturating_add(SKEW) >= part.since;
    (is_recent && total == Some(part.count())).then_some(Certainty::Guess)
}
