//! HTTP/1.1 for programs that have a socket and no HTTP client: encodes one request and decodes its response ([RFC
//! 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! It is strict where lenient parsers interpret the same bytes differently: a bare LF, a folded header, two lengths
//! and an unknown transfer coding are errors.

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
