//! From ureq's errors to the contract's.

use crate::timeout::Stage;
use std::io::ErrorKind;
use unifiedai_http::error::find;
use unifiedai_transport::{Delivery, FailureKind, Phase, TransportError};
use ureq::{Error, Timeout};

/// What failed on a connection to `place`, a host and port.
pub(crate) fn from_ureq(error: Error, stage: Stage, place: &str) -> TransportError {
    let error = match error {
        // From this crate's connector.
        Error::Other(other) => match other.downcast::<TransportError>() {
            Ok(failure) => return *failure,
            Err(other) => other
                .downcast()
                .map_or_else(Error::Other, |cause| Error::Io(*cause)),
        },
        error => error,
    };
    let (kind, delivery) = match before_sending(&error) {
        Some(kind) => (kind, Delivery::NotSent),
        None => (kind(&error, stage), delivery(stage)),
    };
    let text = match &error {
        // Errors about the request quote it, and a timeout says nothing more.
        _ if matches!(kind, FailureKind::Request | FailureKind::Timeout(_)) => {
            format!("{kind}: {place}")
        }
        Error::Io(cause) => format!("{kind}: {place}: {cause}"),
        _ => format!("{kind}: {place}: {error}"),
    };
    TransportError::new(kind, delivery, text)
}

pub(crate) fn cancelled(stage: Stage, place: &str) -> TransportError {
    let kind = FailureKind::Cancelled;
    TransportError::new(kind, delivery(stage), format!("{kind}: {place}"))
}

fn delivery(stage: Stage) -> Delivery {
    match stage {
        Stage::Connecting | Stage::Unsent => Delivery::NotSent,
        Stage::Sent => Delivery::MaybeProcessed,
        Stage::Answered | Stage::Ended => Delivery::Answered,
    }
}

/// Errors, mostly of an agent of the caller's own, that occur only while nothing was sent.
fn before_sending(error: &Error) -> Option<FailureKind> {
    Some(match error {
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => FailureKind::Request,
        Error::HostNotFound => FailureKind::Dns,
        // The standard library has no kind for it.
        Error::Io(cause) if cause.to_string().contains("lookup address") => FailureKind::Dns,
        Error::Io(cause) if cause.kind() == ErrorKind::ConnectionRefused => FailureKind::Connect,
        Error::ConnectionFailed => FailureKind::Connect,
        Error::Tls(_) | Error::TlsRequired => FailureKind::Tls,
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => FailureKind::Proxy,
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => FailureKind::Timeout(Phase::Connect),
        _ => return None,
    })
}

fn kind(error: &Error, stage: Stage) -> FailureKind {
    let is_answered = matches!(stage, Stage::Answered | Stage::Ended);
    match error {
        Error::Timeout(_) => FailureKind::Timeout(match is_answered {
            false => Phase::Head,
            true => Phase::Body,
        }),
        Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => {
            kind(&Error::Timeout(Timeout::Global), stage)
        }
        Error::Io(cause) if !is_answered && find::<rustls::Error>(cause).is_some() => {
            FailureKind::Tls
        }
        Error::Io(cause) if is_answered && cause.kind() == ErrorKind::UnexpectedEof => {
            FailureKind::Truncated
        }
        Error::Io(_) => FailureKind::Reset,
        Error::LargeResponseHeader(..) => FailureKind::HeadTooLarge,
        Error::Protocol(error) if error.to_string().contains("too many headers") => {
            FailureKind::HeadTooLarge
        }
        Error::Protocol(_) if stage == Stage::Unsent => FailureKind::Request,
        // What does not parse is not broken but cut.
        Error::Protocol(_) | Error::BodyStalled if stage == Stage::Ended => FailureKind::Truncated,
        Error::Protocol(_) | Error::BodyStalled => FailureKind::Protocol,
        _ => FailureKind::Other,
    }
}
