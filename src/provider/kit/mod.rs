//! What the author of a provider finds ready-made, in the order in which it is met.
//!
//! 1. [`builder`]: `ProviderBuilder`, the options that all providers have, and `BuildProvider`, which connects a provider to it.
//! 2. [`core`]: `ProviderCore`, what a provider keeps of these options, and the HTTP requests that it makes.

pub(crate) mod builder;
pub(crate) mod core;
pub(crate) mod profile_table;
pub(crate) mod url_template;
