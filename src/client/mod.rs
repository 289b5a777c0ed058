//! The shell that users hold: providers, the rules of their calls, and a transport.

mod batch;
mod blocking;
mod compare;
pub mod compat;
mod crowd;
mod env;
#[cfg(feature = "bedrock")]
mod env_aws;
mod env_items;
mod env_wires;
mod escort;
mod health;
mod hedge;
mod media_file;
mod names;
mod nonblocking;
mod observe;
mod providers;
mod settings;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod telemetry;
mod watch;

pub use batch::{AsyncBatch, Batch, BatchOptions, BatchResult, IterRequests};
pub use blocking::Client;
pub use compare::{Comparison, ComparisonEntry, ComparisonMetric};
pub use env::from_env;
pub(crate) use escort::Escort;
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
