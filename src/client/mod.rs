//! The shell that users hold: providers, the rules of their calls, and a transport.

mod blocking;
mod env;
#[cfg(feature = "bedrock")]
mod env_aws;
mod env_wires;
mod nonblocking;
mod providers;

pub use blocking::Client;
pub use env::provider_from_env;
pub use nonblocking::AsyncClient;
pub use providers::Providers;
