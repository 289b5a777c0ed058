//! The two drivers in virtual time: when a call starts, concurrency limits, yielding, and the release of permits.
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
