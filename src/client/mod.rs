//! Clients: providers, call options and a transport.

pub mod batch;
mod blocking;
mod call_context;
pub mod compare;
pub mod compat;
mod config_macro;
pub(crate) mod env;
pub(crate) mod future_set;
pub mod health;
mod hedge;
mod media_file;
pub(crate) mod names;
mod nonblocking;
pub mod observe;
pub(crate) mod providers;

pub use blocking::Client;
pub(crate) use call_context::CallContext;
pub use env::from_env;
pub use nonblocking::AsyncClient;
pub use providers::ProviderRegistry;
