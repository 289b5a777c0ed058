//! Errors of sources, in five classes with a code each.

use crate::{Error, ErrorKind, error::escape_controls};
use std::time::Duration;

/// Nothing is configured, a file does not exist, an instance has no role.
pub(crate) fn missing(message: impl Into<String>) -> Error {
    new("credentials_missing", message)
}

/// The configuration is wrong.
pub(crate) fn config(message: impl Into<String>) -> Error {
    new("credentials_config", message)
}

/// A user must log in. The message contains the command.
pub(crate) fn login(message: impl Into<String>) -> Error {
    new("credentials_login", message)
}

/// A server refused.
pub(crate) fn refused(message: impl Into<String>) -> Error {
    new("credentials_refused", message)
}

/// A server did not respond, or reported a temporary failure.
pub(crate) fn unreachable(message: impl Into<String>) -> Error {
    new("credentials_unreachable", message).with_retryable(true)
}

fn new(code: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Credentials, message)
        .with_code(code)
        .with_retryable(false)
}

/// A server's text, shortened for an error.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let short: String = text.trim().chars().take(MAX_CHARS).collect();
    escape_controls(&short).to_string()
}

/// The reason of a failed fetch, for all calls that wait for it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    message: String,
    code: String,
    pub(super) retryable: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    /// `error` is the source's own, or that of a library that a closure called.
    pub(super) fn new(source: &str, error: &Error, hidden: &[zeroize::Zeroizing<String>]) -> Self {
        let mut message = error.message().to_owned();
        for secret in hidden {
            crate::error::scrub(&mut message, secret);
        }
        let retryable = error.is_retryable();
        let code = match error.kind() {
            ErrorKind::Credentials => error.code(),
            _ => None,
        };
        let code = code.unwrap_or(match retryable {
            true => "credentials_unreachable",
            false => "credentials_refused",
        });
        Failure {
            message: format!("credentials from {source}: {message}"),
            code: code.to_owned(),
            retryable,
            retry_after: error.retry_after(),
        }
    }

    pub(super) fn error(&self) -> Error {
        let error = Error::new(ErrorKind::Credentials, self.message.clone())
            .with_code(self.code.clone())
            .with_retryable(self.retryable);
        match self.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}
