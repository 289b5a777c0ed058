use crate::string_enum::wire_enum;

wire_enum! {
    /// The reason why the model stopped, in OpenAI's terms. The provider's own word is in
    /// [`Choice::native_finish_reason`](crate::chat::Choice::native_finish_reason).
    FinishReason {
        /// A natural end, or one of the stop sequences.
        Stop = "stop",
        /// The token limit or the context window was reached; the text is cut off.
        Length = "length",
        /// The model called tools and waits for their results.
        ToolCalls = "tool_calls",
        /// The provider withheld or cut the text.
        ContentFilter = "content_filter",
    }
}

impl FinishReason {
    /// Whether the end of the response may be missing: a limit, a filter or an unknown reason stopped it.
    pub(crate) fn is_cut(&self) -> bool {
        !matches!(self, FinishReason::Stop | FinishReason::ToolCalls)
    }
}
