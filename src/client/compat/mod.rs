//! Clients in the shapes of the vendors' own SDKs, over [`Client`](crate::Client) and [`AsyncClient`](crate::AsyncClient).

#[cfg(feature = "bedrock")]
mod bedrock;
mod cerebras;
mod per_call;
mod raw;

#[cfg(feature = "bedrock")]
pub use bedrock::{
    AsyncBedrockRuntime, AsyncConverseStream, BedrockCompat, BedrockRuntime, BlockDelta,
    BlockStart, ConverseBlock, ConverseEvent, ConverseMessage, ConverseMetrics, ConverseOutput,
    ConverseRequest, ConverseResponse, ConverseStream, ConverseTool, ConverseToolChoice,
    FoundationModels, InferenceConfig, InputSchema, ReasoningContent, ReasoningDelta, TokenUsage,
    ToolConfig, ToolResultBlock, ToolResultContent, ToolUse,
};
pub use cerebras::{
    AsyncCerebras, Cerebras, CerebrasCompat, Chat, Completions, Models, RawCompletions, RawModels,
};
pub use raw::RawResponse;
