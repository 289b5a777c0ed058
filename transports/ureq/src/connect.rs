//! The connector around the connector: looks names up, keeps deadlines, and watches what happens on the socket.

use crate::{
    call::{self, Stage},
    clock,
    error::Fault,
};
use std::{cell::Cell, fmt, io, mem, net::IpAddr, net::SocketAddr, time::Duration};
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
    /// The length of a request's head, at the start of the output buffer, that goes out together with its body.
    held: usize,
    write_failed: bool,
}

impl<T: Transport> Guarded<T> {
    fn new(inner: T) -> Self {
        Guarded {
            inner,
            held: 0,
            write_failed: false,
        }
    }

    /// A whole head that leaves room for the body, and nothing to read that would come before it is written.
    fn can_hold(&mut self, amount: usize) -> bool {
        if CONNECTING.get() || !call::is_unsent() || !self.inner.buffers().input().is_empty() {
            return false;
        }
        let output = self.inner.buffers().output();
        let head = output.get(..amount).unwrap_or_default();
        head.ends_with(b"\r\n\r\n") && amount <= output.len() / 2
    }

    fn write(&mut self, amount: usize) -> Result<(), Error> {
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
}

impl<T: Transport> Transport for Guarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        if self.held > 0 {
            self
        } else {
            self.inner.buffers()
        }
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        if self.held == 0 && self.can_hold(amount) {
            self.held = amount;
            return Ok(());
        }
        let amount = mem::take(&mut self.held).saturating_add(amount);
        self.write(amount)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        if self.held > 0 {
            let amount = mem::take(&mut self.held);
            self.write(amount)?;
        }
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

    /// ureq asks when it puts a connection back and when it takes one out. To look at the socket is worth it only for
    /// the second: nothing may have come, nor the end, before the next request.
    fn is_open(&mut self) -> bool {
        !self.write_failed && (call::is_under_way() || self.inner.is_open())
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// What is left beside the head that is held.
impl<T: Transport> Buffers for Guarded<T> {
    fn output(&mut self) -> &mut [u8] {
        let output = self.inner.buffers().output();
        output.get_mut(self.held..).unwrap_or_default()
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.inner.buffers().tmp_and_output();
        (tmp, output.get_mut(self.held..).unwrap_or_default())
    }

    fn input(&self) -> &[u8] {
        // It is empty, or the head would not be held.
        &[]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.inner.buffers().input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.inner.buffers().input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.inner.buffers().input_consume(amount);
    }

    fn can_use_input(&self) -> bool {
        false
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
    use ureq::unversioned::transport::LazyBuffers;

    /// Keeps what was written to it, and never answers.
    #[derive(Debug)]
    struct Recorder {
        buffers: LazyBuffers,
        written: Vec<String>,
    }

    impl Transport for Recorder {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            let output = self.buffers.output().get(..amount).unwrap();
            self.written
                .push(std::str::from_utf8(output).unwrap().to_owned());
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            Ok(false)
        }

        fn is_open(&mut self) -> bool {
            false
        }
    }

    /// What is written to a connection with an output buffer of 40 bytes for a request in these parts.
    fn written(parts: &[&str]) -> Vec<String> {
        let mut connection = Guarded::new(Recorder {
            buffers: LazyBuffers::new(40, 40),
            written: Vec::new(),
        });
        let ((), stage) = call::Call::sending(&unifiedai_transport::Limits::NONE).run(|| {
            assert!(!connection.is_open());
            for part in parts {
                let output = connection.buffers().tmp_and_output().1;
                output
                    .get_mut(..part.len())
                    .unwrap()
                    .copy_from_slice(part.as_bytes());
                let sent = connection.transmit_output(part.len(), NextTimeout::default());
                sent.unwrap();
            }
            assert!(!connection.await_input(NextTimeout::default()).unwrap());
            assert!(connection.is_open());
        });
        assert_eq!(stage, Stage::Sent);
        connection.inner.written
    }

    #[test]
    fn a_short_head_is_written_with_its_body() {
        assert_eq!(written(&["a\r\n\r\n", "bcd", "e"]), ["a\r\n\r\nbcd", "e"]);
        assert_eq!(written(&["a\r\n\r\n", "b\r\n\r\n"]), ["a\r\n\r\nb\r\n\r\n"]);
        assert_eq!(written(&["a\r\n\r\n"]), ["a\r\n\r\n"]);
    }

    #[test]
    fn a_head_in_parts_and_one_that_leaves_no_room_are_written_as_they_come() {
        assert_eq!(
            written(&["a\r\n", "b\r\n\r\n", "c"]),
            ["a\r\n", "b\r\n\r\n", "c"]
        );
        let long = format!("{:30}\r\n\r\n", "a");
        assert_eq!(written(&[&long, "b"]), [&long, "b"]);
    }

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
