//! The bodies of the fuzz targets. Each takes bytes and panics if a guarantee is violated.
//!
//! The bodies are here and not in the targets, so that an ordinary build compiles them: `tests/fuzz_seeds.rs`
//! includes this file and runs each body on its seeds with a stable compiler.

mod batch_api;
mod codecs;
mod credentials;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/support/drive.rs"]
mod drive;
mod exchange;
mod frames;
mod grammar;
mod headers;
mod model_lists;
mod policies;
mod protocols;
mod reference_sse;
mod request;
mod responses;
mod source;

pub use batch_api::batch_api;
pub use codecs::{event_stream, event_stream_valid_crc, http1, ndjson, sse};
pub use credentials::credentials;
pub use exchange::exchange;
pub use headers::headers;
pub use model_lists::model_lists;
pub use policies::policies;
pub use request::request;
pub use responses::{error_body, json_body, stream};

/// Processes the bytes of one input.
pub type Target = fn(&[u8]);

/// Every target's name, which is also the name of its seeds' folder, and its body.
pub const TARGETS: &[(&str, Target)] = &[
    ("sse", sse),
    ("ndjson", ndjson),
    ("event_stream", event_stream),
    ("event_stream_valid_crc", event_stream_valid_crc),
    ("http1", http1),
    ("json_body", json_body),
    ("stream", stream),
    ("error_body", error_body),
    ("model_lists", model_lists),
    ("batch_api", batch_api),
    ("headers", headers),
    ("request", request),
    ("exchange", exchange),
    ("policies", policies),
    ("credentials", credentials),
];
