//! Where a request goes.

use crate::error::{address_text, invalid_request};
use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use rustls::pki_types::ServerName;
use std::fmt;
use unifiedai_transport::TransportError;

/// Scheme, host and port. Shown as host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    authority: Authority,
}

impl Target {
    /// The place that a request's URI names.
    pub(crate) fn of(uri: &Uri) -> Result<Target, TransportError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(invalid_request("the URI's scheme is not `http` or `https`")),
        };
        let authority = uri.authority().filter(|a| !a.host().is_empty()).cloned();
        let authority = authority.ok_or_else(|| invalid_request("the URI has no host"))?;
        Ok(Target { tls, authority })
    }

    /// Without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    pub(crate) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }

    pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TransportError> {
        let name = ServerName::try_from(host.to_owned());
        name.map_err(|_| invalid_request("the host is not a valid server name"))
    }

    fn without_user(&self) -> &str {
        let authority = self.authority.as_str();
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, name)| name)
    }

    /// The URI of a path as HTTP proxies expect it.
    pub(crate) fn absolute(&self, path: Option<PathAndQuery>) -> Result<Uri, TransportError> {
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme("http").authority(self.without_user());
        let uri = uri.path_and_query(path).build();
        uri.map_err(|_| invalid_request("the URI's host is not a valid name"))
    }

    /// The value of `host`: the host, and the port where it is not the scheme's.
    pub(crate) fn host_header(&self) -> Result<HeaderValue, TransportError> {
        let name = match self.authority.port_u16() {
            Some(port) if port == self.default_port() => self.authority.host(),
            _ => self.without_user(),
        };
        HeaderValue::from_str(name)
            .map_err(|_| invalid_request("the URI's host is not a valid name"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address_text(self.host(), self.port()))
    }
}
