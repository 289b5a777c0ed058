//! Transports without a network, for the tests of programs that use this library.
//!
//! [`MockTransport`] gives the answers that a test names, one after another. [`Recorder`] keeps what goes over a real transport,
//! without secrets, and [`Cassette`] plays it again. Time is theirs: whoever waits does not wait.

mod cassette;
mod format;
mod mock;
mod recorder;
mod redact;

pub use cassette::Cassette;
pub use mock::{MockBody, MockResponse, MockTransport};
pub use recorder::{RecordedBody, Recorder};
