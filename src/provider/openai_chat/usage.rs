//! Token counts and server times, under all the names that servers give them.

use crate::{
    Usage,
    chat::ServerTiming,
    provider::kit::lenient::{Count, Number, Object, Raw, Seconds, object},
};
use std::time::Duration;

object! {
    pub(super) struct Counts {
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: Object<PromptDetails>,
        completion_tokens_details: Object<CompletionDetails>,
        image_tokens: Count,
        /// DeepSeek.
        prompt_cache_hit_tokens: Count,
        /// Together.
        cached_tokens: Count,
        /// Mistral.
        num_cached_tokens: Count,
        /// Venice, Databricks, Doubleword, in Anthropic's words.
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        /// Copilot.
        reasoning_tokens: Count,
        /// Groq: seconds.
        queue_time: Seconds,
        prompt_time: Seconds,
        completion_time: Seconds,
        total_time: Seconds,
    }
}

object! {
    struct PromptDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        audio_tokens: Count,
        image_tokens: Count,
    }
}

object! {
    struct CompletionDetails {
        reasoning_tokens: Count,
        audio_tokens: Count,
        accepted_prediction_tokens: Count,
        rejected_prediction_tokens: Count,
    }
}

object! {
    /// Cerebras `time_info`.
    pub(super) struct TimeInfo {
        queue_time: Seconds,
        prompt_time: Seconds,
        completion_time: Seconds,
        total_time: Seconds,
    }
}

object! {
    /// llama.cpp `timings`, in milliseconds.
    pub(super) struct Timings {
        prompt_ms: Number,
        predicted_ms: Number,
    }
}

/// When tokens that the total has beyond prompt and completion are reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeparateReasoning {
    /// If the server says that it counted as many of reasoning.
    IfCounted,
    /// Also if it does not say how many there were, because the answer has reasoning.
    IfUncounted,
    /// Also, because the server is known to count so.
    Always,
}

/// The counts, and the times that Groq puts beside them.
pub(super) fn usage(
    counts: &Counts,
    raw: Raw<'_>,
    reasoning: SeparateReasoning,
) -> (Usage, ServerTiming) {
    let none = (PromptDetails::default(), CompletionDetails::default());
    let prompt = counts.prompt_tokens_details.0.as_ref().unwrap_or(&none.0);
    let completion = counts
        .completion_tokens_details
        .0
        .as_ref()
        .unwrap_or(&none.1);
    let first = |counts: &[Count]| counts.iter().find_map(|count| count.0);
    let mut usage = Usage {
        prompt_tokens: counts.prompt_tokens.0,
        completion_tokens: counts.completion_tokens.0,
        total_tokens: counts.total_tokens.0,
        cached_tokens: first(&[
            prompt.cached_tokens,
            counts.prompt_cache_hit_tokens,
            counts.cached_tokens,
            counts.num_cached_tokens,
            counts.cache_read_input_tokens,
        ]),
        cache_write_tokens: first(&[
            prompt.cache_write_tokens,
            counts.cache_creation_input_tokens,
        ]),
        image_tokens: first(&[prompt.image_tokens, counts.image_tokens]),
        audio_tokens: prompt.audio_tokens.0,
        reasoning_tokens: first(&[completion.reasoning_tokens, counts.reasoning_tokens]),
        accepted_prediction_tokens: completion.accepted_prediction_tokens.0,
        rejected_prediction_tokens: completion.rejected_prediction_tokens.0,
        raw: raw.json(),
    };
    let others = [
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.image_tokens,
        usage.audio_tokens,
        completion.audio_tokens.0,
    ];
    if let Some(separate_reasoning) = separate_reasoning(&usage, &others, reasoning) {
        let with_reasoning = usage
            .completion_tokens
            .map(|own| own.saturating_add(separate_reasoning));
        usage.completion_tokens = with_reasoning;
    }
    let timing = ServerTiming {
        queue: counts.queue_time.0,
        prompt: counts.prompt_time.0,
        completion: counts.completion_time.0,
        total: counts.total_time.0,
    };
    (usage, timing)
}

/// The tokens of reasoning that are in the total and not in the completion.
///
/// What is missing may have another reason: Mistral leaves sound out of the prompt, others what was cached. Where the server
/// does not say how much of it is reasoning, each of those is a better explanation.
fn separate_reasoning(
    usage: &Usage,
    others: &[Option<u64>],
    reasoning: SeparateReasoning,
) -> Option<u64> {
    let told = usage.prompt_tokens?.checked_add(usage.completion_tokens?)?;
    let missing = usage.total_tokens?.checked_sub(told).filter(|n| *n > 0)?;
    let is_reasoning = match usage.reasoning_tokens {
        Some(counted) if counted > 0 => counted == missing,
        Some(_) => false,
        None => {
            reasoning != SeparateReasoning::IfCounted
                && missing <= MAX_REASONING_TOKENS
                && !others.contains(&Some(missing))
        }
    };
    is_reasoning.then_some(missing)
}

/// No model thinks longer: a total that has more beyond its parts is none.
const MAX_REASONING_TOKENS: u64 = 1 << 24;

impl TimeInfo {
    pub(super) fn timing(&self) -> ServerTiming {
        ServerTiming {
            queue: self.queue_time.0,
            prompt: self.prompt_time.0,
            completion: self.completion_time.0,
            total: self.total_time.0,
        }
    }
}

impl Timings {
    pub(super) fn timing(&self) -> ServerTiming {
        let ms = |number: Number| Duration::try_from_secs_f64(number.0? / 1e3).ok();
        ServerTiming {
            prompt: ms(self.prompt_ms),
            completion: ms(self.predicted_ms),
            ..ServerTiming::default()
        }
    }
}
