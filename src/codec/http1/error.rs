//! Errors of the encoder and the decoder.

/// Why a request cannot be encoded, or a response cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Http1Error {
    /// The request cannot be sent as HTTP/1.1.
    #[error("the request cannot be sent as HTTP/1.1: {problem}")]
    #[non_exhaustive]
    Request {
        /// The problem.
        problem: &'static str,
    },
    /// The received bytes are not an HTTP/1 response.
    #[error("the response is not HTTP/1")]
    NotHttp,
    /// The headers or the trailers are malformed.
    #[error("the response headers are malformed: {problem}")]
    #[non_exhaustive]
    Headers {
        /// The problem.
        problem: &'static str,
    },
    /// The headers or the trailers exceed the limit.
    #[error("the response headers are larger than {limit} bytes")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The chunked encoding of the body is malformed.
    #[error("the response body has an invalid chunked encoding: {problem}")]
    #[non_exhaustive]
    Chunk {
        /// The problem.
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

pub(super) fn head(problem: &'static str) -> Http1Error {
    Http1Error::Headers { problem }
}

pub(super) fn chunk(problem: &'static str) -> Http1Error {
    Http1Error::Chunk { problem }
}
