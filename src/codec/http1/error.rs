//! Why a request cannot be written, or a response not be read on.

/// Why a request cannot be written, or a response not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Http1Error {
    /// The request cannot be sent as HTTP/1.1.
    #[error("the request cannot be sent as HTTP/1.1: {problem}")]
    #[non_exhaustive]
    Request {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What came is not an HTTP/1 response at all.
    #[error("the answer is not HTTP/1")]
    NotHttp,
    /// The head or the trailers break the rules.
    #[error("the answer's head is malformed: {problem}")]
    #[non_exhaustive]
    Headers {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The head or the trailers are larger than the limit.
    #[error("the answer's head is larger than {limit} bytes")]
    #[non_exhaustive]
    HeadersTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The chunks of the body break the rules.
    #[error("the answer's chunks are malformed: {problem}")]
    #[non_exhaustive]
    Chunk {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// The connection was closed before the response was complete.
    #[error("the connection was closed {within}")]
    #[non_exhaustive]
    Truncated {
        /// Where in the response.
        within: &'static str,
    },
}

pub(super) fn head(problem: &'static str) -> Http1Error {
    Http1Error::Headers { problem }
}

pub(super) fn chunk(problem: &'static str) -> Http1Error {
    Http1Error::Chunk { problem }
}
