//! AWS credentials and their sources.

use crate::{Error, ErrorKind, auth::Secret, credentials::Credentials};
use std::{fmt, sync::Arc};

/// AWS credentials: an access key and, for temporary credentials, a session token. They are never printed, and wiped
/// from memory when the last clone is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    pub(super) access_key: Secret,
    pub(super) secret_key: Secret,
    pub(super) session_token: Option<Secret>,
}

impl AwsCredentials {
    /// Checks and stores credentials.
    ///
    /// # Errors
    /// `invalid_request` if a value is empty or contains anything except visible ASCII characters. The error names
    /// the value, the problem and the length, never the content.
    pub fn new(
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Result<AwsCredentials, Error> {
        let named = |name: &str, value: String| {
            Secret::new(value).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("the AWS {name}: {}", error.message()),
                )
            })
        };
        let access_key = named("access key id", access_key.into())?;
        if access_key.expose().contains(['/', ',']) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the AWS access key id has a `/` or a `,`: is it the secret access key?",
            ));
        }
        Ok(AwsCredentials {
            access_key,
            secret_key: named("secret access key", secret_key.into())?,
            session_token: session_token
                .map(|token| named("session token", token))
                .transpose()?,
        })
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials")
            .field("session_token", &self.session_token.is_some())
            .finish_non_exhaustive()
    }
}

/// AWS credentials, or a callback that returns them.
#[derive(Clone)]
#[non_exhaustive]
pub enum AwsCredentialSource {
    /// Fixed credentials.
    Fixed(AwsCredentials),
    /// A callback for each attempt, so that credentials can be renewed. It must not block for long: it runs inside
    /// the machine's `poll`.
    Callback(Arc<dyn Fn() -> Result<AwsCredentials, Error> + Send + Sync>),
    /// Fetched before the attempt, over its transport, and shared with other calls.
    Fetched(Credentials),
}

impl From<Credentials> for AwsCredentialSource {
    fn from(credentials: Credentials) -> Self {
        AwsCredentialSource::Fetched(credentials)
    }
}

impl From<AwsCredentials> for AwsCredentialSource {
    fn from(credentials: AwsCredentials) -> Self {
        AwsCredentialSource::Fixed(credentials)
    }
}

impl fmt::Debug for AwsCredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AwsCredentialSource::Fixed(_) => "Fixed([secret])",
            AwsCredentialSource::Callback(_) => "Callback(..)",
            AwsCredentialSource::Fetched(_) => "Fetched(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sigv4::{
        Signer,
        testing::{at, request},
    };

    // F107, F108
    #[test]
    fn credentials_are_checked_and_never_printed() {
        for (access, secret, token) in [
            ("", "canary", None),
            ("AKIDcanary", "", None),
            ("AKIDcanary\n", "canary", None),
            ("AKID/canary", "canary", None),
            ("AKIDcanary", "canary ", None),
            ("AKIDcanary", "canary", Some("canary\r\nx: y")),
            ("AKIDcanary", "canary", Some("")),
        ] {
            let error = AwsCredentials::new(access, secret, token.map(str::to_owned)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("the AWS "), "{error}");
            assert!(!format!("{error} {error:#?}").contains("canary"));
        }
        let credentials =
            AwsCredentials::new("AKIDcanary", "canary", Some("canary".to_owned())).unwrap();
        let signer = Signer::new(credentials.clone(), "eu-west-1", "bedrock").unwrap();
        let mut request = request("https://host.example/");
        signer.apply(&mut request, at(0)).unwrap();
        let printed =
            format!("{credentials:?} {credentials:#?} {signer:?} {signer:#?} {request:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }
}
