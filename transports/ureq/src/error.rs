//! From ureq's errors to the contract's.

use crate::deadline::Stage;
use std::{error::Error as StdError, io};
use unifiedai_http::error::find;
use unifiedai_transport::{Delivery, FailureKind, Phase, TransportError};
use ureq::Error;

/// What failed on a connection to `place`, a host and port.
pub(crate) fn from_ureq(error: Error, stage: Stage, place: &str) -> TransportError {
    let error = match error {
        // From this crate's connector.
        Error::Other(other) => match other.downcast::<TransportError>() {
            Ok(failure) => return *failure,
            Err(other) => Error::Other(other),
        },
        error => error,
    };
    let kind = kind(&error, stage);
    let text = match &error {
        // Errors about the request quote it, and a timeout says nothing more.
        _ if kind == FailureKind::Request || matches!(error, Error::Timeout(_)) => {
            format!("{kind}: {place}")
        }
        Error::Io(cause) => format!("{kind}: {place}: {cause}"),
        Error::Other(cause) => format!("{kind}: {place}: {cause}"),
        _ => format!("{kind}: {place}: {error}"),
    };
    TransportError::new(kind, delivery(stage), text)
}

pub(crate) fn cancelled(stage: Stage, place: &str) -> TransportError {
    let kind = FailureKind::Cancelled;
    TransportError::new(kind, delivery(stage), format!("{kind}: {place}"))
}

fn delivery(stage: Stage) -> Delivery {
    match stage {
        Stage::Unsent => Delivery::NotSent,
        Stage::Sent => Delivery::MaybeProcessed,
        Stage::Answered | Stage::Ended => Delivery::Answered,
    }
}

fn kind(error: &Error, stage: Stage) -> FailureKind {
    match error {
        Error::Timeout(_) => FailureKind::Timeout(match stage {
            Stage::Unsent | Stage::Sent => Phase::Head,
            Stage::Answered | Stage::Ended => Phase::Body,
        }),
        Error::LargeResponseHeader(..) => FailureKind::HeadTooLarge,
        Error::Protocol(error) if error.to_string().contains("too many headers") => {
            FailureKind::HeadTooLarge
        }
        Error::Protocol(_) if stage == Stage::Unsent => FailureKind::Request,
        // What does not parse is not broken but cut.
        Error::Protocol(_) | Error::BodyStalled if stage == Stage::Ended => FailureKind::Truncated,
        Error::Protocol(_) | Error::BodyStalled => FailureKind::Protocol,
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => FailureKind::Request,
        Error::Io(error) => io_kind(error, stage),
        Error::Other(error) => other_kind(&**error, stage),
        _ => FailureKind::Other,
    }
}

fn other_kind(error: &(dyn StdError + Send + Sync + 'static), stage: Stage) -> FailureKind {
    match error.downcast_ref::<io::Error>() {
        Some(error) => io_kind(error, stage),
        None => FailureKind::Other,
    }
}

fn io_kind(error: &io::Error, stage: Stage) -> FailureKind {
    match (error.kind(), stage) {
        (_, Stage::Unsent | Stage::Sent) if find::<rustls::Error>(error).is_some() => {
            FailureKind::Tls
        }
        (io::ErrorKind::UnexpectedEof, Stage::Answered | Stage::Ended) => FailureKind::Truncated,
        _ => FailureKind::Reset,
    }
}
