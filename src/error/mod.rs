//! The error type, and the classification of a provider's errors.

mod body;
pub(crate) mod call_error;
mod classify;
pub(crate) mod kind;
mod limits;
mod phrases;
mod secret_echo;
mod text;

pub use body::ErrorBody;
pub(crate) use body::states_an_error;
pub(crate) use classify::classify;
pub use kind::TimeoutKind;
pub(crate) use phrases::wait as parse_wait;
#[cfg(feature = "testing")]
pub(crate) use secret_echo::hidden;
pub(crate) use text::{escape_controls, excerpt, scrub};

/// The part of a body that a message shows: 2 KiB.
pub(crate) const EXCERPT_BYTES: usize = 2048;
