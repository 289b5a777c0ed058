//! Shared by the integration tests: recorded exchanges, a manual driver, independent decoders.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "where recordings are and how thoroughly to test is said by the environment"
)]

pub mod bedrock_fixtures;
pub mod checks;
pub mod corpus;
pub mod corpus_checks;
pub mod drive;
pub mod reference_decoder;
