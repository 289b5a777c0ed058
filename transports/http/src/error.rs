//! Error texts that all transports share: what failed, with which host and port, and why.
//!
//! The text contains the cause, so these errors have no source.

use crate::proxy::Proxy;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::{error::Error as StdError, fmt::Display, io};
use unifiedai_transport::{
    Phase,
    RequestDelivery::NotSent,
    TransportError,
    TransportErrorKind::{self, Connect, Dns, Request, Timeout, Tls},
};

/// The request is invalid. `why` names the problem, without header values.
#[must_use]
pub fn invalid_request(why: &str) -> TransportError {
    let message = format!("the request cannot be sent: {why}");
    TransportError::new(Request, NotSent, message)
}

/// The name of a [`Peer`](crate::target::Peer) could not be resolved.
#[must_use]
pub fn dns(place: &impl Display, cause: &io::Error) -> TransportError {
    let message = format!("the name of {place} could not be resolved: {}", text(cause));
    TransportError::new(Dns, NotSent, message)
}

/// The name of a [`Peer`](crate::target::Peer) has no address.
#[must_use]
pub fn no_address(place: &impl Display) -> TransportError {
    dns(place, &io::Error::other("it has no address"))
}

/// The connection to a [`Peer`](crate::target::Peer) failed.
#[must_use]
pub fn connect(place: &impl Display, cause: &io::Error) -> TransportError {
    let message = format!("no connection to {place}: {}", text(cause));
    TransportError::new(Connect, NotSent, message)
}

/// The deadline for connecting passed.
#[must_use]
pub fn connect_timeout(place: &impl Display) -> TransportError {
    let message = format!("no connection to {place} in time");
    TransportError::new(Timeout(Phase::Connect), NotSent, message)
}

/// The TLS handshake with a [`Peer`](crate::target::Peer) failed.
#[must_use]
pub fn handshake(place: &impl Display, cause: &io::Error) -> TransportError {
    let Some(error) = find::<TlsError>(cause) else {
        // The server closed or reset the connection, as one that is being restarted does.
        let message = format!("no connection to {place}: TLS handshake: {}", text(cause));
        return TransportError::new(Connect, NotSent, message);
    };
    let message = format!("TLS with {place} failed: {}", tls_text(error));
    TransportError::new(Tls, NotSent, message)
}

/// The text of a TLS error, with advice.
#[must_use]
pub fn tls_text(error: &TlsError) -> String {
    use CertificateError as Cert;
    let text = match error {
        TlsError::InvalidMessage(_) => {
            "the server does not speak TLS; if it speaks plain HTTP, use an `http://` URL"
        }
        // A bad signature: the issuer has the name of a trusted authority and another key.
        TlsError::InvalidCertificate(Cert::UnknownIssuer | Cert::BadSignature) => {
            "the certificate has an unknown issuer; add the issuer's certificate as an extra root"
        }
        TlsError::InvalidCertificate(Cert::Expired | Cert::ExpiredContext { .. }) => {
            "the certificate has expired"
        }
        TlsError::InvalidCertificate(Cert::NotValidYet | Cert::NotValidYetContext { .. }) => {
            "the certificate is not valid yet"
        }
        TlsError::InvalidCertificate(
            Cert::NotValidForName | Cert::NotValidForNameContext { .. },
        ) => "the certificate is for another name (wrong name)",
        TlsError::InvalidCertificate(Cert::Revoked) => "the certificate was revoked",
        TlsError::InvalidCertificate(other)
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "the certificate is that of an authority (CA), used as a server's"
        }
        TlsError::AlertReceived(AlertDescription::ProtocolVersion)
        | TlsError::PeerIncompatible(_) => {
            "the server supports only an old version of TLS, or no common cipher"
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate"
        }
        TlsError::AlertReceived(alert) => {
            return format!("the server refused the handshake with the alert {alert:?}");
        }
        other => return other.to_string(),
    };
    text.to_owned()
}

/// A setting for a proxy that cannot be used. `why` names the variable or option.
pub(crate) fn proxy_setting(why: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::Proxy,
        NotSent,
        format!("the proxy cannot be used: {why}"),
    )
}

pub(crate) fn wants_credentials(status: u16) -> String {
    format!("it wants other credentials (status {status})")
}

/// The proxy refuses a connection to `target`, and will again.
pub(crate) fn proxy_refused(proxy: &Proxy, target: &impl Display, why: &str) -> TransportError {
    let message = format!("the proxy {proxy} refused the connection to {target}: {why}");
    TransportError::new(TransportErrorKind::Proxy, NotSent, message)
}

/// The proxy could not connect to `target` this time.
pub(crate) fn proxy_failed(proxy: &Proxy, target: &impl Display, why: &str) -> TransportError {
    let message = format!("the proxy {proxy} gave no connection to {target}: {why}");
    TransportError::new(Connect, NotSent, message)
}

/// The operating system's error without its number.
fn text(error: &io::Error) -> String {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        TimedOut, UnexpectedEof,
    };
    let known = match error.kind() {
        ConnectionRefused => "connection refused",
        ConnectionReset => "connection reset",
        ConnectionAborted => "connection aborted",
        HostUnreachable => "host unreachable",
        NetworkUnreachable => "network unreachable",
        TimedOut => "connection timed out",
        UnexpectedEof => "connection closed",
        _ => return error.to_string(),
    };
    known.to_owned()
}

/// Finds the error of this type in a chain of errors. (`io::Error` does not return its inner error as its source.)
#[must_use]
pub fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| {
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
    .find_map(|error| error.downcast_ref())
}
