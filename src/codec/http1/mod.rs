//! HTTP/1.1 as bytes, for a program that has a socket and no HTTP client: one request out, its response in
//! ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! Strict where leniency lets two readers of the same bytes disagree: a bare LF, a folded header, two lengths, an unknown
//! transfer coding are errors.

mod decoder;
mod error;
mod framing;
mod headers;
mod lines;
mod request;
#[cfg(test)]
mod testing;

pub use self::{
    decoder::{ResponseDecoder, ResponsePart},
    error::Http1Error,
    request::encode_request,
};
