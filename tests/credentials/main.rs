//! Credentials that are fetched: the step in the machine, the sources, and all of it over real transports.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

#[path = "../manual_driver/mod.rs"]
mod manual_driver;

#[cfg(all(feature = "bedrock", feature = "ureq"))]
mod aws;
#[cfg(feature = "ureq")]
mod azure;
#[cfg(all(feature = "bedrock", feature = "rs256", feature = "ureq"))]
mod canary;
#[cfg(all(feature = "bedrock", feature = "ureq"))]
mod comparison;
mod fake;
#[cfg(feature = "ureq")]
mod federation;
#[cfg(all(feature = "rs256", feature = "ureq"))]
mod google;
#[cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
mod limited;
mod machine;
#[cfg(all(feature = "bedrock", feature = "ureq"))]
mod oracle;
mod programs;
#[cfg(all(feature = "bedrock", feature = "ureq"))]
mod settings;
mod simulator;
#[cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
mod transports;
