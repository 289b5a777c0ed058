//! Why a candidate stopped, and how likely its tokens were.

use super::types::{LogprobsResult, Token, TopCandidates};
use crate::{
    FinishReason,
    chat::{Logprobs, TokenLogprob, TopLogprob},
    provider::kit::lenient::{List, Raw},
};

/// Function calls end with `STOP`; the parts tell them. Vertex has been seen to send the first reasons as numbers.
pub(super) fn finish_reason(reason: &str, calls: u32) -> FinishReason {
    match reason {
        "STOP" | "1" if calls > 0 => FinishReason::ToolCalls,
        "STOP" | "1" => FinishReason::Stop,
        "MAX_TOKENS" | "2" => FinishReason::Length,
        "SAFETY"
        | "3"
        | "RECITATION"
        | "4"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

pub(super) fn logprobs(raw: Raw<'_>) -> Option<Logprobs> {
    let result: LogprobsResult<'_> = raw.read()?;
    let List(tops) = result.top_candidates;
    let mut tops = tops.into_iter();
    // They are read one by one: all of them would take several times their text.
    let tokens = result.chosen_candidates.0.iter().filter_map(|chosen| {
        let tops = tops.next().and_then(Raw::read::<TopCandidates<'_>>);
        let tops = tops.unwrap_or_default().candidates.0;
        let chosen: Token<'_> = chosen.read()?;
        Some(TokenLogprob {
            token: chosen.token.to_string_or_empty(),
            logprob: chosen.log_probability.0?,
            bytes: None,
            top_logprobs: tops
                .iter()
                .filter_map(|top| {
                    Some(TopLogprob {
                        token: top.token.to_string_or_empty(),
                        logprob: top.log_probability.0?,
                        bytes: None,
                    })
                })
                .collect(),
        })
    });
    let mut content = Vec::with_capacity(result.chosen_candidates.0.len());
    content.extend(tokens);
    Some(Logprobs {
        content,
        ..Logprobs::default()
    })
}
