//! The shell that users hold: providers, the rules of their calls, and a transport.

mod batch;
mod blocking;
mod compare;
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
pub mod sdk;
mod settings;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod telemetry;
mod watch;

pub use batch::{AsyncBatch, Batch, BatchOptions, BatchResult, Requests};
pub use blocking::Client;
pub use compare::{Compared, Comparison, Criterion};
pub use env::provider_from_env;
pub(crate) use escort::Escort;
pub use health::{Health, HealthStatus, ProviderHealth};
pub use nonblocking::AsyncClient;
pub use observe::{CallEvent, CallInfo, CallSummary, Observation, Observer};
pub use providers::Providers;
#[cfg(feature = "metrics")]
pub use telemetry::MetricsObserver;
#[cfg(feature = "tracing")]
pub use telemetry::TracingObserver;

use unifiedai_transport::{BoxedAsyncTransport, BoxedTransport};

/// [`Client`], by the name that users of the Python package know.
pub type UnifiedAI<T = BoxedTransport> = Client<T>;

/// [`AsyncClient`], by the name that users of the Python package know.
pub type AsyncUnifiedAI<T = BoxedAsyncTransport> = AsyncClient<T>;
