//! What a request says and a wire cannot.

use crate::{Error, ErrorKind, OpaqueBlock, Warning};

/// Refuses what a wire cannot say, or with `lenient` lists it as left out.
#[derive(Debug)]
pub(crate) struct Omissions<'a> {
    provider: &'a str,
    lenient: bool,
    warnings: Vec<Warning>,
}

impl<'a> Omissions<'a> {
    pub(crate) fn new(provider: &'a str, lenient: bool) -> Self {
        Omissions {
            provider,
            lenient,
            warnings: Vec::new(),
        }
    }

    /// A parameter or value that the provider does not know.
    pub(crate) fn refuse(&mut self, what: &str) -> Result<(), Error> {
        let message = format!("`{}` does not support {what}", self.provider);
        if self.lenient {
            self.warn(
                "unsupported_parameter",
                format!("{message}; it was not sent"),
            );
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{message}; leave it out, or ask with `lenient()` to have it dropped"),
        ))
    }

    /// A part of a message without which the question would be another one: refused even with `lenient`.
    pub(crate) fn cannot_send(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("{what} cannot be sent to `{}`", self.provider),
        )
    }

    /// Another provider's piece of the history.
    pub(crate) fn foreign(&mut self, block: &OpaqueBlock) {
        let message = format!(
            "a block of `{}` was not sent to `{}`",
            block.provider, self.provider
        );
        self.warn("opaque_left_out", message);
    }

    pub(crate) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}
