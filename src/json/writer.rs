//! Writing a JSON object member by member, straight into the body's bytes.

use crate::{Error, ErrorKind};
use serde::Serialize;

/// An object under way.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    out: Vec<u8>,
}

impl ObjectWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        ObjectWriter { out }
    }

    /// Adds a member.
    pub(crate) fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        let refuse = |e: serde_json::Error| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{name}` cannot be written as JSON: {e}"),
            )
        };
        serde_json::to_writer(&mut self.out, name).map_err(refuse)?;
        self.out.push(b':');
        serde_json::to_writer(&mut self.out, value).map_err(refuse)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}
