//! Where a request goes, and how it says so on the wire.

use crate::error;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Uri,
    header::{CONTENT_LENGTH, HOST},
    uri::Scheme,
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

/// Leaves the request as it goes over HTTP/1.1: a path, and the host in a header of its own.
pub(crate) fn name_host(request: &mut Request<Bytes>) {
    let uri = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = uri.authority {
        let tls = uri.scheme == Some(Scheme::HTTPS);
        let name = match authority.port_u16() {
            Some(port) if port == default_port(tls) => authority.host(),
            _ => authority
                .as_str()
                .rsplit_once('@')
                .map_or(authority.as_str(), |(_, name)| name),
        };
        if let Ok(name) = HeaderValue::from_str(name) {
            request.headers_mut().entry(HOST).or_insert(name);
        }
    }
    *request.uri_mut() = uri.path_and_query.map_or_else(Uri::default, Uri::from);
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
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn sent(uri: &'static str) -> (Target, String, String) {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = Uri::from_static(uri);
        let target = Target::of(request.uri()).unwrap();
        name_host(&mut request);
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        (target, host, request.uri().to_string())
    }

    #[test]
    fn a_request_goes_out_with_a_path_and_a_host() {
        let (target, host, uri) = sent("https://a.example/v1/chat?x=1");
        assert_eq!(target, Target::new(true, "a.example", 443));
        assert_eq!((&*host, &*uri), ("a.example", "/v1/chat?x=1"));

        let (target, host, uri) = sent("http://[::1]:8080");
        assert_eq!(target, Target::new(false, "::1", 8080));
        assert_eq!((&*host, &*uri), ("[::1]:8080", "/"));

        let (target, host, _) = sent("https://user@a.example:443/");
        assert_eq!(target, Target::new(true, "a.example", 443));
        assert_eq!(host, "a.example");
    }

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
