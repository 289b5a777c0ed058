//! The tokens that a source returns.

use crate::Secret;
#[cfg(feature = "bedrock")]
use crate::provider::AwsCredentials;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The lifetime of tokens without an expiry; the AWS SDK for Rust uses the same.
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A bearer token or temporary AWS keys, and their expiry. Never printed.
#[derive(Clone)]
pub struct Token {
    pub(crate) secret: TokenSecret,
    pub(super) expiry: Expiry,
    headers: Vec<TokenHeader>,
    pub(super) renew_ahead: Option<Duration>,
    pub(super) stable: bool,
}

#[derive(Clone)]
struct TokenHeader {
    name: HeaderName,
    value: HeaderValue,
    is_list: bool,
}

#[derive(Clone)]
pub(crate) enum TokenSecret {
    Bearer(Secret),
    #[cfg(feature = "bedrock")]
    Aws(AwsCredentials),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// This long after the last request of the fetch was sent.
    After(Duration),
    At(SystemTime),
    Never,
}

impl Token {
    /// Creates a token for `authorization: Bearer`, or for the header that the provider uses for keys.
    #[must_use]
    pub fn bearer(secret: Secret) -> Token {
        Token::new(TokenSecret::Bearer(secret))
    }

    /// Creates a token from AWS keys, which sign requests.
    #[cfg(feature = "bedrock")]
    #[must_use]
    pub fn aws(credentials: AwsCredentials) -> Token {
        Token::new(TokenSecret::Aws(credentials))
    }

    fn new(secret: TokenSecret) -> Token {
        Token {
            secret,
            expiry: Expiry::After(DEFAULT_LIFETIME),
            headers: Vec::new(),
            renew_ahead: None,
            stable: false,
        }
    }

    /// Sets the lifetime, counted from the time at which the last request of the fetch was sent. A token without an
    /// expiry is used for 15 minutes.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Token {
        self.expiry = Expiry::After(lifetime);
        self
    }

    /// Sets the expiry, by the clock of the issuing server if its response has a `date`, else by the transport's wall
    /// clock.
    #[must_use]
    pub fn expires_at(mut self, end: SystemTime) -> Token {
        self.expiry = Expiry::At(end);
        self
    }

    /// Sets an unlimited lifetime, which ends only if the provider refuses the token.
    #[must_use]
    pub fn never_expires(mut self) -> Token {
        self.expiry = Expiry::Never;
        self
    }

    /// Sets how long before its expiry the token is renewed. The default is a quarter of its lifetime, at most 5
    /// minutes.
    #[must_use]
    pub fn renew_ahead(mut self, ahead: Duration) -> Token {
        self.renew_ahead = Some(ahead);
        self
    }

    /// Adds a header to each request that this token authenticates, such as `x-goog-user-project`, unless the request
    /// has it already.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Token {
        self.headers.push(TokenHeader {
            name,
            value,
            is_list: false,
        });
        self
    }

    /// Adds a value to a header that is a list.
    #[must_use]
    pub(crate) fn list_header(mut self, name: HeaderName, value: HeaderValue) -> Token {
        self.headers.push(TokenHeader {
            name,
            value,
            is_list: true,
        });
        self
    }

    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        for TokenHeader {
            name,
            value,
            is_list,
        } in &self.headers
        {
            match headers.get(name) {
                None => {
                    headers.insert(name, value.clone());
                }
                Some(present) if *is_list => {
                    let joined = [present.as_bytes(), b",", value.as_bytes()].concat();
                    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
                        headers.insert(name, joined);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Allows the use of an expired token while it cannot be renewed: instance metadata returns such keys when the
    /// service behind it fails, and AWS accepts them then.
    #[cfg(feature = "bedrock")]
    #[must_use]
    pub(crate) fn stable(mut self) -> Token {
        self.stable = true;
        self
    }

    #[cfg(feature = "bedrock")]
    pub(crate) fn never_ends(&self) -> bool {
        self.expiry == Expiry::Never
    }

    /// The token with another secret and the same lifetime.
    #[cfg(feature = "bedrock")]
    #[must_use]
    pub(crate) fn with_bearer(mut self, secret: Secret) -> Token {
        self.secret = TokenSecret::Bearer(secret);
        self.stable = false;
        self
    }

    /// The bearer token, for a source that exchanges it for another one.
    pub(crate) fn as_bearer(&self) -> Option<&Secret> {
        match &self.secret {
            TokenSecret::Bearer(secret) => Some(secret),
            #[cfg(feature = "bedrock")]
            TokenSecret::Aws(_) => None,
        }
    }

    /// The AWS keys, for a source that signs with them.
    #[cfg(feature = "bedrock")]
    pub(crate) fn as_aws(&self) -> Option<&AwsCredentials> {
        match &self.secret {
            TokenSecret::Aws(credentials) => Some(credentials),
            TokenSecret::Bearer(_) => None,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}
