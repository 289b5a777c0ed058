//! The chunks that a worker holds.

use crate::store::Chunk;
use std::collections::HashMap;

/// Identifies a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeaseKey {
    pub(super) run: i32,
    pub(super) no: i64,
    pub(super) epoch: i32,
}

impl LeaseKey {
    pub(super) fn of(chunk: &Chunk) -> Self {
        LeaseKey {
            run: chunk.run,
            no: chunk.no,
            epoch: chunk.epoch,
        }
    }
}

struct Held {
    chunk: Chunk,
    /// Items that wait for a slot.
    waiting: usize,
    /// Items with a slot wanted, or a call in progress.
    busy: usize,
    is_released: bool,
}

/// How a chunk leaves the worker.
pub(super) enum Leaving {
    /// All its items have outcomes.
    Finished(Chunk),
    /// It is given back with items left.
    Released(Chunk),
}

#[derive(Default)]
pub(super) struct Chunks(HashMap<LeaseKey, Held>);

impl Chunks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_single(&self) -> bool {
        self.0.keys().any(|lease| lease.no < 0)
    }

    pub(super) fn insert(&mut self, chunk: Chunk, items: usize) {
        let held = Held {
            waiting: items,
            busy: 0,
            is_released: false,
            chunk,
        };
        self.0.insert(LeaseKey::of(&held.chunk), held);
    }

    /// An item leaves the queue for a slot.
    pub(super) fn started(&mut self, lease: LeaseKey) {
        if let Some(held) = self.0.get_mut(&lease) {
            held.waiting = held.waiting.saturating_sub(1);
            held.busy += 1;
        }
    }

    /// An item goes back to the queue. `false` if its chunk is not held any more, or is being given back.
    pub(super) fn returned(&mut self, lease: LeaseKey) -> bool {
        match self.0.get_mut(&lease) {
            Some(held) => {
                held.busy = held.busy.saturating_sub(1);
                if !held.is_released {
                    held.waiting += 1;
                }
                !held.is_released
            }
            None => false,
        }
    }

    /// An item has its outcome.
    pub(super) fn ended(&mut self, lease: LeaseKey) {
        if let Some(held) = self.0.get_mut(&lease) {
            held.busy = held.busy.saturating_sub(1);
        }
    }

    /// Begins to give chunks back: their waiting items were removed from the queue.
    pub(super) fn release(&mut self, which: impl Fn(&LeaseKey) -> bool) {
        for (lease, held) in &mut self.0 {
            if which(lease) {
                held.is_released = true;
                held.waiting = 0;
            }
        }
    }

    /// Forgets all chunks: their leases ended.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Removes the chunks for which nothing is left to do.
    pub(super) fn take_leaving(&mut self) -> Vec<Leaving> {
        let over = |held: &Held| held.waiting == 0 && held.busy == 0;
        let keys: Vec<LeaseKey> = self
            .0
            .iter()
            .filter(|(_, held)| over(held))
            .map(|(key, _)| *key)
            .collect();
        let taken = keys.iter().filter_map(|key| self.0.remove(key));
        taken
            .map(|held| match held.is_released {
                true => Leaving::Released(held.chunk),
                false => Leaving::Finished(held.chunk),
            })
            .collect()
    }
}
