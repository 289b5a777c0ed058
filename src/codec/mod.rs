//! Framing: bytes in, frames out. Nothing here knows a provider, and nothing here does I/O.

pub mod sse;
