//! The wire format of responses, as a single body and as events; every field is optional.

use crate::{
    Error, Json, Usage,
    provider::kit::{
        json_object::JsonObject,
        lenient::{Count, List, Object, Raw, Text, UnknownFields, object},
    },
};

object! {
    /// A stream event; its `type` determines which fields it has.
    pub(super) struct Event<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) index: Count,
        pub(super) message: Object<Message<'a>>,
        pub(super) content_block: Raw<'a>,
        pub(super) delta: Object<Delta<'a>>,
        pub(super) usage: Raw<'a>,
        pub(super) context_management: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// The new part of a content block, or, in a `message_delta`, of the message.
    pub(super) struct Delta<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) thinking: Text<'a>,
        pub(super) signature: Text<'a>,
        pub(super) partial_json: Text<'a>,
        /// Of a compaction.
        pub(super) content: Text<'a>,
        pub(super) citation: Raw<'a>,
        pub(super) stop_reason: Text<'a>,
        pub(super) stop_sequence: Raw<'a>,
        pub(super) stop_details: Raw<'a>,
        pub(super) container: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A message: complete, or as far as it is known at the start of a stream.
    pub(super) struct Message<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        pub(super) role: Raw<'a>,
        /// A list of blocks; some servers send a text, or a single block.
        pub(super) content: Option<Raw<'a>>,
        pub(super) stop_reason: Text<'a>,
        pub(super) stop_sequence: Raw<'a>,
        pub(super) stop_details: Raw<'a>,
        pub(super) container: Raw<'a>,
        pub(super) context_management: Raw<'a>,
        pub(super) usage: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A content block: complete, or at its start.
    pub(super) struct Block<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) citations: List<Raw<'a>>,
        pub(super) thinking: Text<'a>,
        pub(super) signature: Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) input: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// The source of a text, in any of the five location formats.
    pub(super) struct CitationFields<'a> {
        pub(super) cited_text: Text<'a>,
        pub(super) title: Text<'a>,
        pub(super) document_title: Text<'a>,
        pub(super) url: Text<'a>,
        pub(super) source: Text<'a>,
    }
}

// Token counts.

object! {
    struct UsageFields<'a> {
        input_tokens: Count,
        cache_creation_input_tokens: Count,
        cache_read_input_tokens: Count,
        output_tokens: Count,
        output_tokens_details: Object<OutputDetails>,
        service_tier: Text<'a>,
        server_tool_use: Object<ServerToolUse>,
    }
}

object! {
    struct ServerToolUse {
        web_search_requests: Count,
        web_fetch_requests: Count,
    }
}

object! {
    struct OutputDetails {
        thinking_tokens: Count,
    }
}

/// The counts so far. They are sent at the start of a stream and again, cumulative, near its end; a missing number
/// there has not changed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    usage: Usage,
    /// In this API the cached tokens are not part of it.
    input_tokens: Option<u64>,
    service_tier: Option<String>,
    raw: JsonObject,
}

impl Counts {
    pub(super) fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// Adds new counts, and returns the current ones.
    pub(super) fn add(&mut self, raw: Raw<'_>) -> Result<Option<Usage>, Error> {
        let (Some(text), Some(wire)) = (raw.text(), raw.read::<UsageFields<'_>>()) else {
            return Ok(None);
        };
        let Some(members) = JsonObject::read(text) else {
            return Ok(None);
        };
        let details = wire.output_tokens_details.0.unwrap_or_default();
        let keep = |new: Count, old: Option<u64>| new.0.or(old);
        let usage = &mut self.usage;
        self.input_tokens = keep(wire.input_tokens, self.input_tokens);
        usage.cached_tokens = keep(wire.cache_read_input_tokens, usage.cached_tokens);
        usage.cache_write_tokens = keep(wire.cache_creation_input_tokens, usage.cache_write_tokens);
        usage.completion_tokens = keep(wire.output_tokens, usage.completion_tokens);
        usage.reasoning_tokens = keep(details.thinking_tokens, usage.reasoning_tokens);
        usage.prompt_tokens = self.input_tokens.map(|input| {
            input
                .saturating_add(usage.cached_tokens.unwrap_or(0))
                .saturating_add(usage.cache_write_tokens.unwrap_or(0))
        });
        usage.total_tokens = usage
            .prompt_tokens
            .zip(usage.completion_tokens)
            .map(|(prompt, completion)| prompt.saturating_add(completion));
        if let Some(hosted) = wire.server_tool_use.0 {
            let mut counts = usage
                .hosted_tools
                .take()
                .map(|counts| *counts)
                .unwrap_or_default();
            counts.web_searches = keep(hosted.web_search_requests, counts.web_searches);
            counts.web_fetches = keep(hosted.web_fetch_requests, counts.web_fetches);
            usage.hosted_tools = counts.into_option();
        }
        if let Some(tier) = wire.service_tier.non_empty() {
            self.service_tier = Some(tier.to_owned());
        }
        usage.raw = Some(if self.raw.is_empty() {
            self.raw = members;
            Json::parse(text)?
        } else {
            for (name, value) in members.iter().filter(|(_, value)| value.as_str() != "null") {
                self.raw.set(name, value.clone());
            }
            self.raw.to_json()?
        });
        Ok(Some(usage.clone()))
    }
}

#[cfg(test)]
mod usage_tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn add(counts: &mut Counts, text: &str) -> Usage {
        let raw = lenient::parse(text).unwrap();
        counts.add(raw).unwrap().unwrap()
    }

    #[test]
    fn later_counts_replace_earlier_ones_and_caches_are_part_of_the_prompt() {
        let mut counts = Counts::default();
        let first = add(
            &mut counts,
            r#"{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1,"service_tier":"standard"}"#,
        );
        assert_eq!(
            (first.prompt_tokens, first.total_tokens),
            (Some(123), Some(124))
        );
        let last = add(
            &mut counts,
            r#"{"output_tokens":9,"cache_read_input_tokens":null,"output_tokens_details":{"thinking_tokens":4}}"#,
        );
        assert_eq!(last.prompt_tokens, Some(123));
        assert_eq!(last.cached_tokens, Some(100));
        assert_eq!(last.cache_write_tokens, Some(20));
        assert_eq!(last.completion_tokens, Some(9));
        assert_eq!(last.reasoning_tokens, Some(4));
        assert_eq!(last.total_tokens, Some(132));
        assert_eq!(
            last.raw.unwrap().as_str(),
            r#"{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":9,"service_tier":"standard","output_tokens_details":{"thinking_tokens":4}}"#
        );
        assert_eq!(counts.service_tier(), Some("standard"));
    }

    #[test]
    fn missing_count_is_none() {
        let usage = add(&mut Counts::default(), r#"{"output_tokens":5}"#);
        assert_eq!((usage.prompt_tokens, usage.total_tokens), (None, None));
    }
}
