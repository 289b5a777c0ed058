//! The wire format of interactions, as a single body and as events; every field is optional.

use crate::{
    Usage,
    chat::HostedToolUsage,
    provider::kit::lenient::{Count, List, Object, Raw, Text, UnknownFields, WithRawText, object},
};

object! {
    /// An interaction: the single body, and the content of the first and last event of a stream.
    pub(super) struct Interaction<'a> {
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        /// The agent, in place of a model.
        pub(super) agent: Text<'a>,
        pub(super) created: Text<'a>,
        pub(super) service_tier: Text<'a>,
        pub(super) status: Text<'a>,
        pub(super) steps: Option<List<Raw<'a>>>,
        pub(super) usage: Raw<'a>,
        pub(super) error: Raw<'a>,
        pub(super) errors: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

/// Fields of an interaction that identify its type, or repeat the request. The time of the end is sent in addition
/// to that of the start.
pub(super) const REPEATED: &[&str] = &[
    "object",
    "updated",
    "agent_config",
    "background",
    "environment",
    "generation_config",
    "input",
    "labels",
    "previous_interaction_id",
    "response_format",
    "response_mime_type",
    "response_modalities",
    "safety_settings",
    "store",
    "stream",
    "system_instruction",
    "tools",
    "webhook_config",
];

object! {
    /// A step. Its fields differ between types; those of tools that the provider runs are passed on unchanged.
    pub(super) struct Step<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) arguments: Raw<'a>,
        pub(super) signature: Text<'a>,
        pub(super) summary: Raw<'a>,
        pub(super) content: Raw<'a>,
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// An element of a step's content or summary.
    pub(super) struct Content<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) annotations: List<Raw<'a>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Annotation<'a> {
        pub(super) url: Text<'a>,
        pub(super) document_uri: Text<'a>,
        pub(super) title: Text<'a>,
        pub(super) file_name: Text<'a>,
        pub(super) name: Text<'a>,
    }
}

object! {
    /// A stream event.
    pub(super) struct Event<'a> {
        pub(super) event_type: Text<'a>,
        pub(super) event_id: Text<'a>,
        pub(super) index: Count,
        pub(super) delta: WithRawText<'a, Delta<'a>>,
        pub(super) step: Raw<'a>,
        pub(super) interaction: WithRawText<'a, Interaction<'a>>,
        pub(super) metadata: Object<Metadata<'a>>,
        pub(super) usage: Raw<'a>,
        pub(super) step_usage: Raw<'a>,
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

/// Fields of an event that identify its interaction and its state. The last event repeats the state.
pub(super) const OF_EVENT: &[&str] = &["interaction_id", "status"];

object! {
    /// The change of a step. A delta of a tool that the provider runs has the fields of the step.
    pub(super) struct Delta<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) content: Raw<'a>,
        pub(super) signature: Text<'a>,
        pub(super) arguments: Raw<'a>,
        pub(super) annotations: List<Raw<'a>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// The counts so far.
    pub(super) struct Metadata<'a> {
        /// Its name since July 2026.
        pub(super) total_usage: Raw<'a>,
        /// Its earlier name.
        pub(super) usage: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

// Token counts.

object! {
    struct UsageFields<'a> {
        /// Including cached tokens.
        total_input_tokens: Count,
        /// Without reasoning.
        total_output_tokens: Count,
        total_thought_tokens: Count,
        /// Output of the provider's own tools that the model read; not part of the input's count.
        total_tool_use_tokens: Count,
        total_cached_tokens: Count,
        total_tokens: Count,
        input_tokens_by_modality: List<Modality<'a>>,
        grounding_tool_count: List<ToolCount<'a>>,
    }
}

object! {
    struct ToolCount<'a> {
        r#type as "type": Text<'a>,
        count: Count,
    }
}

object! {
    struct Modality<'a> {
        modality: Text<'a>,
        tokens: Count,
    }
}

/// Token counts in this library's form: reasoning is part of the completion, and what tools gave the model is part of
/// the prompt. Source: in recorded counts the total is the sum of all four.
pub(super) fn usage(raw: Raw<'_>) -> Option<Usage> {
    let wire: UsageFields<'_> = raw.read()?;
    let of = |kind: &str| {
        let mut inputs = wire.input_tokens_by_modality.0.iter();
        let own = inputs.find(|input| input.modality.as_deref() == Some(kind));
        own.and_then(|input| input.tokens.0)
    };
    let count = |kind: &str| {
        let mut counts = wire.grounding_tool_count.0.iter();
        let own = counts.find(|count| count.r#type.as_deref() == Some(kind));
        own.and_then(|own| own.count.0)
    };
    let hosted = HostedToolUsage {
        web_searches: count("google_search"),
        file_searches: count("retrieval"),
        prompt_tokens: wire.total_tool_use_tokens.0.filter(|tokens| *tokens > 0),
        ..HostedToolUsage::default()
    };
    let usage = Usage {
        hosted_tools: hosted.into_option(),
        prompt_tokens: sum(wire.total_input_tokens, wire.total_tool_use_tokens),
        completion_tokens: sum(wire.total_output_tokens, wire.total_thought_tokens),
        total_tokens: wire.total_tokens.0,
        cached_tokens: wire.total_cached_tokens.0,
        image_tokens: of("image"),
        audio_tokens: of("audio"),
        reasoning_tokens: wire.total_thought_tokens.0,
        raw: raw.json(),
        ..Usage::default()
    };
    Some(usage)
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
    fn reasoning_is_part_of_the_completion_and_tool_results_of_the_prompt() {
        let text = r#"{"total_input_tokens":22,"total_output_tokens":973,"total_thought_tokens":249,"total_tool_use_tokens":129,"total_cached_tokens":8,"total_tokens":1373,"input_tokens_by_modality":[{"modality":"text","tokens":18},{"modality":"image","tokens":4}]}"#;
        let usage = usage(lenient::parse(text).unwrap()).unwrap();
        let counts = [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            usage.image_tokens,
        ];
        assert_eq!(counts, [151, 1222, 1373, 8, 249, 4].map(Some));
        assert_eq!(usage.audio_tokens, None);
        assert_eq!(usage.raw.unwrap().as_str(), text);
    }
}
