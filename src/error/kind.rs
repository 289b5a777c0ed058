/// Defines a fieldless enum with a fixed name for each value.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The name in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The kind of a failure, the same for every provider.
    ///
    /// A response with an error status is judged by the code in its body first, then by the status. A status of 503
    /// without a known code is [`ServiceUnavailable`](ErrorKind::ServiceUnavailable), with a code that says "overloaded"
    /// it is [`Overloaded`](ErrorKind::Overloaded). The numbers below are the usual ones.
    ErrorKind {
        /// The provider refuses the request (400 and similar).
        BadRequest = "bad_request",
        /// The key is missing or wrong (401).
        Authentication = "authentication",
        /// No token for authentication could be fetched; the [code](crate::Error::code) gives the reason. Nothing was sent
        /// to the provider.
        Credentials = "credentials",
        /// The key lacks a permission (403).
        PermissionDenied = "permission_denied",
        /// The model or URL does not exist (404).
        NotFound = "not_found",
        /// A conflict with another request (409).
        Conflict = "conflict",
        /// The request is well-formed but not acceptable (422).
        UnprocessableEntity = "unprocessable_entity",
        /// Too many requests or tokens at the moment (429).
        RateLimit = "rate_limit",
        /// The account's credit or long-term quota is exhausted; waiting does not help.
        QuotaExceeded = "quota_exceeded",
        /// The conversation is too long for the model.
        ContextOverflow = "context_overflow",
        /// The provider's content filter withheld the response or refused the request.
        ContentFiltered = "content_filtered",
        /// The provider or model is overloaded (529, queue full).
        Overloaded = "overloaded",
        /// The provider failed (500 and similar).
        InternalServer = "internal_server",
        /// The provider is unavailable (503).
        ServiceUnavailable = "service_unavailable",
        /// The connection could not be established, or broke before the response began.
        Connection = "connection",
        /// A timeout expired; [`Error::timeout`](crate::Error::timeout) says which.
        Timeout = "timeout",
        /// The response ended before its end signal.
        Truncated = "truncated",
        /// The response exceeds a size limit.
        TooLarge = "too_large",
        /// The server violated the protocol.
        Protocol = "protocol",
        /// The server sent a redirect; redirects are never followed.
        Redirect = "redirect",
        /// The request was refused before anything was sent.
        InvalidRequest = "invalid_request",
        /// The circuit breaker is open.
        CircuitOpen = "circuit_open",
        /// The caller cancelled the call.
        Cancelled = "cancelled",
        /// The library was used incorrectly.
        Misuse = "misuse",
    }
}

words! {
    /// A timeout of a call.
    TimeoutKind {
        /// Until the connection is established.
        Connect = "connect",
        /// Until the response headers are received.
        FirstByte = "first_byte",
        /// Until the first text, reasoning or tool call of a stream.
        FirstToken = "first_token",
        /// Between two chunks of the body.
        Idle = "idle",
        /// Between two events of a stream; comments and keep-alives do not count.
        Progress = "progress",
        /// For the complete call, all attempts together.
        Total = "total",
    }
}

impl ErrorKind {
    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        use ErrorKind::*;
        matches!(
            self,
            Conflict
                | RateLimit
                | Overloaded
                | InternalServer
                | ServiceUnavailable
                | Connection
                | Timeout
                | Truncated
        )
    }

    /// Whether the same request fails as long as the account and the model's limits stay the same.
    pub(crate) fn is_lasting(self) -> bool {
        use ErrorKind::*;
        matches!(self, TooLarge | ContextOverflow | QuotaExceeded)
    }
}

impl Default for ErrorKind {
    /// For an unclassified failure of a peer.
    fn default() -> Self {
        ErrorKind::Protocol
    }
}
