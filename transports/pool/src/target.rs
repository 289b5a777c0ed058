//! Where a request goes, and how it says so on the wire.

use crate::error;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Uri,
    header::CONTENT_LENGTH,
    uri::{Authority, Scheme},
};
use unifiedai_transport::TransportError;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Target {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: Box<str>,
    /// The port, named or by default.
    pub port: u16,
}

impl Target {
    /// A place to connect to.
    #[must_use]
    pub fn new(tls: bool, host: &str, port: u16) -> Self {
        Target {
            tls,
            host: host.trim_matches(['[', ']']).into(),
            port,
        }
    }

    /// The place that a request's address names.
    ///
    /// # Errors
    /// If it has no host or a scheme other than `http` and `https`.
    pub fn of(uri: &Uri) -> Result<Target, TransportError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(error::unsendable("a scheme other than http and https")),
        };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return Err(error::unsendable("no host"));
        };
        let port = uri.port_u16().unwrap_or(default_port(tls));
        Ok(Target::new(tls, host, port))
    }

    /// `host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        let Target { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// What HTTP/1.1 calls a place: its host, and its port where that is not the usual one.
///
/// # Errors
/// If the host is no header's value.
pub(crate) fn name(authority: &Authority, tls: bool) -> Result<HeaderValue, TransportError> {
    let name = match authority.port_u16() {
        Some(port) if port == default_port(tls) => authority.host(),
        _ => authority
            .as_str()
            .rsplit_once('@')
            .map_or(authority.as_str(), |(_, name)| name),
    };
    HeaderValue::from_str(name).map_err(|_| error::unsendable("the host is not a valid name"))
}

/// hyper leaves it out, and some servers then ask for it.
pub(crate) fn state_empty_body(request: &mut Request<Bytes>) {
    let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
    if expects_body && request.body().is_empty() {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(CONTENT_LENGTH, none);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_server_is_refused() {
        for uri in ["/only/a/path", "ftp://a.example/"] {
            assert!(Target::of(&Uri::from_static(uri)).is_err(), "{uri}");
        }
    }

    #[test]
    fn an_authority_can_be_read_back() {
        for (target, authority) in [
            (Target::new(true, "a.example", 443), "a.example:443"),
            (Target::new(false, "[::1]", 80), "[::1]:80"),
        ] {
            assert_eq!(target.authority(), authority);
        }
    }
}
