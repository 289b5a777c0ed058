//! The connector around the connector: looks names up, keeps deadlines, and watches what happens on the socket.

use crate::{
    call::{self, Stage},
    clock,
    error::Fault,
};
use std::{cell::Cell, fmt, io, net::IpAddr, net::SocketAddr, time::Duration};
use ureq::{
    Error, Timeout,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{
            Buffers, ConnectionDetails, Connector, NextTimeout, Transport, time::Duration as Wait,
        },
    },
};

thread_local! {
    static CONNECTING: Cell<bool> = const { Cell::new(false) };
}

/// Connects within the call's connect deadline and guards what comes of it.
pub(crate) struct Guard<C> {
    inner: C,
    direct: Config,
}

impl<C: Connector> Guard<C> {
    /// `direct` is the configuration without a proxy.
    pub(crate) fn new(inner: C, direct: Config) -> Self {
        Guard { inner, direct }
    }

    fn run(&self, details: &ConnectionDetails) -> Result<Option<C::Out>, Error> {
        let proxy = details.config.proxy();
        let bypass = proxy.is_some_and(|p| p.is_no_proxy(details.uri)) || is_loopback(details.uri);
        let config = if bypass { &self.direct } else { details.config };
        let looks_up = config.proxy().is_none_or(|p| p.resolve_target());
        let addrs = if looks_up && details.addrs.is_empty() {
            Lookup.resolve(details.uri, config, timeout())?
        } else {
            details.addrs.clone()
        };
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config,
            request_level: details.request_level,
            resolver: &Lookup,
            now: details.now,
            timeout: timeout(),
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        self.inner.connect(&details, None)
    }
}

impl<C: Connector> Connector for Guard<C> {
    type Out = Guarded<C::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let outer = CONNECTING.replace(true);
        let connected = self.run(details);
        CONNECTING.set(outer);
        Ok(connected?.map(Guarded::new))
    }
}

impl<C> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// ureq asks for addresses on every call, also where it then takes a pooled connection. [`Guard`] looks them up
/// when it needs them.
#[derive(Debug)]
pub(crate) struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
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
    uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

fn is_loopback(uri: &Uri) -> bool {
    match literal(uri) {
        Some(ip) => ip.is_loopback(),
        None => uri.host().is_some_and(|host| {
            host.eq_ignore_ascii_case("localhost")
                || host.to_ascii_lowercase().ends_with(".localhost")
        }),
    }
}

/// A connection on which every wait ends at the deadline of the call that waits.
pub(crate) struct Guarded<T> {
    inner: T,
    write_failed: bool,
}

impl<T> Guarded<T> {
    fn new(inner: T) -> Self {
        Guarded {
            inner,
            write_failed: false,
        }
    }
}

impl<T: Transport> Transport for Guarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        if self.write_failed {
            return Ok(());
        }
        if !CONNECTING.get() {
            call::mark_sent();
        }
        match self.inner.transmit_output(amount, timeout()) {
            // A server that refuses a large request answers and closes without reading it all: go on to read
            // the answer. If there is none, reading fails.
            Err(Error::Io(error)) if is_hang_up(&error) && !CONNECTING.get() => {
                self.write_failed = true;
                Ok(())
            }
            other => other,
        }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        match self.inner.await_input(timeout()) {
            // ureq would take these for the regular end of a body that the connection's end delimits.
            Err(Error::Io(error)) if is_hang_up(&error) => {
                Err(Error::Other(Box::new(Fault::Broken(error))))
            }
            Ok(false) => {
                call::mark_ended();
                Ok(false)
            }
            other => other,
        }
    }

    fn is_open(&mut self) -> bool {
        !self.write_failed && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn timeout() -> NextTimeout {
    let (at, reason) = if CONNECTING.get() {
        (call::connect_deadline(), Timeout::Connect)
    } else {
        match call::io_deadline() {
            (at, Stage::Answered | Stage::Ended) => (at, Timeout::RecvBody),
            (at, _) => (at, Timeout::RecvResponse),
        }
    };
    NextTimeout {
        after: clock::left(at).map_or(Wait::NotHappening, |left| Wait::Exact(round_up(left))),
        reason,
        ..NextTimeout::default()
    }
}

/// To whole milliseconds: a socket's timeout is no finer, and the same one as before needs no system call. When time
/// is up, one of them is left for what has arrived, but not another for each byte of a peer that drips.
fn round_up(left: Duration) -> Duration {
    let nanos = left.subsec_nanos() % 1_000_000;
    let missing = if nanos == 0 {
        0
    } else {
        1_000_000_u32.saturating_sub(nanos)
    };
    if left.is_zero() && call::take_overtime() {
        return Duration::from_millis(1);
    }
    left.saturating_add(Duration::from_nanos(missing.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_address_and_by_name() {
        for uri in [
            "http://127.3.2.1/",
            "http://[::1]:80/",
            "https://LocalHost/",
            "http://a.localhost",
        ] {
            assert!(is_loopback(&Uri::from_static(uri)), "{uri}");
        }
        for uri in ["http://10.0.0.1/", "https://localhost.example/"] {
            assert!(!is_loopback(&Uri::from_static(uri)), "{uri}");
        }
    }

    #[test]
    fn waits_are_whole_milliseconds() {
        let micros = Duration::from_micros;
        assert_eq!(round_up(micros(1)), micros(1000));
        assert_eq!(round_up(micros(1500)), micros(2000));
        assert_eq!(round_up(micros(2000)), micros(2000));
        assert_eq!(round_up(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn overtime_is_given_once_a_call() {
        let call = call::Call::reading(unifiedai_transport::Time::ZERO);
        let waits = || (round_up(Duration::ZERO), round_up(Duration::ZERO));
        let (waits, _) = call.run(waits);
        assert_eq!(waits, (Duration::from_millis(1), Duration::ZERO));
    }
}
