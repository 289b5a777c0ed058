//! The results of a run. Each line gets one outcome.

use super::{
    super::{BatchItem, BatchState, ItemOutcome, decode_chat},
    BatchRun, Live, Purpose, line_of,
    state::PartStep,
};
use crate::{Error, ErrorKind, Json};

impl BatchRun {
    /// Takes an event of the call that reads results.
    pub fn on_item(&mut self, item: BatchItem<Json>) {
        let Some(Purpose::Fetch(index)) = self.waiting else {
            return;
        };
        let (Some(part), Some(live)) = (self.state.parts.get(index), self.live.get_mut(index))
        else {
            return;
        };
        let line = line_of(&self.state.run_id, &item.id).filter(|line| part.has(*line));
        let Some(line) = line else {
            // Without an id the result may still be one of this part.
            live.has_foreign |= !item.id.is_empty();
            return;
        };
        live.has_own = true;
        if live.see(line.saturating_sub(part.first)) {
            let item = decode_chat(&*self.provider, item, None, &self.options.sizes);
            self.outcomes.push_back((line, item.outcome));
        }
    }

    pub(super) fn on_source_read(&mut self, index: usize) {
        let (Some(part), Some(live)) = (self.state.parts.get_mut(index), self.live.get_mut(index))
        else {
            return;
        };
        live.source = live.source.saturating_add(1);
        if part.is_guess && live.has_foreign && !live.has_own {
            // The batch belongs to another run or program.
            part.rejected.extend(part.batch.take());
            part.results.clear();
            part.step = PartStep::Submitting;
            *live = Live {
                is_ambiguous: true,
                ..Live::default()
            };
            self.must_save = true;
        }
    }

    /// All sources were read. A line without a result gets the outcome of its batch, or is lost.
    pub(super) fn finish_part(&mut self, index: usize) {
        let Some(part) = self.part(index) else {
            return;
        };
        let (state, message) = (part.last_state, part.message.clone());
        let name = self.provider.name().to_owned();
        self.end_lines(index, |_| match state {
            BatchState::Expired => ItemOutcome::Expired,
            BatchState::Cancelled => ItemOutcome::Cancelled,
            BatchState::Failed => {
                let message = message.clone().unwrap_or_else(|| {
                    "the entire batch failed, and the provider gave no reason".to_owned()
                });
                let error = Error::new(ErrorKind::BadRequest, message);
                ItemOutcome::Failed(error.with_provider(&name))
            }
            _ => ItemOutcome::Lost,
        });
    }

    /// Gives an outcome to every line of a part that has none.
    pub(super) fn end_lines(&mut self, index: usize, outcome: impl Fn(u64) -> ItemOutcome) {
        let (Some(part), Some(live)) = (self.state.parts.get_mut(index), self.live.get_mut(index))
        else {
            return;
        };
        let first = part.first;
        let rest: Vec<u64> = part
            .lines()
            .filter(|line| !live.has_seen(line.saturating_sub(first)))
            .collect();
        self.outcomes
            .extend(rest.into_iter().map(|line| (line, outcome(line))));
        part.step = PartStep::Fetched;
        live.seen = Vec::new();
        self.must_save = true;
    }
}
