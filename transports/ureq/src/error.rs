//! From ureq's errors to the contract's.

use crate::wire::Stage;
use std::{error::Error as StdError, fmt, io};
use unifiedai_transport::{Delivery, FailureKind, Phase, TransportError};
use ureq::Error;

/// What ureq's own errors do not tell apart, carried through it in `Error::Other`.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The name could not be looked up.
    Lookup(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault::Lookup(error) = self;
        error.fmt(f)
    }
}

impl StdError for Fault {}

pub(crate) fn from_ureq(error: Error, stage: Stage, host: &str) -> TransportError {
    let delivery = match stage {
        Stage::Unsent => Delivery::NotSent,
        Stage::Sent => Delivery::MaybeProcessed,
        Stage::Answered | Stage::Ended => Delivery::Answered,
    };
    let kind = kind(&error, stage);
    let message = format!("{kind}: {host}");
    let failure = TransportError::new(kind, delivery, message);
    // Errors about the request quote it.
    if kind == FailureKind::Request {
        failure
    } else {
        failure.with_source(error)
    }
}

fn kind(error: &Error, stage: Stage) -> FailureKind {
    match error {
        Error::Timeout(_) => FailureKind::Timeout(match stage {
            Stage::Unsent => Phase::Connect,
            Stage::Sent => Phase::Head,
            Stage::Answered | Stage::Ended => Phase::Body,
        }),
        Error::HostNotFound => FailureKind::Dns,
        Error::Tls(_) | Error::TlsRequired => FailureKind::Tls,
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            FailureKind::Connect
        }
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
    match error.downcast_ref() {
        Some(Fault::Lookup(_)) => FailureKind::Dns,
        None if error.is::<rustls::Error>() => tls_kind(stage),
        None => FailureKind::Other,
    }
}

fn io_kind(error: &io::Error, stage: Stage) -> FailureKind {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
    {
        return tls_kind(stage);
    }
    match (error.kind(), stage) {
        (_, Stage::Unsent) => FailureKind::Connect,
        (io::ErrorKind::UnexpectedEof, Stage::Answered | Stage::Ended) => FailureKind::Truncated,
        _ => FailureKind::Reset,
    }
}

fn tls_kind(stage: Stage) -> FailureKind {
    match stage {
        Stage::Unsent | Stage::Sent => FailureKind::Tls,
        Stage::Answered | Stage::Ended => FailureKind::Reset,
    }
}
