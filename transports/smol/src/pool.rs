//! Connections that wait for their next request.

use crate::{clock, connection::Connection, error};
use bytes::Bytes;
use http::{
    HeaderValue, Uri,
    header::{CONTENT_LENGTH, HOST},
    uri::Scheme,
};
use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};
use unifiedai_transport::{Time, TransportError};

/// Below the 15 s after which common servers close an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(14);
const IDLE_PER_TARGET: usize = 64;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Target {
    /// Leaves the request as it goes over the wire.
    pub(crate) fn take_from(request: &mut http::Request<Bytes>) -> Result<Target, TransportError> {
        let uri = request.uri();
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(error::unsendable("a scheme other than http and https")),
        };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return Err(error::unsendable("no host"));
        };
        let port = uri.port_u16();
        let name = match port {
            Some(port) if port != default_port(tls) => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        let target = Target {
            tls,
            host: host.trim_matches(['[', ']']).into(),
            port: port.unwrap_or(default_port(tls)),
        };
        let path = uri.path_and_query().cloned();
        let name = HeaderValue::try_from(name).map_err(|_| error::unsendable("a bad host"))?;
        let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
        let empty = request.body().is_empty();
        let headers = request.headers_mut();
        headers.entry(HOST).or_insert(name);
        if expects_body && empty {
            // hyper leaves it out, and some servers then ask for it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        Ok(target)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

#[derive(Default)]
pub(crate) struct Pool(Mutex<HashMap<Target, Vec<Idle>>>);

struct Idle {
    connection: Connection,
    since: Time,
}

impl Pool {
    /// The connection that was used last and is still open.
    pub(crate) async fn take(&self, target: &Target) -> Option<Connection> {
        while let Some(mut idle) = self.pop(target) {
            let fresh = idle.is_fresh(clock::now());
            if fresh && poll_fn(|cx| Poll::Ready(idle.connection.is_idle(cx))).await {
                return Some(idle.connection);
            }
        }
        None
    }

    fn pop(&self, target: &Target) -> Option<Idle> {
        self.lock().get_mut(target)?.pop()
    }

    /// Keeps a connection that is idle, and forgets those that have been so for too long.
    pub(crate) fn put(&self, target: &Target, connection: Connection) {
        let since = clock::now();
        let mut idle = self.lock();
        idle.retain(|_, idle| {
            idle.retain(|idle| idle.is_fresh(since));
            !idle.is_empty()
        });
        let same = idle.entry(target.clone()).or_default();
        if same.len() < IDLE_PER_TARGET {
            same.push(Idle { connection, since });
        }
    }

    /// Nothing panics while it is held, and a list of connections has no state in between.
    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn is_fresh(&self, now: Time) -> bool {
        now.saturating_since(self.since) < IDLE_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(uri: &'static str) -> (Target, String, String) {
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = Uri::from_static(uri);
        let target = Target::take_from(&mut request).unwrap();
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        (target, host, request.uri().to_string())
    }

    #[test]
    fn a_request_goes_out_with_a_path_and_a_host() {
        let (target, host, uri) = taken("https://a.example/v1/chat?x=1");
        assert_eq!(
            (target.tls, &*target.host, target.port),
            (true, "a.example", 443)
        );
        assert_eq!((&*host, &*uri), ("a.example", "/v1/chat?x=1"));

        let (target, host, uri) = taken("http://[::1]:8080");
        assert_eq!(
            (target.tls, &*target.host, target.port),
            (false, "::1", 8080)
        );
        assert_eq!((&*host, &*uri), ("[::1]:8080", "/"));
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for uri in ["/only/a/path", "ftp://a.example/"] {
            let mut request = http::Request::new(Bytes::new());
            *request.uri_mut() = Uri::from_static(uri);
            assert!(Target::take_from(&mut request).is_err(), "{uri}");
        }
    }
}
