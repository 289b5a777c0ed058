//! Observers with the names of OpenTelemetry's conventions for generative AI:
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/>. They get names, numbers and times, and content only if the
//! program requests it.

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

/// The conventions' `gen_ai.operation.name`, where it differs from ours.
fn operation(name: &'static str) -> &'static str {
    match name {
        "embed" => "embeddings",
        other => other,
    }
}

/// The conventions' `gen_ai.provider.name`, where it differs from ours.
fn provider(name: &str) -> &str {
    match name {
        "bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "azure-anthropic" => "azure.ai.inference",
        "gemini" | "gemini-interactions" => "gcp.gemini",
        "vertex" | "vertex-anthropic" | "vertex-interactions" => "gcp.vertex_ai",
        "moonshot" => "moonshot_ai",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}
