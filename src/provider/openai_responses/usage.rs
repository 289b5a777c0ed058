use crate::{
    Usage,
    provider::kit::lenient::{Count, Object, Raw, object},
};

/// Token counts. Reasoning is part of the output, cached tokens part of the input.
pub(super) fn usage(raw: Raw<'_>) -> Option<Usage> {
    object! {
        struct UsageFields {
            input_tokens: Count,
            output_tokens: Count,
            total_tokens: Count,
            input_tokens_details: Object<Input>,
            output_tokens_details: Object<Output>,
        }
    }
    object! {
        struct Input {
            cached_tokens: Count,
            cache_write_tokens: Count,
            image_tokens: Count,
            audio_tokens: Count,
        }
    }
    object! {
        struct Output {
            reasoning_tokens: Count,
        }
    }
    let wire: UsageFields = raw.read()?;
    let input = wire.input_tokens_details.0.unwrap_or_default();
    let output = wire.output_tokens_details.0.unwrap_or_default();
    Some(Usage {
        prompt_tokens: wire.input_tokens.0,
        completion_tokens: wire.output_tokens.0,
        total_tokens: wire.total_tokens.0,
        cached_tokens: input.cached_tokens.0,
        cache_write_tokens: input.cache_write_tokens.0,
        image_tokens: input.image_tokens.0,
        audio_tokens: input.audio_tokens.0,
        reasoning_tokens: output.reasoning_tokens.0,
        raw: raw.json(),
        ..Usage::default()
    })
}
