//! HTTP/1.1 for programs that have a socket and no HTTP client: encodes one request and decodes its response ([RFC
//! 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! It is strict where lenient parsers interpret the same bytes differently: a bare LF, a folded header, two lengths
//! and an unknown transfer coding are errors.

mod decoder;
mod framing;
mod request;
#[cfg(test)]
mod testing;

pub use self::{
    decoder::{ResponseDecoder, ResponsePart},
    request::{encode_head, encode_request},
};

// Errors of the encoder and the decoder.

/// Why a request cannot be encoded, or a response cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Http1Error {
    /// The request cannot be sent as HTTP/1.1.
    #[error("the request cannot be sent as HTTP/1.1: {problem}")]
    #[non_exhaustive]
    Request {
        /// The part of the request, and why it cannot be sent.
        problem: &'static str,
    },
    /// The received bytes are not an HTTP/1 response.
    #[error("the response is not HTTP/1")]
    NotHttp,
    /// The headers or the trailers are malformed.
    #[error("the response headers are malformed: {problem}")]
    #[non_exhaustive]
    Headers {
        /// The rule of RFC 9112 that they violate.
        problem: &'static str,
    },
    /// The headers or the trailers exceed the limit of their size or of their number.
    #[error("the response headers are larger than {limit} {unit}")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The limit, in `unit`.
        limit: usize,
        /// `bytes` ([`ResponseDecoder::with_max_header_size`]) or `fields` (128).
        unit: &'static str,
    },
    /// The chunked encoding of the body is malformed.
    #[error("the response body has an invalid chunked encoding: {problem}")]
    #[non_exhaustive]
    Chunk {
        /// The part of the encoding that is wrong.
        problem: &'static str,
    },
    /// The connection was closed before the response was complete.
    #[error("the connection was closed {within}")]
    #[non_exhaustive]
    Truncated {
        /// The position in the response.
        within: &'static str,
    },
}

pub(super) fn header_error(problem: &'static str) -> Http1Error {
    Http1Error::Headers { problem }
}

pub(super) fn too_many_bytes(limit: usize) -> Http1Error {
    let unit = "bytes";
    Http1Error::HeadersTooLarge { limit, unit }
}

pub(super) fn too_many_fields(limit: usize) -> Http1Error {
    let unit = "fields";
    Http1Error::HeadersTooLarge { limit, unit }
}

pub(super) fn chunk_error(problem: &'static str) -> Http1Error {
    Http1Error::Chunk { problem }
}
