//! What went wrong with a request or its response, as far as the causes of an error show.

use crate::error::{find, tls_text};
use std::{error::Error as StdError, fmt, io};
use unifiedai_transport::{
    RequestDelivery::{self, Answered, MaybeProcessed, NotSent},
    TransportError,
    TransportErrorKind::{self, Connect, HeadersTooLarge, Protocol, Reset, Tls, Truncated},
};

/// The request or the head of its response did not come through. `unsent` if nothing of it was written.
pub(crate) fn send_error(
    error: &(dyn StdError + 'static),
    unsent: bool,
    place: impl fmt::Display,
) -> TransportError {
    let (kind, what) = match kind_of(error) {
        HeadersTooLarge => (HeadersTooLarge, "the head of its response is too large"),
        Protocol => (Protocol, "its response is not valid HTTP"),
        Connect => (Connect, "no connection"),
        Tls => (Tls, "TLS failed"),
        _ => (Reset, "the connection broke before its response"),
    };
    let unsent = unsent || kind == Connect || is_refused(error);
    failure(
        kind,
        if unsent { NotSent } else { MaybeProcessed },
        what,
        error,
        place,
    )
}

/// The body broke off.
pub(crate) fn read_error(
    error: &(dyn StdError + 'static),
    place: impl fmt::Display,
) -> TransportError {
    let (kind, what) = match kind_of(error) {
        Truncated => (Truncated, "the response ended before its end"),
        Protocol => (Protocol, "the response's body is not valid HTTP"),
        _ => (Reset, "the connection broke inside the response"),
    };
    failure(kind, Answered, what, error, place)
}

fn failure(
    kind: TransportErrorKind,
    delivery: RequestDelivery,
    what: &str,
    error: &(dyn StdError + 'static),
    place: impl fmt::Display,
) -> TransportError {
    let cause = match find::<rustls::Error>(error) {
        Some(error) => tls_text(error),
        None => cause(error),
    };
    // A client of the caller's own may show the request's URI, which may hold a secret.
    let cause = Some(cause).filter(|cause| !cause.contains("://"));
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    TransportError::new(kind, delivery, format!("{place}: {what}{cause}"))
}

fn kind_of(error: &(dyn StdError + 'static)) -> TransportErrorKind {
    use io::ErrorKind as Io;
    if let Some(hyper) = find::<hyper::Error>(error) {
        if hyper.is_parse_too_large() {
            return HeadersTooLarge;
        }
        if hyper.is_parse() {
            return Protocol;
        }
        if hyper.is_incomplete_message() {
            return Truncated;
        }
    }
    if find::<rustls::Error>(error).is_some() {
        return Tls;
    }
    let io = match find::<h2::Error>(error) {
        Some(h2) => h2.get_io(),
        None => find(error),
    };
    match io.map(io::Error::kind) {
        Some(Io::UnexpectedEof) => Truncated,
        Some(Io::InvalidInput | Io::InvalidData) => Protocol,
        Some(Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable) => Connect,
        _ => Reset,
    }
}

/// True if an HTTP/2 server has not looked at the request: on a stream that it refused or that is above its last.
fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    let refused =
        |error: &h2::Error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    is_above_last(error) || find(error).is_some_and(refused)
}

/// True if an HTTP/2 server closes the connection and has not looked at the request.
pub(crate) fn is_above_last(error: &(dyn StdError + 'static)) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.is_remote() && error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// The last text of a chain of errors.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
