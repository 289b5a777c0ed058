//! The two drivers in a world whose time the test moves: when a call begins, how many run, how a poll gives way, and that all
//! comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::field_reassign_with_default,
    reason = "a test that goes wrong is to stop"
)]

mod cancellation;
mod fairness;
mod limits;
mod observers;
mod rate_limit;
mod slow_reader;
mod world;
