//! Token counts, brought to the library's subsets.

use crate::{
    Usage,
    provider::kit::lenient::{Count, List, Raw, Text, object},
};

object! {
    struct UsageFields<'a> {
        /// With what came from the cache.
        prompt_token_count as "promptTokenCount": Count,
        /// What the provider's own tools gave the model to read, not part of the prompt's number.
        tool_use_prompt_token_count as "toolUsePromptTokenCount": Count,
        /// Without thoughts; left out where it is 0.
        candidates_token_count as "candidatesTokenCount": Count,
        thoughts_token_count as "thoughtsTokenCount": Count,
        total_token_count as "totalTokenCount": Count,
        cached_content_token_count as "cachedContentTokenCount": Count,
        prompt_tokens_details as "promptTokensDetails": List<Modality<'a>>,
        service_tier as "serviceTier": Text<'a>,
    }
}

object! {
    struct Modality<'a> {
        modality: Text<'a>,
        token_count as "tokenCount": Count,
    }
}

/// The counts, and the processing class that stands among them.
pub(super) fn usage(raw: Raw<'_>) -> Option<(Usage, Option<String>)> {
    let wire: UsageFields<'_> = raw.read()?;
    let of = |name: &str| {
        let mut found = wire.prompt_tokens_details.0.iter();
        found
            .find(|detail| detail.modality.as_deref() == Some(name))?
            .token_count
            .0
    };
    let usage = Usage {
        prompt_tokens: sum(wire.prompt_token_count, wire.tool_use_prompt_token_count),
        completion_tokens: sum(wire.candidates_token_count, wire.thoughts_token_count),
        total_tokens: wire.total_token_count.0,
        cached_tokens: wire.cached_content_token_count.0,
        image_tokens: of("IMAGE"),
        audio_tokens: of("AUDIO"),
        reasoning_tokens: wire.thoughts_token_count.0,
        raw: raw.json(),
        ..Usage::default()
    };
    Some((usage, wire.service_tier.non_empty().map(str::to_owned)))
}

fn sum(a: Count, b: Count) -> Option<u64> {
    match (a.0, b.0) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kit::lenient;

    #[test]
    fn thoughts_are_part_of_the_completion_and_tool_results_of_the_prompt() {
        let text = r#"{"promptTokenCount":10,"toolUsePromptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":7,"totalTokenCount":24,"cachedContentTokenCount":8,"promptTokensDetails":[{"modality":"TEXT","tokenCount":6},{"modality":"IMAGE","tokenCount":4}],"serviceTier":"standard"}"#;
        let raw = lenient::parse(text).unwrap();
        let (usage, tier) = usage(raw).unwrap();
        let counts = [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            usage.image_tokens,
        ];
        assert_eq!(counts, [15, 9, 24, 8, 7, 4].map(Some));
        assert_eq!(
            (usage.audio_tokens, tier.as_deref()),
            (None, Some("standard"))
        );
    }
}
