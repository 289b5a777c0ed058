//! The types of a chat: request, messages, tools and response.

mod compacted;
mod continuation;
mod hosted;
pub(crate) mod message;
mod metrics;
mod openai_json;
pub(crate) mod params;
pub(crate) mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod tool;
#[cfg(feature = "schemars")]
mod typed;
pub(crate) mod usage;
mod validate;

pub use crate::event::{ResponseStart, ToolFragment};
pub use crate::json::{PartialJson, PartialJsonError};
pub use crate::transport::partial::{PartialStream, PartialValue};
pub use compacted::CompactedConversation;
pub use continuation::{Continuation, Cursor};
pub(crate) use hosted::SettingValue;
pub use hosted::{
    CodeOutput, Compaction, CompactionSettings, FetchedPage, FilePassage, HostedTool,
    HostedToolCall, HostedToolError, HostedToolInput, HostedToolKind, HostedToolOutput,
    HostedToolResult, HostedToolSetting, SearchResult, UserLocation,
};
pub(crate) use metrics::milliseconds;
pub use metrics::{Attempt, CallMetrics, CredentialFetch, ServerTiming};
pub use params::{ReasoningFormat, ServiceTier, Verbosity};
pub use part::{Citation, ImageDetail, ProviderBlock};
pub use request::Param;
pub(crate) use request::ParamVisitor;
pub use response::{
    Choice, Logprobs, ProviderMetadata, RateLimit, RawBody, RawHeaders, TokenLogprob, TopLogprob,
    Warning,
};
pub use tool::ProviderData;
pub use usage::HostedToolUsage;
