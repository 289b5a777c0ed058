/// Defines a fieldless enum with a fixed word for each value.
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

            /// The value's word, as it stands in JSON.
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
    /// What went wrong, the same for every provider.
    ErrorKind {
        /// The provider refuses the request (400 and its like).
        BadRequest = "bad_request",
        /// The key is missing or wrong (401).
        Authentication = "authentication",
        /// The key may not do this (403).
        PermissionDenied = "permission_denied",
        /// No such model or address (404).
        NotFound = "not_found",
        /// In conflict with another request (409).
        Conflict = "conflict",
        /// Well-formed but not acceptable (422).
        UnprocessableEntity = "unprocessable_entity",
        /// Too many requests or tokens for now (429).
        RateLimit = "rate_limit",
        /// The account's credit or long-term quota is used up: waiting does not help.
        QuotaExceeded = "quota_exceeded",
        /// The conversation is too long for the model.
        ContextOverflow = "context_overflow",
        /// The provider's filter withheld the answer or refused the question.
        ContentFiltered = "content_filtered",
        /// The provider or model is overloaded (529, queue full).
        Overloaded = "overloaded",
        /// The provider failed (500 and its like).
        InternalServer = "internal_server",
        /// The provider is unavailable (503).
        ServiceUnavailable = "service_unavailable",
        /// No connection, or it broke before the answer began.
        Connection = "connection",
        /// A time limit passed; [`Error::timeout`](crate::Error::timeout) says which.
        Timeout = "timeout",
        /// The answer ended before its end.
        Truncated = "truncated",
        /// Something is larger than the limits allow.
        TooLarge = "too_large",
        /// The peer broke the wire's rules.
        Protocol = "protocol",
        /// The provider answered with a redirect, which is never followed.
        Redirect = "redirect",
        /// Refused before anything was sent.
        InvalidRequest = "invalid_request",
        /// The circuit breaker is open.
        CircuitOpen = "circuit_open",
        /// The caller gave up.
        Cancelled = "cancelled",
        /// The library was used wrongly.
        Misuse = "misuse",
    }
}

words! {
    /// A time limit.
    TimeoutKind {
        /// Until the connection stands.
        Connect = "connect",
        /// Until the answer's head arrives.
        FirstByte = "first_byte",
        /// Until the first text, reasoning or tool call of a stream.
        FirstToken = "first_token",
        /// Between two bytes.
        Idle = "idle",
        /// Between two events of a stream; comments and pings do not count.
        Progress = "progress",
        /// For the whole call, all attempts together.
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

    /// Whether the same request is refused for as long as the account and the model's limits are what they are.
    pub(crate) fn is_lasting(self) -> bool {
        use ErrorKind::*;
        matches!(self, TooLarge | ContextOverflow | QuotaExceeded)
    }
}

impl Default for ErrorKind {
    /// What a peer did that has no better name.
    fn default() -> Self {
        ErrorKind::Protocol
    }
}
