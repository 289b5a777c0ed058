//! From the errors of hyper, h2, rustls and the operating system to the contract's.

use std::{error::Error as StdError, io};
use unifiedai_transport::{
    Delivery::{self, Answered, MaybeProcessed, NotSent},
    FailureKind::{
        self, Connect, Dns, HeadTooLarge, Protocol, Request, Reset, Timeout, Tls, Truncated,
    },
    Phase, TransportError,
};

/// The request names no place to connect to.
#[must_use]
pub fn unsendable(why: &str) -> TransportError {
    TransportError::new(
        Request,
        NotSent,
        format!("the request cannot be sent: {why}"),
    )
}

/// The host's name leads to no address.
#[must_use]
pub fn unresolved(error: io::Error, host: &str) -> TransportError {
    failure(Dns, NotSent, host).with_source(error)
}

/// There is no connection: TCP, the proxy or TLS failed.
#[must_use]
pub fn connecting(error: impl Into<Box<dyn StdError + Send + Sync>>, host: &str) -> TransportError {
    let error = error.into();
    let kind = if find::<rustls::Error>(&*error).is_some() {
        Tls
    } else if find::<io::Error>(&*error).is_some_and(|e| e.kind() == io::ErrorKind::TimedOut) {
        Timeout(Phase::Connect)
    } else {
        Connect
    };
    failure(kind, NotSent, host).with_source(error)
}

pub(crate) fn unconnected(host: &str) -> TransportError {
    failure(Timeout(Phase::Connect), NotSent, host)
}

pub(crate) fn unanswered(host: &str) -> TransportError {
    failure(Timeout(Phase::Head), MaybeProcessed, host)
}

/// The body paused for too long.
pub(crate) fn silent(host: &str) -> TransportError {
    failure(Timeout(Phase::Body), Answered, host)
}

/// The request or the head of its answer did not come through.
#[must_use]
pub fn sending(error: hyper::Error, host: &str) -> TransportError {
    let (kind, delivery) = if let Some(delivery) = refused(&error) {
        (Reset, delivery)
    } else if error.is_canceled() || error.is_closed() {
        (Reset, NotSent)
    } else if is_too_large(&error) {
        (HeadTooLarge, MaybeProcessed)
    } else if error.is_parse() {
        (Protocol, MaybeProcessed)
    } else if error.is_user() {
        (Request, NotSent)
    } else if find::<rustls::Error>(&error).is_some() {
        (Tls, MaybeProcessed)
    } else {
        (Reset, MaybeProcessed)
    };
    let failure = failure(kind, delivery, host);
    // Errors about the request may quote it.
    if kind == Request {
        failure
    } else {
        failure.with_source(error)
    }
}

/// Whether a head did not fit the buffer for it, or had more headers than hyper takes.
pub(crate) fn is_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string().contains("too large")
}

pub(crate) fn reading(error: hyper::Error, host: &str) -> TransportError {
    let kind = if error.is_incomplete_message() {
        Truncated
    } else {
        #[cfg(feature = "http2")]
        let io = match find::<h2::Error>(&error) {
            Some(h2) => h2.get_io(),
            None => find(&error),
        };
        #[cfg(not(feature = "http2"))]
        let io = find(&error);
        io.map_or(Reset, broken)
    };
    failure(kind, Answered, host).with_source(error)
}

/// Whether a peer that speaks HTTP/2 has looked at the request. A stream that it refused, or that lies above its last one, it has
/// not.
#[cfg(feature = "http2")]
fn refused(error: &hyper::Error) -> Option<Delivery> {
    let error = find::<h2::Error>(error)?;
    let unread = match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_remote() && error.is_go_away(),
        _ => false,
    };
    Some(if unread { NotSent } else { MaybeProcessed })
}

#[cfg(not(feature = "http2"))]
fn refused(_: &hyper::Error) -> Option<Delivery> {
    None
}

fn broken(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Truncated,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            if find::<rustls::Error>(error).is_none() =>
        {
            Protocol
        }
        _ => Reset,
    }
}

fn failure(kind: FailureKind, delivery: Delivery, host: &str) -> TransportError {
    TransportError::new(kind, delivery, format!("{kind}: {host}"))
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    chain(error).find_map(|e| e.downcast_ref())
}

/// An error and what caused it.
///
/// `io::Error` does not name what it wraps as its source, hence the detour.
#[must_use = "it does nothing by itself"]
pub fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}
