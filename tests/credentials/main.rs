//! Credentials that are fetched: the step in the machine, the sources, and all of it over real transports.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

#[path = "../manual_driver/mod.rs"]
mod manual_driver;

#[cfg(all(feature = "bedrock", feature = "ureq"))]
mod aws;
mod fake;
mod machine;
mod simulator;
#[cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
mod transports;
