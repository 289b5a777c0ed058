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

/// The end of a text that was shortened.
const ELLIPSIS: char = '…';

/// A server's text, shortened for an error. A shortened text ends with [`ELLIPSIS`].
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let mut rest = text.trim().chars();
    let mut short: String = rest.by_ref().take(MAX_CHARS).collect();
    if rest.next().is_some() {
        short.push(ELLIPSIS);
    }
    escape_controls(&short).to_string()
}

/// The reason of a failed fetch, for all calls that wait for it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    message: String,
    pub(super) code: String,
    pub(super) retryable: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    /// `error` is the source's own, or that of a library that a closure called.
    pub(super) fn new(source: &str, error: &Error, hidden: &[zeroize::Zeroizing<String>]) -> Self {
        let message = hidden
            .iter()
            .fold(error.message().to_owned(), |message, secret| {
                without_secret(&message, secret)
            });
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

/// A message without a secret, also where an excerpt ends inside of it.
fn without_secret(message: &str, secret: &str) -> String {
    let parts = message.split_inclusive(ELLIPSIS).map(|part| {
        let mut part = part.to_owned();
        crate::error::scrub(&mut part, secret);
        part
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn an_excerpt_that_ends_inside_a_secret_shows_nothing_of_it() {
        let secret = "c4n4rybird-3141592653";
        let hidden = [Zeroizing::new(secret.to_owned())];
        for shown in 0..=secret.len() {
            let text = ["x".repeat(300 - shown), secret.to_owned()].concat();
            let error = login(format!("{}: run `login`", excerpt(&text)));
            let message = Failure::new("test", &error, &hidden).error().to_string();
            assert!(!message.contains("c4n4"), "{shown}: {message}");
            assert!(message.contains(": run `login`"), "{message}");
        }
    }

    #[test]
    fn a_shortened_excerpt_says_so() {
        assert_eq!(excerpt(&"x".repeat(300)), "x".repeat(300));
        assert_eq!(excerpt(&"x".repeat(301)), "x".repeat(300) + "…");
    }
}
