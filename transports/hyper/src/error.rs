//! From hyper's errors to the contract's.

use hyper_util::client::legacy;
use std::{error::Error as StdError, io};
use unifiedai_transport::{
    Delivery::{self, Answered, MaybeProcessed, NotSent},
    FailureKind::{
        self, Connect, Dns, HeadTooLarge, Protocol, Request, Reset, Timeout, Tls, Truncated,
    },
    Phase, TransportError,
};

pub(crate) fn unsendable(host: &str) -> TransportError {
    failure(Request, NotSent, host)
}

/// The head's limit passed, or already the connection's.
pub(crate) fn late(connected: bool, host: &str) -> TransportError {
    if connected {
        failure(Timeout(Phase::Head), MaybeProcessed, host)
    } else {
        failure(Timeout(Phase::Connect), NotSent, host)
    }
}

/// The body paused for too long.
pub(crate) fn silent(host: &str) -> TransportError {
    failure(Timeout(Phase::Body), Answered, host)
}

pub(crate) fn sending(error: legacy::Error, host: &str) -> TransportError {
    let (kind, delivery) = if error.is_connect() {
        (connecting(&error), NotSent)
    } else if let Some(h2) = find::<h2::Error>(&error) {
        (Reset, refused(h2))
    } else if let Some(hyper) = find::<hyper::Error>(&error) {
        exchanging(hyper)
    } else {
        (Request, NotSent)
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
    } else if let Some(h2) = find::<h2::Error>(&error) {
        h2.get_io().map_or(Reset, broken)
    } else {
        find::<io::Error>(&error).map_or(Reset, broken)
    };
    failure(kind, Answered, host).with_source(error)
}

fn connecting(error: &legacy::Error) -> FailureKind {
    if find::<rustls::Error>(error).is_some() {
        Tls
    } else if chain(error).any(|e| e.to_string().starts_with("dns error")) {
        Dns
    } else if find::<io::Error>(error).is_some_and(|e| e.kind() == io::ErrorKind::TimedOut) {
        Timeout(Phase::Connect)
    } else {
        Connect
    }
}

/// A stream that the peer refused or that lies above its last one was not looked at.
fn refused(error: &h2::Error) -> Delivery {
    let unread = match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_remote() && error.is_go_away(),
        _ => false,
    };
    if unread { NotSent } else { MaybeProcessed }
}

fn exchanging(error: &hyper::Error) -> (FailureKind, Delivery) {
    if error.is_canceled() || error.is_closed() {
        (Reset, NotSent)
    } else if error.is_parse() && error.to_string().contains("too large") {
        (HeadTooLarge, MaybeProcessed)
    } else if error.is_parse() {
        (Protocol, MaybeProcessed)
    } else if error.is_user() {
        (Request, NotSent)
    } else if find::<rustls::Error>(error).is_some() {
        (Tls, MaybeProcessed)
    } else {
        (Reset, MaybeProcessed)
    }
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
