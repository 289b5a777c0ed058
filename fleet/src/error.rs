use std::path::Path;

/// Why an operation on a fleet failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The database cannot be reached. The operation may be repeated.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// The worker's lease ended: others do its work. The worker must register again.
    #[error("the worker's lease ended, because it showed no sign of life in time")]
    LeaseLost,
    /// What was asked for does not fit the state of the run, or the configuration.
    #[error("{0}")]
    Refused(String),
    /// The database refused a statement.
    #[error("the database refused a statement: {0}")]
    Database(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// The library refused the provider's settings.
    #[error(transparent)]
    Provider(#[from] unifiedai::Error),
}

impl FleetError {
    /// Whether the same operation can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, FleetError::Unavailable(_))
    }

    pub(crate) fn file(path: &Path, error: impl std::fmt::Display) -> Self {
        FleetError::File(format!("{}: {error}", path.display()))
    }
}
