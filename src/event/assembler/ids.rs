//! Ids for calls that have none, or one that another call has already.

use crate::{ChatRequest, ContentPart, policy::Rng};
use std::sync::Arc;

/// Makes ids that no other call of the conversation has. The same seed, conversation and place give the same id.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    pub(super) seed: u64,
    /// What was asked, with the calls of earlier turns.
    pub(super) request: Option<Arc<ChatRequest>>,
}

impl CallIds {
    /// Whether a call of an earlier turn has this id.
    pub(super) fn in_history(&self, id: &str) -> bool {
        let messages = self.request.iter().flat_map(|request| &request.messages);
        messages
            .flat_map(|message| &message.content)
            .any(|part| match part {
                ContentPart::ToolCall(call) => call.id == id,
                ContentPart::ToolResult(result) => result.call_id == id,
                _ => false,
            })
    }

    /// An id for the call at a place of an answer. Letters, digits and one `_`: every wire takes that.
    pub(super) fn make(&self, choice: u32, at: usize, is_taken: impl Fn(&str) -> bool) -> String {
        let place = (u64::from(choice) << 32) | (at as u64 & u64::from(u32::MAX));
        let mut numbers = Rng::new(Rng::new(self.seed).next_u64() ^ place);
        loop {
            let id = format!("call_{:016x}", numbers.next_u64());
            if !is_taken(&id) && !self.in_history(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Role, ToolCall};
    use std::collections::BTreeSet;

    fn seeded(seed: u64) -> CallIds {
        CallIds {
            seed,
            request: None,
        }
    }

    #[test]
    fn the_same_seed_and_place_give_the_same_id_and_others_another() {
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            for choice in 0..3 {
                for at in 0..20 {
                    let id = seeded(seed).make(choice, at, |_| false);
                    assert_eq!(id, seeded(seed).make(choice, at, |_| false));
                    assert_eq!(id.len(), 21);
                    assert!(seen.insert(id));
                }
            }
        }
    }

    #[test]
    fn an_id_of_the_conversation_is_not_made_again() {
        let first = seeded(7).make(0, 0, |_| false);
        let call = ContentPart::ToolCall(ToolCall::new(&*first, "f", "{}"));
        let message = Message::new(Role::Assistant, vec![call]);
        let ids = CallIds {
            seed: 7,
            request: Some(Arc::new(ChatRequest::new("m").message(message))),
        };
        assert!(ids.in_history(&first) && !ids.in_history("other"));
        let second = ids.make(0, 0, |_| false);
        assert_ne!(first, second);
        assert_ne!(ids.make(0, 0, |id| id == second), second);
    }
}
