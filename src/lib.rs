//! A client for LLM chat providers whose core does no I/O.

mod auth;
mod chat;
mod client;
pub mod codec;
mod error;
mod event;
mod exchange;
mod json;
mod json_writer;
mod policy;
pub mod provider;
pub mod transport;
mod wire_enum;

#[cfg(feature = "bedrock")]
pub use auth::sigv4::{AwsCredentialSource, AwsCredentials, Signer};
pub use auth::{Auth, Credential, Secret};
pub use chat::{
    Attempt, ChatRequest, Choice, Citation, ContentPart, FinishReason, ImageDetail, JsonSchema,
    Logprobs, Media, Message, Metrics, OpaqueBlock, OpaqueData, Param, ProviderMetadata, RateLimit,
    RawBody, ReasoningEffort, ReasoningFormat, ResponseFormat, Role, ServerTiming, ServiceTier,
    TokenLogprob, Tool, ToolCall, ToolChoice, ToolResult, TopLogprob, UnifiedChatResponse, Usage,
    Verbosity, Warning,
};
pub use client::{AsyncClient, Client, Providers, provider_from_env};
pub use error::{Error, ErrorBody, ErrorKind, TimeoutKind};
pub use event::{Accumulator, Assembler, AssemblerLimits, Head, StreamEvent, ToolFragment};
pub use exchange::{Chat, Exchange, Input, ListModels, OneModel, Operation, Start, Step};
pub use json::Json;
pub use policy::{CallOptions, Retry, SizeLimits, Timeouts, parse_duration, retry_after};
pub use provider::{BaseUrl, Encoded, Framing, Model, ModelPage, Provider};
pub use unifiedai_transport::{
    AsyncBody, AsyncTransport, Body, Delivery, FailureKind, Limits, Phase, Time, Transport,
    TransportError,
};

#[cfg(feature = "hyper")]
pub use unifiedai_hyper as hyper;
#[cfg(feature = "smol")]
pub use unifiedai_smol as smol;
#[cfg(feature = "ureq")]
pub use unifiedai_ureq as ureq;
