//! Calls that go on with a response that the provider keeps, and turns that the provider paused.

#![allow(
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop, and recordings are files"
)]

mod background;
mod recordings;
mod server;
mod turns;
