//! Transports without a network, for tests of programs that use this library.
//!
//! [`MockTransport`] returns scripted responses. [`Recorder`] records the exchanges of a real transport, without
//! secrets, and [`Cassette`] plays them. The mock and the cassette have a virtual clock, so waits take no time.

mod cassette;
mod format;
mod mock;
mod recorder;
mod recording;
mod redact;

pub use cassette::Cassette;
pub use mock::{MockBody, MockResponse, MockTransport};
pub use recorder::{RecordedBody, Recorder};
pub use recording::provider_for_recording;
