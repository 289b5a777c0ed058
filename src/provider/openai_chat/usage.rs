//! Token counts and server times, under all the names that servers give them.

use crate::{
    Json, ServerTiming, Usage,
    provider::lenient::{Count, Number, Object, Raw, Seconds, object},
};
use std::time::Duration;

object! {
    struct Wire {
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
        accepted_prediction_tokens: Count,
        rejected_prediction_tokens: Count,
    }
}

/// The counts, and the times that Groq puts beside them.
pub(super) fn usage(raw: Raw<'_>) -> Option<(Usage, ServerTiming)> {
    let wire: Wire = raw.read::<Object<Wire>>()?.0?;
    let prompt = wire.prompt_tokens_details.0.unwrap_or_default();
    let completion = wire.completion_tokens_details.0.unwrap_or_default();
    let first = |counts: &[Count]| counts.iter().find_map(|count| count.0);
    let usage = Usage {
        prompt_tokens: wire.prompt_tokens.0,
        completion_tokens: wire.completion_tokens.0,
        total_tokens: wire.total_tokens.0,
        cached_tokens: first(&[
            prompt.cached_tokens,
            wire.prompt_cache_hit_tokens,
            wire.cached_tokens,
            wire.num_cached_tokens,
            wire.cache_read_input_tokens,
        ]),
        cache_write_tokens: first(&[prompt.cache_write_tokens, wire.cache_creation_input_tokens]),
        image_tokens: first(&[prompt.image_tokens, wire.image_tokens]),
        audio_tokens: prompt.audio_tokens.0,
        reasoning_tokens: first(&[completion.reasoning_tokens, wire.reasoning_tokens]),
        accepted_prediction_tokens: completion.accepted_prediction_tokens.0,
        rejected_prediction_tokens: completion.rejected_prediction_tokens.0,
        raw: raw.0.map(Json::from_raw),
    };
    let timing = ServerTiming {
        queue: wire.queue_time.0,
        prompt: wire.prompt_time.0,
        completion: wire.completion_time.0,
        total: wire.total_time.0,
    };
    Some((usage, timing))
}

/// Cerebras `time_info`, in seconds.
pub(super) fn time_info(raw: Raw<'_>) -> Option<ServerTiming> {
    object! {
        struct TimeInfo {
            queue_time: Seconds,
            prompt_time: Seconds,
            completion_time: Seconds,
            total_time: Seconds,
        }
    }
    let info = raw.read::<Object<TimeInfo>>()?.0?;
    Some(ServerTiming {
        queue: info.queue_time.0,
        prompt: info.prompt_time.0,
        completion: info.completion_time.0,
        total: info.total_time.0,
    })
}

/// llama.cpp `timings`, in milliseconds.
pub(super) fn timings(raw: Raw<'_>) -> Option<ServerTiming> {
    object! {
        struct Timings {
            prompt_ms: Number,
            predicted_ms: Number,
        }
    }
    let timings = raw.read::<Object<Timings>>()?.0?;
    let ms = |number: Number| Duration::try_from_secs_f64(number.0? / 1e3).ok();
    Some(ServerTiming {
        prompt: ms(timings.prompt_ms),
        completion: ms(timings.predicted_ms),
        ..ServerTiming::default()
    })
}
