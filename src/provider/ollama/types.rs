//! The wire format of responses, as a single body and as lines; every field is optional.

use crate::provider::kit::lenient::{Count, List, Object, Raw, Text, UnknownFields, object};

object! {
    pub(super) struct Line<'a> {
        pub(super) model: Text<'a>,
        pub(super) created_at: Text<'a>,
        pub(super) message: Object<Message<'a>>,
        /// `/api/generate` has no message.
        pub(super) response: Text<'a>,
        pub(super) thinking: Text<'a>,
        pub(super) done: bool,
        pub(super) done_reason: Text<'a>,
        pub(super) error: Raw<'a>,
        pub(super) logprobs: List<Raw<'a>>,
        pub(super) prompt_eval_count: Count,
        pub(super) eval_count: Count,
        /// Nanoseconds, like the next three.
        pub(super) total_duration: Count,
        pub(super) load_duration: Count,
        pub(super) prompt_eval_duration: Count,
        pub(super) eval_duration: Count,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Message<'a> {
        pub(super) content: Text<'a>,
        pub(super) thinking: Text<'a>,
        pub(super) tool_calls: List<Raw<'a>>,
        pub(super) role: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct ToolCall<'a> {
        pub(super) id: Text<'a>,
        pub(super) function: Object<Function<'a>>,
        pub(super) kind as "type": Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Function<'a> {
        pub(super) name: Text<'a>,
        /// An object; old servers send a string.
        pub(super) arguments: Raw<'a>,
        /// Ignored: the order has the same information.
        pub(super) index: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}
