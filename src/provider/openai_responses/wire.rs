//! The answer as it is on the wire, whole and in events, with every member optional.

use crate::provider::lenient::{Count, List, Object, Raw, Text, object};

object! {
    /// A `response` object.
    pub(super) struct Response<'a> {
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        pub(super) created_at: Count,
        pub(super) service_tier: Text<'a>,
        pub(super) status: Text<'a>,
        pub(super) error: Raw<'a>,
        pub(super) incomplete_details: Object<Incomplete<'a>>,
        pub(super) output: Option<List<Raw<'a>>>,
        pub(super) usage: Raw<'a>,
        /// xAI puts its `system_fingerprint` here.
        pub(super) metadata: Object<Metadata<'a>>,
        /// Azure.
        pub(super) content_filters: Raw<'a>,
        pub(super) moderation: Raw<'a>,
    }
}

object! {
    pub(super) struct Incomplete<'a> {
        pub(super) reason: Text<'a>,
    }
}

object! {
    pub(super) struct Metadata<'a> {
        pub(super) system_fingerprint: Text<'a>,
    }
}

object! {
    /// An element of `output`.
    pub(super) struct Item<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) role: Text<'a>,
        pub(super) phase: Text<'a>,
        pub(super) call_id: Text<'a>,
        pub(super) name: Text<'a>,
        pub(super) arguments: Raw<'a>,
        pub(super) content: List<Object<Part<'a>>>,
        pub(super) summary: List<Object<Part<'a>>>,
    }
}

object! {
    /// A part of a message, of a reasoning item or of its summary.
    pub(super) struct Part<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) refusal: Text<'a>,
        pub(super) annotations: List<Raw<'a>>,
        pub(super) logprobs: List<Raw<'a>>,
    }
}

object! {
    /// An event of a stream.
    pub(super) struct Event<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) output_index: Count,
        pub(super) content_index: Count,
        pub(super) summary_index: Count,
        pub(super) delta: Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) refusal: Text<'a>,
        pub(super) logprobs: List<Raw<'a>>,
        pub(super) item: Raw<'a>,
        pub(super) response: Raw<'a>,
    }
}
