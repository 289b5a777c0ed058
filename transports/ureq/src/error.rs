//! From ureq's errors to the contract's.

use crate::timeout::Stage;
use std::io::ErrorKind;
use unifiedai_http::{error::find, target::Target};
use unifiedai_transport::{BodyError, Phase, RequestDelivery, TransportError, TransportErrorKind};
use ureq::{Error, Timeout};

/// What failed on a connection to a target.
pub(crate) fn from_ureq(error: Error, stage: Stage, target: &Target) -> TransportError {
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
    if let Error::Io(cause) = &error {
        if let Some(body) = find::<BodyError>(cause) {
            return body.clone().into_transport_error(delivery(stage));
        }
    }
    let (kind, delivery) = match before_sending(&error) {
        Some(kind) => (kind, RequestDelivery::NotSent),
        None => (kind(&error, stage), delivery(stage)),
    };
    let text = match &error {
        // Errors about the request quote it, and a timeout says nothing more.
        _ if matches!(
            kind,
            TransportErrorKind::Request | TransportErrorKind::Timeout(_)
        ) =>
        {
            format!("{kind}: {target}")
        }
        Error::Io(cause) => format!("{kind}: {target}: {cause}"),
        _ => format!("{kind}: {target}: {error}"),
    };
    TransportError::new(kind, delivery, text)
}

pub(crate) fn cancelled(stage: Stage, target: &Target) -> TransportError {
    let kind = TransportErrorKind::Cancelled;
    TransportError::new(kind, delivery(stage), format!("{kind}: {target}"))
}

fn delivery(stage: Stage) -> RequestDelivery {
    match stage {
        Stage::Connecting | Stage::Unsent => RequestDelivery::NotSent,
        Stage::Sent => RequestDelivery::MaybeProcessed,
        Stage::Answered | Stage::Ended => RequestDelivery::Answered,
    }
}

/// Errors, mostly of an agent of the caller's own, that occur only while nothing was sent.
fn before_sending(error: &Error) -> Option<TransportErrorKind> {
    Some(match error {
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => {
            TransportErrorKind::Request
        }
        Error::HostNotFound => TransportErrorKind::Dns,
        // The standard library has no kind for it.
        Error::Io(cause) if cause.to_string().contains("lookup address") => TransportErrorKind::Dns,
        Error::Io(cause) if cause.kind() == ErrorKind::ConnectionRefused => {
            TransportErrorKind::Connect
        }
        Error::ConnectionFailed => TransportErrorKind::Connect,
        Error::Tls(_) | Error::TlsRequired => TransportErrorKind::Tls,
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => TransportErrorKind::Proxy,
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            TransportErrorKind::Timeout(Phase::Connect)
        }
        _ => return None,
    })
}

fn kind(error: &Error, stage: Stage) -> TransportErrorKind {
    let is_answered = matches!(stage, Stage::Answered | Stage::Ended);
    match error {
        Error::Timeout(_) => TransportErrorKind::Timeout(match is_answered {
            false => Phase::Headers,
            true => Phase::Body,
        }),
        Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => {
            kind(&Error::Timeout(Timeout::Global), stage)
        }
        Error::Io(cause) if !is_answered && find::<rustls::Error>(cause).is_some() => {
            TransportErrorKind::Tls
        }
        Error::Io(cause) if is_answered && cause.kind() == ErrorKind::UnexpectedEof => {
            TransportErrorKind::Truncated
        }
        Error::Io(_) => TransportErrorKind::Reset,
        Error::LargeResponseHeader(..) => TransportErrorKind::HeadersTooLarge,
        Error::Protocol(error) if error.to_string().contains("too many headers") => {
            TransportErrorKind::HeadersTooLarge
        }
        Error::Protocol(_) if stage == Stage::Unsent => TransportErrorKind::Request,
        // What does not parse is not broken but cut.
        Error::Protocol(_) | Error::BodyStalled if stage == Stage::Ended => {
            TransportErrorKind::Truncated
        }
        Error::Protocol(_) | Error::BodyStalled => TransportErrorKind::Protocol,
        _ => TransportErrorKind::Other,
    }
}
