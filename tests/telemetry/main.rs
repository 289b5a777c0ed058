//! The content of traces and metrics, and what they never contain.
#![cfg(all(feature = "tracing", feature = "metrics", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod canary;
mod metrics;
mod spans;
mod support;
