//! The clients over real sockets, against the provider on loopback.
#![cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]

mod batch;
#[cfg(feature = "bedrock")]
mod bedrock;
mod limits;
mod registry;
mod sdk;
mod support;
mod together;
