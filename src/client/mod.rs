//! The shell that users hold: providers, the rules of their calls, and a transport.

mod batch;
mod blocking;
mod call_context;
mod compare;
pub mod compat;
mod config_macro;
mod env;
mod env_anthropic_gemini;
#[cfg(feature = "bedrock")]
mod env_aws;
mod env_responses_cohere_ollama;
mod future_set;
mod health;
mod hedge;
mod media_file;
mod names;
mod nonblocking;
mod observe;
mod observer_notifier;
mod providers;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod telemetry;

pub use batch::{AsyncBatch, Batch, BatchOptions, BatchResult, IterRequests};
pub use blocking::Client;
pub(crate) use call_context::CallContext;
pub use compare::{Comparison, ComparisonEntry, ComparisonMetric};
pub use env::from_env;
pub use health::{Health, HealthStatus, ProviderHealth};
pub use nonblocking::AsyncClient;
pub use observe::{CallEvent, CallInfo, CallObservation, CallSummary, Observer};
pub use providers::ProviderRegistry;
#[cfg(feature = "metrics")]
pub use telemetry::MetricsObserver;
#[cfg(feature = "tracing")]
pub use telemetry::TracingObserver;

use unifiedai_transport::{BoxedAsyncTransport, BoxedTransport};

/// [`Client`], by the name that users of the Python package know.
pub type UnifiedAI<T = BoxedTransport> = Client<T>;

/// [`AsyncClient`], by the name that users of the Python package know.
pub type AsyncUnifiedAI<T = BoxedAsyncTransport> = AsyncClient<T>;
