//! What the fuzz targets do. Each body takes bytes and panics if a promise is broken.
//!
//! The bodies are here and not in the targets so that an ordinary build compiles them: `tests/fuzz_seeds.rs` includes this
//! file and runs each body over its seeds with a stable compiler.

mod answers;
mod codecs;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/support/drive.rs"]
mod drive;
mod exchange;
mod frames;
mod grammar;
mod headers;
mod lists;
mod naive_sse;
mod policies;
mod request;
mod source;
mod wires;

pub use answers::{error_body, stream, whole};
pub use codecs::{event_stream, event_stream_forged, http1, ndjson, sse};
pub use exchange::exchange;
pub use headers::headers;
pub use lists::lists;
pub use policies::policies;
pub use request::request;

/// What is done with the bytes of one input.
pub type Target = fn(&[u8]);

/// Every target's name, which is also its seeds' folder, and its body.
pub const TARGETS: &[(&str, Target)] = &[
    ("sse", sse),
    ("ndjson", ndjson),
    ("event_stream", event_stream),
    ("event_stream_forged", event_stream_forged),
    ("http1", http1),
    ("whole", whole),
    ("stream", stream),
    ("error_body", error_body),
    ("lists", lists),
    ("headers", headers),
    ("request", request),
    ("exchange", exchange),
    ("policies", policies),
];
