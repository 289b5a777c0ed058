//! The clients over real sockets, against the provider on loopback.
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
#[cfg(feature = "bedrock")]
#[path = "../../examples/common/mod.rs"]
mod common;
mod crowds;
mod dropped;
mod limits;
mod pace;
mod panics;
mod registry;
mod sdk;
mod support;
mod together;
#[cfg(feature = "bedrock")]
mod wires;
