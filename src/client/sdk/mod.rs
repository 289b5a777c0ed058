//! Clients in the shapes of the vendors' own SDKs, over [`Client`](crate::Client) and [`AsyncClient`](crate::AsyncClient).

mod cerebras;
mod per_call;
mod raw;

pub use cerebras::{
    AsyncCerebras, Cerebras, CerebrasSdk, Chat, Completions, Models, RawCompletions,
};
pub use raw::RawResponse;
