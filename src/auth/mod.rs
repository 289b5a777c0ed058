//! Authentication of requests. It is applied to each attempt, because signatures expire and credentials rotate.

mod secret;
#[cfg(feature = "bedrock")]
pub(crate) mod sigv4;

use crate::{
    Error, ErrorKind,
    credentials::{Credentials, Token, errors::config},
};
use http::{HeaderName, HeaderValue, Request, header::AUTHORIZATION};
use std::{fmt, sync::Arc, time::SystemTime};
use unifiedai_transport::RequestBody;

pub use secret::Secret;

/// A way to authenticate requests.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Auth {
    /// No authentication.
    #[default]
    None,
    /// `authorization: Bearer <secret>`.
    Bearer(Credential),
    /// A separate header, such as `x-api-key`.
    Header(HeaderName, Credential),
    /// AWS Signature Version 4.
    #[cfg(feature = "bedrock")]
    SigV4(sigv4::Signer),
}

/// A secret, or a callback that returns it.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// A fixed secret.
    Fixed(Secret),
    /// A callback for each attempt, so that the secret can be renewed. It must not block for long: it runs inside the
    /// machine's `poll`.
    Callback(Arc<dyn Fn() -> Result<Secret, Error> + Send + Sync>),
    /// Fetched before the attempt, over its transport, and shared with other calls.
    Fetched(Credentials),
}

impl Credential {
    /// `token` is what was fetched for this attempt.
    fn get(&self, token: Option<&Token>) -> Result<Secret, Error> {
        match self {
            Credential::Fixed(secret) => Ok(secret.clone()),
            Credential::Callback(ask) => ask(),
            Credential::Fetched(source) => {
                token.and_then(Token::as_bearer).cloned().ok_or_else(|| {
                    config(format!(
                        "{} gives no bearer token, which this provider needs",
                        source.name()
                    ))
                })
            }
        }
    }
}

impl From<Credentials> for Credential {
    fn from(credentials: Credentials) -> Self {
        Credential::Fetched(credentials)
    }
}

impl From<Secret> for Credential {
    fn from(secret: Secret) -> Self {
        Credential::Fixed(secret)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Fixed(_) => "Fixed([secret])",
            Credential::Callback(_) => "Callback(..)",
            Credential::Fetched(_) => "Fetched(..)",
        })
    }
}

impl Auth {
    /// Whether requests carry a secret, which must not be sent unencrypted.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !matches!(self, Auth::None)
    }

    /// The credentials that have to be fetched before a request is sent.
    pub(crate) fn fetched(&self) -> Option<&Credentials> {
        match self {
            Auth::Bearer(Credential::Fetched(credentials))
            | Auth::Header(_, Credential::Fetched(credentials)) => Some(credentials),
            #[cfg(feature = "bedrock")]
            Auth::SigV4(signer) => signer.fetched(),
            _ => None,
        }
    }

    /// Authenticates a request that is about to be sent at `wall`. Returns the secret that was used, so that it can
    /// be removed from the response.
    pub(crate) fn apply(
        &self,
        request: &mut Request<RequestBody>,
        wall: SystemTime,
        token: Option<&Token>,
    ) -> Result<Option<Secret>, Error> {
        if let Some(token) = token {
            token.add_headers(request.headers_mut());
        }
        let (name, credential, prefix) = match self {
            Auth::None => return Ok(None),
            Auth::Bearer(credential) => (AUTHORIZATION, credential, "Bearer "),
            Auth::Header(name, credential) => (name.clone(), credential, ""),
            #[cfg(feature = "bedrock")]
            Auth::SigV4(signer) => return sign(signer, request, wall, token).map(Some),
        };
        let _ = wall;
        let secret = credential.get(token)?;
        let text = zeroize::Zeroizing::new([prefix, secret.expose()].concat());
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the key is not a valid header value",
            )
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
        Ok(Some(secret))
    }
}

/// Signs a request, whose signature covers its body.
#[cfg(feature = "bedrock")]
fn sign(
    signer: &sigv4::Signer,
    request: &mut Request<RequestBody>,
    wall: SystemTime,
    token: Option<&Token>,
) -> Result<Secret, Error> {
    let is_for_s3 = request.extensions().get::<sigv4::SignedForS3>().is_some();
    if request.body().is_streamed() && !is_for_s3 {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a request with an AWS signature cannot have a streamed body, except for S3: the signature covers all of it",
        ));
    }
    let (parts, body) = std::mem::take(request).into_parts();
    let bytes = body.as_bytes().cloned().unwrap_or_default();
    let mut plain = Request::from_parts(parts, bytes);
    if body.is_streamed() {
        plain.extensions_mut().insert(sigv4::UnsignedBody);
    }
    let secret = signer.apply_token(&mut plain, wall, token);
    *request = plain.map(|_| body);
    secret
}
