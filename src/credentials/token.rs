//! What a source gives.

use crate::Secret;
#[cfg(feature = "bedrock")]
use crate::provider::AwsCredentials;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A lifetime for tokens of which nothing is known. That is also what the AWS SDK for Rust takes.
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A bearer token or temporary AWS keys, and until when they are good. Never printed.
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
    /// So long after the last request of the fetch was sent.
    After(Duration),
    At(SystemTime),
    Never,
}

impl Token {
    /// A token for `authorization: Bearer`, or for the header that the provider uses for keys.
    #[must_use]
    pub fn bearer(secret: Secret) -> Token {
        Token::new(TokenSecret::Bearer(secret))
    }

    /// AWS keys, to sign with.
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

    /// Good for so long, counted from when the last request of the fetch was sent. Without an expiry a token is used for 15
    /// minutes.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Token {
        self.expiry = Expiry::After(lifetime);
        self
    }

    /// Good until then, by the clock of the server that issued it, if its answer had a `date`, else by the transport's
    /// wall clock.
    #[must_use]
    pub fn expires_at(mut self, end: SystemTime) -> Token {
        self.expiry = Expiry::At(end);
        self
    }

    /// Good for ever, or until the provider refuses it.
    #[must_use]
    pub fn never_expires(mut self) -> Token {
        self.expiry = Expiry::Never;
        self
    }

    /// Renewed so long before it expires, instead of a quarter of its lifetime and at most 5 minutes.
    #[must_use]
    pub fn renew_ahead(mut self, ahead: Duration) -> Token {
        self.renew_ahead = Some(ahead);
        self
    }

    /// Sent with each request that this token authenticates, such as `x-goog-user-project`, unless the request has that header
    /// already.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Token {
        self.headers.push(TokenHeader {
            name,
            value,
            is_list: false,
        });
        self
    }

    /// The same for a header whose value is a list, to which this one is added.
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

    /// Used on while no newer one can be had, although it has expired: instance metadata hands out such keys when the
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

    /// The same for as long, with another secret.
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
