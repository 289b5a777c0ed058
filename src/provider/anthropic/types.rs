//! The answer as it is on the wire, whole and in events, with every member optional.

use crate::provider::kit::lenient::{Count, List, Object, Raw, Text, UnknownFields, object};

object! {
    /// An event of a stream: its `type` says which members count.
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
    /// What is new in a content block, or, in a `message_delta`, of the message.
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
    /// A message: whole, or as far as it is known when a stream begins.
    pub(super) struct Message<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) model: Text<'a>,
        pub(super) role: Raw<'a>,
        /// A list of blocks; some servers send a text, or a block alone.
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
    /// A content block: whole, or as it begins.
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
    /// Where a text has its words from, in any of the five forms of location.
    pub(super) struct CitationFields<'a> {
        pub(super) cited_text: Text<'a>,
        pub(super) title: Text<'a>,
        pub(super) document_title: Text<'a>,
        pub(super) url: Text<'a>,
        pub(super) source: Text<'a>,
    }
}
