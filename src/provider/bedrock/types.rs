//! The wire format of responses; every field is optional.

use crate::provider::kit::lenient::{Count, List, Object, Raw, Text, UnknownFields, object};

object! {
    /// The body of Converse; also the events `messageStop` and `metadata`, which have some of its fields.
    pub(super) struct ConverseBody<'a> {
        pub(super) output: Object<Output<'a>>,
        pub(super) stop_reason as "stopReason": Text<'a>,
        pub(super) additional_model_response_fields as "additionalModelResponseFields": Raw<'a>,
        pub(super) usage: Raw<'a>,
        pub(super) metrics: Raw<'a>,
        pub(super) trace: Raw<'a>,
        pub(super) performance_config as "performanceConfig": Raw<'a>,
        pub(super) service_tier as "serviceTier": Object<ServiceTier<'a>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Output<'a> {
        pub(super) message: Object<Message<'a>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Message<'a> {
        /// Each is decoded separately, so that an unknown block affects only itself.
        pub(super) content: List<Raw<'a>>,
        pub(super) role: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct ServiceTier<'a> {
        pub(super) kind as "type": Text<'a>,
    }
}

object! {
    /// `contentBlockStart`, `contentBlockDelta`, `contentBlockStop`.
    pub(super) struct BlockEvent<'a> {
        pub(super) content_block_index as "contentBlockIndex": Count,
        pub(super) start: Object<Block<'a>>,
        pub(super) delta: Object<Block<'a>>,
    }
}

object! {
    /// A content block, its start, or a delta: a union with one field.
    pub(super) struct Block<'a> {
        pub(super) text: Text<'a>,
        pub(super) tool_use as "toolUse": Object<ToolUse<'a>>,
        /// An object in a block and in a start, a list of content deltas in a delta.
        pub(super) tool_result as "toolResult": Raw<'a>,
        pub(super) reasoning_content as "reasoningContent": Object<Reasoning<'a>>,
        /// In a single-body response.
        pub(super) citations_content as "citationsContent": Object<CitationsContent<'a>>,
        /// In a stream.
        pub(super) citation: Raw<'a>,
        pub(super) image: Object<Image<'a>>,
        /// Ignored; some servers send it.
        pub(super) kind as "type": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct ToolUse<'a> {
        pub(super) tool_use_id as "toolUseId": Text<'a>,
        pub(super) name: Text<'a>,
        /// A JSON value in a block, a fragment of its text in a delta.
        pub(super) input: Raw<'a>,
        pub(super) kind as "type": Text<'a>,
        ..others: UnknownFields<'a>,
    }
}

impl ToolUse<'_> {
    /// Whether the service runs the tool. Recordings also have `tool_use` here, which means nothing.
    pub(super) fn is_of_server(&self) -> bool {
        self.kind.as_deref() == Some("server_tool_use")
    }
}

object! {
    pub(super) struct ToolResultStart<'a> {
        pub(super) tool_use_id as "toolUseId": Text<'a>,
        pub(super) status: Text<'a>,
        pub(super) kind as "type": Text<'a>,
    }
}

object! {
    pub(super) struct Reasoning<'a> {
        /// In a single-body response.
        pub(super) reasoning_text as "reasoningText": Object<ReasoningText<'a>>,
        /// In a stream, each in its own event.
        pub(super) text: Text<'a>,
        pub(super) signature: Text<'a>,
        /// Base64.
        pub(super) redacted_content as "redactedContent": Text<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct ReasoningText<'a> {
        pub(super) text: Text<'a>,
        pub(super) signature: Text<'a>,
    }
}

object! {
    pub(super) struct CitationsContent<'a> {
        pub(super) content: List<Object<CitedText<'a>>>,
        pub(super) citations: List<Raw<'a>>,
    }
}

object! {
    pub(super) struct CitedText<'a> {
        pub(super) text: Text<'a>,
    }
}

object! {
    pub(super) struct Citation<'a> {
        pub(super) title: Text<'a>,
        pub(super) source_content as "sourceContent": List<Object<CitedText<'a>>>,
        pub(super) location: Object<Location<'a>>,
    }
}

object! {
    pub(super) struct Location<'a> {
        pub(super) web: Object<Web<'a>>,
    }
}

object! {
    pub(super) struct Web<'a> {
        pub(super) url: Text<'a>,
    }
}

object! {
    pub(super) struct Image<'a> {
        pub(super) format: Text<'a>,
        pub(super) source: Object<ImageSource<'a>>,
    }
}

object! {
    pub(super) struct ImageSource<'a> {
        /// Base64.
        pub(super) bytes: Text<'a>,
    }
}

object! {
    pub(super) struct Usage {
        pub(super) input_tokens as "inputTokens": Count,
        pub(super) output_tokens as "outputTokens": Count,
        pub(super) total_tokens as "totalTokens": Count,
        pub(super) cache_read_input_tokens as "cacheReadInputTokens": Count,
        pub(super) cache_write_input_tokens as "cacheWriteInputTokens": Count,
        /// The same numbers under names that the service model lacks.
        pub(super) cache_read_input_token_count as "cacheReadInputTokenCount": Count,
        pub(super) cache_write_input_token_count as "cacheWriteInputTokenCount": Count,
    }
}

object! {
    pub(super) struct Metrics {
        pub(super) latency_ms as "latencyMs": Count,
    }
}

object! {
    pub(super) struct Trace<'a> {
        pub(super) prompt_router as "promptRouter": Object<PromptRouter<'a>>,
    }
}

object! {
    pub(super) struct PromptRouter<'a> {
        pub(super) invoked_model_id as "invokedModelId": Text<'a>,
    }
}
