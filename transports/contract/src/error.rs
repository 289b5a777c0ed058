use std::{error::Error, fmt};

/// What a transport could not do, and whether the request can have had an effect.
///
/// The message must not contain header values or bodies: it ends up in logs.
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    delivery: RequestDelivery,
    message: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, or the proxy could not reach the target.
    Connect,
    /// The proxy refuses the connection or cannot be used: wrong credentials, forbidden target, unsupported scheme, no HTTP or SOCKS.
    /// Never worth a retry: repeated wrong credentials can lock an account.
    Proxy,
    /// The TLS handshake failed or the certificate is not trusted. Never worth a retry.
    Tls,
    /// A limit passed; the phase says which.
    Timeout(Phase),
    /// The connection broke: reset, closed, stream refused.
    Reset,
    /// The body ended before the end that its framing announced.
    Truncated,
    /// The peer broke the rules of HTTP.
    Protocol,
    /// The response's head is larger than the client accepts.
    HeadersTooLarge,
    /// The request itself cannot be sent (no host, bad URI).
    Request,
    /// The caller cancelled the call, with a [`CancelHandle`](crate::CancelHandle). Never worth a retry.
    Cancelled,
    /// Anything else.
    Other,
}

/// The part of an attempt in which time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving, connecting, TLS handshake.
    Connect,
    /// Sending the request and waiting for the response's head.
    Headers,
    /// Between two reads of the body.
    Body,
}

/// How far the request got, which decides whether a POST may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestDelivery {
    /// The server cannot have seen it: no connection, or the client knows that it was refused unread.
    NotSent,
    /// It may have been processed.
    MaybeProcessed,
    /// The response's head had arrived.
    Answered,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportErrorKind::Dns => "the name could not be resolved",
            TransportErrorKind::Connect => "no connection",
            TransportErrorKind::Proxy => "the proxy refused the connection",
            TransportErrorKind::Tls => "TLS failed",
            TransportErrorKind::Timeout(Phase::Connect) => "no connection in time",
            TransportErrorKind::Timeout(Phase::Headers) => "no answer in time",
            TransportErrorKind::Timeout(Phase::Body) => "no more of the answer in time",
            TransportErrorKind::Reset => "the connection broke",
            TransportErrorKind::Truncated => "the answer ended before its end",
            TransportErrorKind::Protocol => "the answer is not HTTP",
            TransportErrorKind::HeadersTooLarge => "the answer's head is too large",
            TransportErrorKind::Request => "the request cannot be sent",
            TransportErrorKind::Cancelled => "the call was cancelled",
            TransportErrorKind::Other => "the exchange failed",
        })
    }
}

impl TransportError {
    /// A failure described in a few words, without secrets.
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

    /// The same with the client's own error as its source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What failed.
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
