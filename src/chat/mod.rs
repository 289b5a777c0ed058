//! What a chat is made of: a request, its messages and tools, and the response.

mod finish;
mod message;
mod metrics;
mod openai_json;
mod params;
mod part;
mod request;
mod response;
mod tool;
#[cfg(feature = "schemars")]
mod typed;
mod usage;
mod validate;

pub use finish::FinishReason;
pub use message::{Message, Role};
pub(crate) use metrics::milliseconds;
pub use metrics::{Attempt, CallMetrics, ServerTiming};
pub use params::{
    JsonSchema, ReasoningEffort, ReasoningFormat, ResponseFormat, ServiceTier, Verbosity,
};
pub use part::{Citation, ContentPart, ImageDetail, Media, ProviderBlock};
pub(crate) use request::ParamVisitor;
pub use request::{ChatRequest, Param};
pub use response::{
    Choice, Logprobs, ProviderMetadata, RateLimit, RawBody, RawHeaders, TokenLogprob, TopLogprob,
    UnifiedChatResponse, Warning,
};
pub use tool::{ProviderData, Tool, ToolCall, ToolChoice, ToolResult};
pub use usage::Usage;
