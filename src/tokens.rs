//! Token counts of a request, by the provider's own endpoint, before the request is sent.
//!
//! ```no_run
//! # use unifiedai::{ChatRequest, Client, Error};
//! # fn example(client: &Client) -> Result<(), Error> {
//! let request = ChatRequest::new("claude-sonnet-4-5").user("How many tokens is this?");
//! let count = client.count_tokens(&request)?.answer;
//! println!("{} tokens, exact: {}", count.tokens, count.exact);
//! # Ok(()) }
//! ```

use crate::{ChatRequest, Model};
use serde::Serialize;
use std::collections::BTreeMap;

/// The number of tokens of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenCount {
    /// The tokens of the prompt: messages, tools and schemas. Output and reasoning are not in it, nor what tools of the
    /// provider will add.
    pub tokens: u64,
    /// True if the provider counts the request as it would process it: in all recorded pairs of a count and the same
    /// request, the bill had this number. False if it counts only the text, or another form of the request.
    pub exact: bool,
    /// The tokens that an explicit cache contains (Gemini), included in `tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// The tokens before the server shortens the context (Anthropic's `context_management`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_tokens: Option<u64>,
    /// The tokens by modality (`TEXT`, `IMAGE`), included in `tokens` (Gemini).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_modality: BTreeMap<String, u64>,
    /// Maximum number of prompt and completion tokens together, where the answer has it (vLLM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
}

impl TokenCount {
    /// A count by the provider's own method for requests.
    #[must_use]
    pub fn exact(tokens: u64) -> Self {
        TokenCount {
            tokens,
            exact: true,
            ..TokenCount::default()
        }
    }

    /// A count of the text alone, or of another form of the request.
    #[must_use]
    pub fn estimated(tokens: u64) -> Self {
        TokenCount {
            tokens,
            ..TokenCount::default()
        }
    }

    /// Compares this count of `request` with the limit of `model`.
    #[must_use]
    pub fn fit(&self, request: &ChatRequest, model: &Model) -> Fit {
        let Some(limit) = model.context_length.or(self.context_length) else {
            return Fit::Unknown;
        };
        let Some(left) = limit.checked_sub(self.tokens) else {
            return Fit::TooLong {
                excess: self.tokens.saturating_sub(limit),
            };
        };
        match request.max_tokens {
            Some(wanted) if wanted > left => Fit::OutputLimited { left },
            _ => Fit::Fits { left },
        }
    }
}

/// Whether a request fits into a model's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fit {
    /// Prompt and output fit.
    Fits {
        /// The tokens that are left for the output.
        left: u64,
    },
    /// The prompt fits, but not together with [`max_tokens`](ChatRequest::max_tokens): some servers refuse the request,
    /// others cut the output off. Models that count prompt and output apart (Gemini) accept it.
    OutputLimited {
        /// The tokens that are left for the output.
        left: u64,
    },
    /// The prompt alone is too long.
    TooLong {
        /// The tokens that are too many.
        excess: u64,
    },
    /// The model's limit is unknown.
    Unknown,
}

impl Fit {
    /// Whether the prompt fits; `None` if the model's limit is unknown.
    #[must_use]
    pub fn prompt_fits(self) -> Option<bool> {
        match self {
            Fit::Fits { .. } | Fit::OutputLimited { .. } => Some(true),
            Fit::TooLong { .. } => Some(false),
            Fit::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive_and_unknown_is_not_a_fit() {
        let mut model = Model::new("p", "m");
        let request = ChatRequest::new("m").user("x");
        let count = TokenCount::exact(100);
        assert_eq!(count.fit(&request, &model), Fit::Unknown);
        model.context_length = Some(100);
        assert_eq!(count.fit(&request, &model), Fit::Fits { left: 0 });
        assert_eq!(
            count.fit(&request.clone().max_tokens(1), &model),
            Fit::OutputLimited { left: 0 }
        );
        model.context_length = Some(99);
        assert_eq!(count.fit(&request, &model), Fit::TooLong { excess: 1 });
        let mut counted = TokenCount::exact(5);
        counted.context_length = Some(4);
        assert_eq!(
            counted.fit(&request, &Model::new("p", "m")).prompt_fits(),
            Some(false)
        );
    }
}
