//! Opens connections by ureq's connectors: looks names up, and keeps the deadline.

use crate::{clock, error::Fault};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use unifiedai_transport::{Time, is_loopback};
use ureq::{
    Error, Timeout,
    config::Config,
    http::{HeaderValue, Uri},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport, time::Instant},
    },
};

pub(crate) struct Dialer {
    connector: Box<dyn Dial>,
    config: Config,
    direct: Config,
}

/// A connector, whatever it makes.
trait Dial: Send + Sync {
    fn dial(&self, details: &ConnectionDetails) -> Result<Option<Box<dyn Transport>>, Error>;
}

impl<C: Connector> Dial for C {
    fn dial(&self, details: &ConnectionDetails) -> Result<Option<Box<dyn Transport>>, Error> {
        let connected = self.connect(details, None)?;
        Ok(connected.map(|connection| Box::new(connection) as Box<dyn Transport>))
    }
}

impl Dialer {
    /// `direct` is the configuration without a proxy.
    pub(crate) fn new(connector: impl Connector, config: Config, direct: Config) -> Arc<Self> {
        Arc::new(Dialer {
            connector: Box::new(connector),
            config,
            direct,
        })
    }

    pub(crate) fn connect(
        self: &Arc<Self>,
        uri: &Uri,
        by: Time,
    ) -> Result<Box<dyn Transport>, Error> {
        let opening = Arc::new(Opening {
            by,
            over: AtomicBool::new(false),
        });
        let (dialer, shared) = (Arc::clone(self), Arc::clone(&opening));
        let to_proxy = move |details: &ConnectionDetails| {
            let inner = dialer.open(details, by)?;
            let opening = Arc::clone(&shared);
            Ok(Box::new(Hop { inner, opening }) as Box<dyn Transport>)
        };
        let details = ConnectionDetails {
            uri,
            addrs: Lookup.empty(),
            config: &self.config,
            request_level: false,
            resolver: &Lookup,
            now: Instant::now(),
            timeout: timeout(by),
            current_time: Arc::new(Instant::now),
            run_connector: Arc::new(to_proxy),
            register_shutdown: Arc::new(|_| Ok(())),
        };
        let connection = self.open(&details, by)?;
        opening.over.store(true, Ordering::Relaxed);
        if details.needs_tls() && !connection.is_tls() {
            return Err(Error::TlsRequired);
        }
        Ok(connection)
    }

    fn open(&self, details: &ConnectionDetails, by: Time) -> Result<Box<dyn Transport>, Error> {
        let proxy = details.config.proxy();
        let bypass = proxy.is_some_and(|p| p.is_no_proxy(details.uri))
            || details.uri.host().is_some_and(is_loopback);
        let config = if bypass { &self.direct } else { details.config };
        let looks_up = config.proxy().is_none_or(|p| p.resolve_target());
        let addrs = if looks_up && details.addrs.is_empty() {
            Lookup.resolve(details.uri, config, timeout(by))?
        } else {
            details.addrs.clone()
        };
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config,
            request_level: details.request_level,
            resolver: details.resolver,
            // From here on the timeout counts: not from before the look-up.
            now: Instant::now(),
            timeout: timeout(by),
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let connected = self.connector.dial(&details)?;
        connected.ok_or(Error::ConnectionFailed)
    }
}

fn timeout(by: Time) -> NextTimeout {
    clock::timeout(by, clock::now, Timeout::Connect, &mut false)
}

struct Opening {
    by: Time,
    over: AtomicBool,
}

/// The connection to a proxy. What is said on it before the tunnel stands has to be said in time, all together.
struct Hop {
    inner: Box<dyn Transport>,
    opening: Arc<Opening>,
}

impl Hop {
    fn timeout(&self, given: NextTimeout) -> NextTimeout {
        if self.opening.over.load(Ordering::Relaxed) {
            given
        } else {
            timeout(self.opening.by)
        }
    }
}

impl Transport for Hop {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, given: NextTimeout) -> Result<(), Error> {
        let timeout = self.timeout(given);
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, given: NextTimeout) -> Result<bool, Error> {
        let timeout = self.timeout(given);
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl std::fmt::Debug for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hop").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Lookup;

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if let (Some(ip), Some(port)) = (literal(uri), port(uri)) {
            let mut addrs = self.empty();
            addrs.push(SocketAddr::new(ip, port));
            return Ok(addrs);
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout);
        found.map_err(|error| match error {
            Error::Io(error) => Error::Other(Box::new(Fault::Lookup(error))),
            other => other,
        })
    }
}

fn literal(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    host.trim_matches(['[', ']']).parse().ok()
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| usual_port(uri))
}

pub(crate) fn usual_port(uri: &Uri) -> Option<u16> {
    match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    }
}

/// Host, and port if it is not the usual one.
pub(crate) fn host(uri: &Uri) -> Result<HeaderValue, Error> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().filter(|&port| Some(port) != usual_port(uri));
    let value = match port {
        Some(port) => format!("{host}:{port}").try_into(),
        None => HeaderValue::from_str(host),
    };
    value.map_err(|error| Error::Http(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_port_is_not_named() {
        for (uri, expected) in [
            ("http://user:pass@a.example:80/b", "a.example"),
            ("https://a.example:80/", "a.example:80"),
            ("https://[::1]:443/", "[::1]"),
            ("https://[::1]:8443/", "[::1]:8443"),
        ] {
            assert_eq!(host(&Uri::from_static(uri)).unwrap(), expected);
        }
    }
}
