use std::{error::Error, fmt, sync::Arc};

/// The failure of an attempt, and whether the request may have had an effect.
///
/// The message must not contain header values or bodies, because it is logged.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    delivery: RequestDelivery,
    message: Box<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The part that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, or the proxy could not reach the target.
    Connect,
    /// The proxy refused the connection or is misconfigured: wrong credentials, forbidden target, unsupported scheme,
    /// neither HTTP nor SOCKS. Never retried: repeated wrong credentials can lock an account.
    Proxy,
    /// The TLS handshake failed or the certificate is not trusted. Never retried.
    Tls,
    /// A deadline passed; the phase says which.
    Timeout(Phase),
    /// The connection broke: reset, closed, or stream refused.
    Reset,
    /// The body ended before the end that its framing announced.
    Truncated,
    /// The peer violated HTTP.
    Protocol,
    /// The response headers are larger than the client accepts.
    HeadersTooLarge,
    /// The request itself is invalid (no host, invalid URI).
    Request,
    /// The source of the request's body failed, or gave another number of bytes than announced. Never retried.
    RequestBody,
    /// The caller cancelled the call with a [`CancelHandle`](crate::CancelHandle). Never retried.
    Cancelled,
    /// Anything else.
    Other,
}

/// The part of an attempt in which a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Name resolution, TCP connection, TLS handshake.
    Connect,
    /// Sending the request and waiting for the response headers.
    Headers,
    /// Between two pieces of a streamed request body that the connection takes.
    RequestBody,
    /// Between two reads of the body.
    Body,
}

/// How far the request got, which decides whether a POST may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestDelivery {
    /// The server has not seen the request: no connection was made, or the client knows that it was refused unread.
    NotSent,
    /// It may have been processed.
    MaybeProcessed,
    /// The response headers were received.
    Answered,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportErrorKind::Dns => "the host name could not be resolved",
            TransportErrorKind::Connect => "no connection",
            TransportErrorKind::Proxy => "the proxy refused the connection",
            TransportErrorKind::Tls => "TLS failed",
            TransportErrorKind::Timeout(Phase::Connect) => {
                "the connection was not established in time"
            }
            TransportErrorKind::Timeout(Phase::Headers) => {
                "no response headers were received in time"
            }
            TransportErrorKind::Timeout(Phase::RequestBody) => {
                "no more of the request body was sent in time"
            }
            TransportErrorKind::Timeout(Phase::Body) => {
                "no more of the response body was received in time"
            }
            TransportErrorKind::Reset => "the connection broke",
            TransportErrorKind::Truncated => "the response body ended early",
            TransportErrorKind::Protocol => "the response is not valid HTTP",
            TransportErrorKind::HeadersTooLarge => "the response headers are too large",
            TransportErrorKind::Request => "the request is invalid",
            TransportErrorKind::RequestBody => "the source of the request body failed",
            TransportErrorKind::Cancelled => "the call was cancelled",
            TransportErrorKind::Other => "the exchange failed",
        })
    }
}

impl TransportError {
    /// Creates an error with a short description, without secrets.
    #[must_use]
    pub fn new(
        kind: TransportErrorKind,
        delivery: RequestDelivery,
        message: impl Into<String>,
    ) -> Self {
        TransportError {
            kind,
            delivery,
            message: message.into().into(),
            source: None,
        }
    }

    /// Sets the client library's error as the source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The part that failed.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// How far the request got.
    #[must_use]
    pub fn delivery(&self) -> RequestDelivery {
        self.delivery
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
