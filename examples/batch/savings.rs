//! What batches cost less than calls. The library knows no prices: the list prices are arguments.

use serde::{Deserialize, Serialize};
use std::fmt::Write;
use unifiedai::UnifiedChatResponse;

/// The tokens of the responses that came by batch.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BatchTokens {
    prompt: u64,
    completion: u64,
}

impl BatchTokens {
    pub(crate) fn add(&mut self, response: &UnifiedChatResponse) {
        if let Some(usage) = &response.usage {
            self.prompt += usage.prompt_tokens.unwrap_or(0);
            self.completion += usage.completion_tokens.unwrap_or(0);
        }
    }

    /// A sentence for the end of a run; `None` if no response had its usage.
    pub(crate) fn savings(&self, prices: (Option<f64>, Option<f64>)) -> Option<String> {
        if self.prompt + self.completion == 0 {
            return None;
        }
        let mut text = format!(
            "By batch: {} prompt tokens and {} completion tokens. ",
            self.prompt, self.completion
        );
        let (Some(input), Some(output)) = prices else {
            text.push_str(
                "Most providers bill batches at half of the list price; with --price-in and --price-out this says how much that is.",
            );
            return Some(text);
        };
        let list = (self.prompt as f64 * input + self.completion as f64 * output) / 1e6;
        let half = list / 2.0;
        let _ = write!(
            text,
            "List price {list:.4} USD; at half price {half:.4} USD, so {half:.4} USD saved. Cached tokens and discounts other than one half are not considered."
        );
        Some(text)
    }
}
