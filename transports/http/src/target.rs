//! The target of a request, and the hosts that are connected to.

use crate::error::invalid_request;
#[cfg(feature = "client")]
use http::{HeaderValue, uri::PathAndQuery};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use rustls::pki_types::ServerName;
use std::{fmt, net::SocketAddr, time::Duration};
use unifiedai_transport::TransportError;

/// Scheme, host and port of a request. `Display` shows host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    authority: Authority,
}

impl Target {
    /// The target that a request's URI names.
    ///
    /// # Errors
    /// If the URI has no host, or a scheme other than `http` and `https`.
    pub fn of(uri: &Uri) -> Result<Target, TransportError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(invalid_request("the URI's scheme is not `http` or `https`")),
        };
        let authority = uri.authority().filter(|a| !a.host().is_empty()).cloned();
        let authority = authority.ok_or_else(|| invalid_request("the URI has no host"))?;
        Ok(Target { tls, authority })
    }

    /// True for `https`.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host name or address; an IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port: 443 or 80 if the URI has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }

    /// The target as a host to connect to.
    #[must_use]
    pub fn peer(&self) -> Peer<'_> {
        let name = self.to_string();
        Peer::new(self.host(), self.port(), name)
    }

    /// Host and port as in the URI, without a user.
    #[must_use]
    pub fn without_user(&self) -> &str {
        let authority = self.authority.as_str();
        let at = authority.rsplit_once('@');
        at.map_or(authority, |(_, name)| name)
    }
}

/// What the async client writes into a request.
#[cfg(feature = "client")]
impl Target {
    /// The URI of a path as HTTP proxies expect it.
    pub(crate) fn absolute(&self, path: Option<PathAndQuery>) -> Result<Uri, TransportError> {
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme("http").authority(self.without_user());
        uri.path_and_query(path).build().map_err(|_| invalid_host())
    }

    /// The value of `host`: the host, and the port where it is not the scheme's.
    pub(crate) fn host_header(&self) -> Result<HeaderValue, TransportError> {
        let name = match self.authority.port_u16() {
            Some(port) if port == self.default_port() => self.authority.host(),
            _ => self.without_user(),
        };
        HeaderValue::from_str(name).map_err(|_| invalid_host())
    }
}

#[cfg(feature = "client")]
fn invalid_host() -> TransportError {
    invalid_request("the URI's host is not a valid name")
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address_text(self.host(), self.port()))
    }
}

/// A host to connect to: a target or a proxy. `Display` shows its name in errors.
#[derive(Debug)]
#[non_exhaustive]
pub struct Peer<'a> {
    /// The host name or address; an IPv6 address has no brackets.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    name: String,
}

impl<'a> Peer<'a> {
    pub(crate) fn new(host: &'a str, port: u16, name: String) -> Self {
        Peer { host, port, name }
    }

    /// The name that its certificate must have.
    ///
    /// # Errors
    /// If it is neither a name nor an address.
    pub fn server_name(&self) -> Result<ServerName<'static>, TransportError> {
        let name = ServerName::try_from(self.host.to_owned());
        name.map_err(|_| invalid_request("the host is not a valid server name"))
    }
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Host and port as texts name them.
pub(crate) fn address_text(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// How long a connection attempt may take before the next address is tried concurrently (RFC 8305, 5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses with IPv6 and IPv4 alternating, starting with the family of the first; otherwise in their order (RFC
/// 8305, 4).
#[must_use]
pub fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<_>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == is_v6);
    let most = first.len().max(second.len());
    let turn = |at: usize| first.get(at).into_iter().chain(second.get(at));
    (0..most).flat_map(turn).copied().collect()
}
