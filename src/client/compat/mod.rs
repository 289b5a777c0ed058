//! Clients in the shapes of the vendors' own SDKs, over [`Client`] and [`AsyncClient`].

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

use crate::{AsyncClient, Client};
use unifiedai_transport::{BoxedAsyncTransport, BoxedTransport};

/// [`Client`] under the name that the Python package uses.
pub type UnifiedAI<T = BoxedTransport> = Client<T>;

/// [`AsyncClient`] under the name that the Python package uses.
pub type AsyncUnifiedAI<T = BoxedAsyncTransport> = AsyncClient<T>;
