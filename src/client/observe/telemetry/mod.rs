//! Observers that speak OpenTelemetry's words for generative AI. Names, numbers and times are all that they get, unless the
//! program asks for content.
//!
//! The words: <https://opentelemetry.io/docs/specs/semconv/gen-ai/>, its spans and its metrics.

#[cfg(feature = "tracing")]
mod content;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
#[cfg(feature = "tracing")]
pub use tracing::TracingObserver;

/// `gen_ai.operation.name`, where the conventions have a word of their own.
fn operation(name: &'static str) -> &'static str {
    match name {
        "embed" => "embeddings",
        other => other,
    }
}

/// `gen_ai.provider.name`, where the conventions have a word of their own.
fn provider(name: &str) -> &str {
    match name {
        "bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "azure-anthropic" => "azure.ai.inference",
        "gemini" => "gcp.gemini",
        "vertex" | "vertex-anthropic" => "gcp.vertex_ai",
        "moonshot" => "moonshot_ai",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}
