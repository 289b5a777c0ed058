//! Converts the codecs' errors to errors of a call.

use crate::codec::{ndjson::NdjsonError, sse::SseError};
use crate::{Error, ErrorKind};

impl From<SseError> for Error {
    fn from(error: SseError) -> Self {
        let kind = match error {
            SseError::EventTooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<NdjsonError> for Error {
    fn from(error: NdjsonError) -> Self {
        let kind = match error {
            NdjsonError::LineTooLong { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}

#[cfg(feature = "bedrock")]
impl From<crate::codec::event_stream::EventStreamError> for Error {
    fn from(error: crate::codec::event_stream::EventStreamError) -> Self {
        use crate::codec::event_stream::EventStreamError;
        let kind = match error {
            EventStreamError::MessageTooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}
