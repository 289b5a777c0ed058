use crate::{Error, ErrorKind};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// A key or token. It is never printed, and its memory is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Checks and stores a secret.
    ///
    /// # Errors
    /// `invalid_request` if it is empty or contains anything except visible ASCII characters. The error names the
    /// problem and the length, never the value.
    pub fn new(secret: impl Into<String>) -> Result<Secret, Error> {
        let secret = Zeroizing::new(secret.into());
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if secret.is_empty() {
            return refuse("the key is empty".into());
        }
        let problem = secret.chars().enumerate().find_map(|(at, c)| {
            let name = match c {
                '!'..='~' => return None,
                '\n' | '\r' => "a line break",
                '\0' => "a NUL",
                c if c.is_whitespace() => "white space",
                c if c.is_control() => "a control character",
                _ => "a character outside ASCII",
            };
            Some((name, at))
        });
        if let Some((name, at)) = problem {
            let length = secret.chars().count();
            return refuse(format!(
                "the key has {name} at character {} of {length}: check how it was copied",
                at.saturating_add(1)
            ));
        }
        Ok(Secret(Arc::new(secret)))
    }

    /// The secret itself. Do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    // F107
    #[test]
    fn a_key_that_would_break_a_header_is_refused_without_showing_it() {
        for key in [
            "",
            " ",
            "canary\n",
            "\rcanary",
            "can\0ary",
            "canary ",
            "canäry",
            "can\x7fary",
        ] {
            let error = Secret::new(key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(!format!("{error} {error:#?}").contains("can"), "{error}");
        }
        assert_eq!(Secret::new("sk-canary").unwrap().expose(), "sk-canary");
    }

    // F108
    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("canary").unwrap()), "[secret]");
    }
}
