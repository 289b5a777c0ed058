//! The wire format of responses, as a single body and as events; every field is optional.

use crate::provider::kit::lenient::{
    Count, List, Number, Object, Raw, Text, UnknownFields, object,
};

object! {
    /// A single-body response.
    pub(super) struct ChatResponse<'a> {
        pub(super) id: Text<'a>,
        pub(super) finish_reason: Text<'a>,
        pub(super) message: Object<Message<'a>>,
        pub(super) usage: Raw<'a>,
        pub(super) logprobs: List<Object<Logprob<'a>>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A stream event.
    pub(super) struct Event<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) id: Text<'a>,
        pub(super) index: Count,
        pub(super) delta: Object<Delta<'a>>,
        pub(super) logprobs: Object<Logprob<'a>>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Delta<'a> {
        pub(super) message: Object<Message<'a>>,
        pub(super) finish_reason: Text<'a>,
        pub(super) usage: Raw<'a>,
        /// The reason why a generation failed.
        pub(super) error: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    /// A message or a delta: a list in the former is a single object in the latter.
    pub(super) struct Message<'a> {
        pub(super) content: Raw<'a>,
        pub(super) tool_plan: Text<'a>,
        pub(super) tool_calls: Raw<'a>,
        pub(super) citations: Raw<'a>,
        pub(super) role: Raw<'a>,
        ..others: UnknownFields<'a>,
    }
}

object! {
    pub(super) struct Content<'a> {
        pub(super) r#type as "type": Text<'a>,
        pub(super) text: Text<'a>,
        pub(super) thinking: Text<'a>,
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
        pub(super) arguments: Raw<'a>,
    }
}

object! {
    pub(super) struct Citation<'a> {
        pub(super) text: Text<'a>,
        pub(super) content_index: Count,
        pub(super) sources: List<Object<Source<'a>>>,
    }
}

object! {
    pub(super) struct Source<'a> {
        pub(super) id: Text<'a>,
        pub(super) document: Object<Document<'a>>,
    }
}

object! {
    pub(super) struct Document<'a> {
        pub(super) title: Text<'a>,
        pub(super) url: Text<'a>,
    }
}

object! {
    /// A text and the probabilities of its tokens.
    pub(super) struct Logprob<'a> {
        pub(super) text: Text<'a>,
        pub(super) logprobs: List<Number>,
    }
}

object! {
    pub(super) struct Usage {
        pub(super) tokens: Object<Tokens>,
        pub(super) billed_units: Object<Tokens>,
        pub(super) cached_tokens: Count,
    }
}

object! {
    pub(super) struct Tokens {
        pub(super) input_tokens: Count,
        pub(super) output_tokens: Count,
        pub(super) reasoning_tokens: Count,
        pub(super) image_tokens: Count,
    }
}
