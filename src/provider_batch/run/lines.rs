//! The lines of a part, gathered before they are sent.

use super::state::Part;
use crate::{Error, ErrorKind, provider::BatchLimits};
use bytes::Bytes;

/// A part whose lines are being gathered, or that is ready to be sent.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) part: usize,
    lines: Vec<u8>,
    /// The size of all lines, whether they are kept or not.
    size: u64,
    count: u64,
    /// The next line to request.
    pub(super) next: u64,
    pub(super) is_ready: bool,
}

/// A line that did not fit into its part.
pub(super) struct Carried {
    pub(super) line: u64,
    pub(super) model: String,
    pub(super) bytes: Vec<u8>,
}

impl Gathered {
    pub(super) fn new(part: usize, first: u64) -> Self {
        Gathered {
            part,
            next: first,
            ..Gathered::default()
        }
    }

    /// Whether a line of this model and size has room here.
    pub(super) fn has_room(
        &self,
        part: &Part,
        model: &str,
        bytes: usize,
        limits: &BatchLimits,
    ) -> bool {
        if self.count == 0 {
            return true;
        }
        let size = self.size.saturating_add(bytes as u64).saturating_add(1);
        self.count < limits.max_requests
            && size <= limits.max_bytes
            && (!limits.one_model || part.model == model)
    }

    /// `is_kept` is false if the line is read again when it is sent.
    pub(super) fn add(&mut self, bytes: &[u8], is_kept: bool) {
        if is_kept {
            self.lines.extend_from_slice(bytes);
            self.lines.push(b'\n');
        }
        let size = (bytes.len() as u64).saturating_add(1);
        self.size = self.size.saturating_add(size);
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.count >= limits.max_requests
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.lines).into()
    }
}

/// Refuses a line that is too large for any batch.
pub(super) fn check_size(bytes: usize, limits: &BatchLimits) -> Result<(), Error> {
    let most = limits
        .max_line_bytes
        .min(limits.max_bytes.saturating_sub(1));
    if bytes as u64 <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!("the request has {bytes} bytes as a line of a batch; at most {most} are allowed"),
    ))
}
