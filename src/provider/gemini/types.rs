//! The wire format of responses, as a single body and in streams; every field is optional.

use crate::{
    Usage,
    chat::HostedToolUsage,
    provider::kit::lenient::{
        Count, List, Number, Object, Raw, RawElements, Text, UnknownFields, object,
    },
};

object! {
    pub(super) struct GenerateContentResponse<'a> {
        pub(super) candidates: List<Candidate<'a>>,
        pub(super) prompt_feedback as "promptFeedback": Raw<'a>,
        pub(super) usage_metadata as "usageMetadata": Raw<'a>,
        pub(super) model_version as "modelVersion": Text<'a>,
        pub(super) response_id as "responseId": Text<'a>,
        /// Vertex.
        pub(super) create_time as "createTime": Text<'a>,
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Candidate<'a> {
        /// Vertex omits the 0.
        pub(super) index: Count,
        pub(super) content: Object<Content<'a>>,
        pub(super) finish_reason as "finishReason": Text<'a>,
        pub(super) finish_message as "finishMessage": Raw<'a>,
        pub(super) safety_ratings as "safetyRatings": Raw<'a>,
        pub(super) citation_metadata as "citationMetadata": Raw<'a>,
        pub(super) grounding_metadata as "groundingMetadata": Raw<'a>,
        pub(super) url_context_metadata as "urlContextMetadata": Raw<'a>,
        pub(super) avg_logprobs as "avgLogprobs": Raw<'a>,
        pub(super) logprobs_result as "logprobsResult": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Content<'a> {
        pub(super) role: Raw<'a>,
        /// A list of parts; a single part is accepted too.
        pub(super) parts: RawElements<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A part. Anything except text and function calls is passed on unchanged.
    pub(super) struct Part<'a> {
        pub(super) text: Text<'a>,
        /// Whether it is reasoning: `true` or absent.
        pub(super) thought: Raw<'a>,
        pub(super) thought_signature as "thoughtSignature": Text<'a>,
        pub(super) function_call as "functionCall": Object<FunctionCall<'a>>,
        /// Code that the provider executes.
        pub(super) executable_code as "executableCode": Raw<'a>,
        /// A tool that the provider calls.
        pub(super) tool_call as "toolCall": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct FunctionCall<'a> {
        pub(super) id: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) args: Raw<'a>,
        pub(super) partial_args as "partialArgs": List<PartialArg<'a>>,
        /// Whether more arguments follow: `true` or absent.
        pub(super) will_continue as "willContinue": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A delta of a function call's arguments.
    pub(super) struct PartialArg<'a> {
        pub(super) json_path as "jsonPath": Text<'a>,
        pub(super) string_value as "stringValue": Text<'a>,
        pub(super) number_value as "numberValue": Raw<'a>,
        pub(super) bool_value as "boolValue": Raw<'a>,
        pub(super) null_value as "nullValue": Raw<'a>,
        /// Whether more of the value follows.
        pub(super) will_continue as "willContinue": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct PromptFeedback<'a> {
        pub(super) block_reason as "blockReason": Text<'a>,
        pub(super) block_reason_message as "blockReasonMessage": Text<'a>,
    }
}

object! {
    pub(super) struct Grounding<'a> {
        pub(super) grounding_chunks as "groundingChunks": List<Raw<'a>>,
    }
}

object! {
    /// A source: a web page, or a passage of an uploaded document.
    pub(super) struct GroundingChunk<'a> {
        pub(super) web: Object<Source<'a>>,
        pub(super) retrieved_context as "retrievedContext": Object<Source<'a>>,
        pub(super) maps: Object<Source<'a>>,
    }
}

object! {
    pub(super) struct Source<'a> {
        pub(super) uri: Text<'a>,
        pub(super) title: Text<'a>,
        pub(super) text: Text<'a>,
    }
}

object! {
    pub(super) struct LogprobsResult<'a> {
        pub(super) chosen_candidates as "chosenCandidates": List<Raw<'a>>,
        pub(super) top_candidates as "topCandidates": List<Raw<'a>>,
    }
}

object! {
    pub(super) struct TopCandidates<'a> {
        pub(super) candidates: List<Token<'a>>,
    }
}

object! {
    pub(super) struct Token<'a> {
        pub(super) token: Text<'a>,
        pub(super) log_probability as "logProbability": Number,
    }
}

/// A flag that is `true` or absent.
pub(super) fn is_true(raw: Raw<'_>) -> bool {
    raw.text() == Some("true")
}

// Token counts.

object! {
    struct UsageFields<'a> {
        /// Including cached tokens.
        prompt_token_count as "promptTokenCount": Count,
        /// Output of the provider's own tools that the model read; not part of the prompt's count.
        tool_use_prompt_token_count as "toolUsePromptTokenCount": Count,
        /// Without reasoning; absent if it is 0.
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

/// The counts, and the processing class, which is in the same object.
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
        hosted_tools: HostedToolUsage {
            prompt_tokens: wire.tool_use_prompt_token_count.0,
            ..HostedToolUsage::default()
        }
        .into_option(),
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
mod usage_tests {
    use super::*;
    use crate::provider::kit::lenient;

    #[test]
    fn reasoning_is_part_of_the_completion_and_tool_results_of_the_prompt() {
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
