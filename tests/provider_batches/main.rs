//! Providers' batches and files: what is sent, what recorded and hand-made answers mean, and a run's whole life.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop; where recordings are is said by the environment"
)]

#[cfg(feature = "bedrock")]
mod bedrock;
mod downloads;
mod files;
mod fireworks;
mod fixtures;
#[cfg(feature = "ureq")]
mod loopback;
#[cfg(all(
    target_os = "linux",
    feature = "ureq",
    feature = "hyper",
    feature = "smol"
))]
mod memory;
mod recordings;
mod requests;
mod rules;
mod run;
mod support;
mod uploads;
mod vertex;
