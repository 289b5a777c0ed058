//! From the errors of hyper, rustls and the operating system to the contract's.

use std::{error::Error as StdError, io};
use unifiedai_transport::{
    Delivery::{self, Answered, MaybeProcessed, NotSent},
    FailureKind::{
        self, Connect, Dns, HeadTooLarge, Protocol, Request, Reset, Timeout, Tls, Truncated,
    },
    Phase, TransportError,
};

pub(crate) fn unsendable(why: &str) -> TransportError {
    TransportError::new(
        Request,
        NotSent,
        format!("the request cannot be sent: {why}"),
    )
}

pub(crate) fn unresolved(error: io::Error, host: &str) -> TransportError {
    failure(Dns, NotSent, host).with_source(error)
}

pub(crate) fn connecting(error: io::Error, host: &str) -> TransportError {
    let kind = if find::<rustls::Error>(&error).is_some() {
        Tls
    } else if error.kind() == io::ErrorKind::TimedOut {
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

pub(crate) fn sending(error: hyper::Error, host: &str) -> TransportError {
    let (kind, delivery) = if error.is_canceled() || error.is_closed() {
        (Reset, NotSent)
    } else if error.is_parse() && error.to_string().contains("too large") {
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

pub(crate) fn reading(error: hyper::Error, host: &str) -> TransportError {
    let kind = if error.is_incomplete_message() {
        Truncated
    } else {
        find::<io::Error>(&error).map_or(Reset, broken)
    };
    failure(kind, Answered, host).with_source(error)
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

/// An error and what caused it. `io::Error` does not name what it wraps as its source, hence the detour.
fn chain<'a>(
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
