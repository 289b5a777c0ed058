//! The clients over real sockets, with the loopback provider.
#![cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::field_reassign_with_default,
    reason = "a test that goes wrong is to stop, and these look at real clocks"
)]

mod batch;
#[cfg(feature = "bedrock")]
mod bedrock;
mod cancellation;
#[cfg(feature = "bedrock")]
#[path = "../../examples/common/mod.rs"]
mod common;
mod compat;
mod concurrency;
mod limits;
mod many_calls;
mod panics;
#[cfg(feature = "bedrock")]
mod providers;
mod rate_limit;
mod registry;
mod resume;
mod small_calls;
mod support;
