//! Carries `unifiedai`'s HTTP with blocking calls, over [ureq](https://docs.rs/ureq). HTTP/1.1, pooled, rustls.
//!
//! Connections are opened by ureq's connectors and used by its protocol, `ureq-proto`. Its agent is left out: it takes its
//! time limits when a request is sent, so that a single read that leaves the response's head alone has none, and costs
//! a third as much again as the protocol.
//!
//! Proxies come from the environment as ureq reads it (`HTTPS_PROXY`, `NO_PROXY`, ...); loopback is never proxied.

mod clock;
mod connect;
mod error;
mod pool;
mod tls;
mod wire;

use bytes::Bytes;
use connect::Dialer;
use pool::{Connection, Origin, Pool};
use std::{cell::Cell, fmt, sync::Arc, time::Duration, time::SystemTime};
use unifiedai_transport::{self as contract, FailureKind, Limits, Time, TransportError};
use ureq::{
    Error,
    config::Config,
    unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector},
};
use ureq_proto::client::{Call, state::RecvBody};
use wire::{Rest, Stage, Wire};

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

struct Shared {
    dialer: Arc<Dialer>,
    pool: Pool,
    https_only: bool,
    max_head: usize,
}

impl Agent {
    /// TLS by rustls and ring, trusting Mozilla's roots.
    #[must_use]
    pub fn new() -> Self {
        Agent::with_tls(tls::default_config())
    }

    /// TLS as configured by the caller.
    #[must_use]
    pub fn with_tls(tls: Arc<rustls::ClientConfig>) -> Self {
        let config = ureq::Agent::config_builder()
            .max_idle_age(IDLE_AGE)
            .max_idle_connections(64)
            .max_idle_connections_per_host(32)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .build();
        Agent::with_config(config, tls)
    }

    /// ureq as configured by the caller (proxy, pool sizes, IP family, ...).
    ///
    /// Of it are replaced: the timeouts, the treatment of statuses and redirects, and the headers that ureq adds.
    #[must_use]
    pub fn with_config(config: Config, tls: Arc<rustls::ClientConfig>) -> Self {
        let chain =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(tls::Connector::new(tls));
        Agent::with_connector(config, chain)
    }

    /// The same with the caller's own way to connect.
    #[must_use]
    pub fn with_connector(config: Config, connector: impl Connector) -> Self {
        let direct = keep_the_rules(&config, None);
        let config = keep_the_rules(&config, config.proxy().cloned());
        Agent(Arc::new(Shared {
            pool: Pool::new(&config),
            https_only: config.https_only(),
            max_head: config.max_response_header_size(),
            dialer: Dialer::new(connector, config, direct),
        }))
    }
}

impl Shared {
    /// And the time, if that was short.
    fn connection(&self, uri: &http::Uri, by: Time) -> Result<(Connection, Option<Time>), Error> {
        if self.https_only && uri.scheme_str() != Some("https") {
            return Err(Error::RequireHttpsOnly(String::new()));
        }
        let now = clock::now();
        if let Some(connection) = self.pool.take(uri, now) {
            return Ok((connection, Some(now)));
        }
        let origin = Origin::of(uri).filter(|_| connect::usual_port(uri).is_some());
        let origin = origin.ok_or_else(|| Error::BadUri(String::new()))?;
        let connection = Connection {
            host: connect::host(uri)?,
            transport: self.dialer.connect(uri, by)?,
            origin,
        };
        Ok((connection, None))
    }
}

/// Below the 15 s after which common servers close an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(14);
/// A response's head has to fit, of which ureq accepts 64 KiB.
const INPUT_BUFFER: usize = 72 * 1024;
const OUTPUT_BUFFER: usize = 32 * 1024;

/// The caller's configuration as far as the contract leaves it open.
fn keep_the_rules(config: &Config, proxy: Option<ureq::Proxy>) -> Config {
    ureq::Agent::config_builder()
        .https_only(config.https_only())
        .ip_family(config.ip_family())
        .proxy(proxy)
        .no_delay(config.no_delay())
        .max_response_header_size(config.max_response_header_size())
        .input_buffer_size(config.input_buffer_size())
        .output_buffer_size(config.output_buffer_size())
        .max_idle_age(config.max_idle_age())
        .max_idle_connections(config.max_idle_connections())
        .max_idle_connections_per_host(config.max_idle_connections_per_host())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .save_redirect_history(false)
        .allow_non_standard_methods(true)
        .user_agent("")
        .accept("")
        .accept_encoding("")
        .build()
}

impl Default for Agent {
    fn default() -> Self {
        Agent::new()
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}

impl contract::Transport for Agent {
    type Body = Body;

    fn now(&self) -> Time {
        clock::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Body>, TransportError> {
        let mut body = Bytes::new();
        let request = request.map(|all| body = all);
        let head_by = limits.head.min(limits.total);
        let uri = request.uri();
        let connection = self.0.connection(uri, limits.connect.min(head_by));
        let connection = connection.map_err(|failure| {
            let host = uri.host().unwrap_or("(no host)");
            error::from_ureq(failure, Stage::Unsent, host)
        })?;
        let mut wire = Wire::new(connection, head_by);
        match wire.exchange(request, &body, self.0.max_head) {
            Ok((response, rest)) => {
                let body = Body::new(&self.0, wire, rest);
                Ok(response.map(|()| body))
            }
            Err(failure) => Err(wire.failed(failure)),
        }
    }

    fn sleep_until(&self, at: Time) {
        clock::sleep_until(at);
    }
}

/// A response's body, read as it comes.
pub struct Body {
    agent: Arc<Shared>,
    reading: Option<Reading>,
}

struct Reading {
    wire: Wire,
    call: Box<Call<RecvBody>>,
}

/// A chunk is copied once more. Small ones are still in the processor's nearest cache then.
const CHUNK: usize = 4 * 1024;

thread_local! {
    /// Where a thread's bodies read to. To clear a buffer for each of them takes longer than to read a short answer.
    static LANDING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn landed<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut landing = LANDING.take();
    landing.resize(CHUNK, 0);
    let result = read(&mut landing);
    LANDING.set(landing);
    result
}

impl Body {
    fn new(agent: &Arc<Shared>, wire: Wire, rest: Rest) -> Self {
        let mut body = Body {
            agent: Arc::clone(agent),
            reading: None,
        };
        match rest {
            Rest::Body(call) => body.reading = Some(Reading { wire, call }),
            Rest::Nothing { reusable } => body.put_back(wire, reusable),
        }
        body
    }

    /// So many bytes of `buffer` are filled; none at the end.
    fn read(&mut self, buffer: &mut [u8], by: Time) -> Result<usize, TransportError> {
        let Some(Reading { wire, call }) = &mut self.reading else {
            return Ok(0);
        };
        let read = wire.receive_body(call, buffer, by);
        let read = read.map_err(|failure| wire.failed(failure));
        match &read {
            Ok(0) => self.end(),
            Err(failure) if !matches!(failure.kind(), FailureKind::Timeout(_)) => {
                self.reading = None;
            }
            _ => {}
        }
        read
    }

    fn end(&mut self) {
        if let Some(Reading { wire, call }) = self.reading.take() {
            self.put_back(wire, wire::is_reusable(*call));
        }
    }

    fn put_back(&self, wire: Wire, reusable: bool) {
        if let Some(connection) = wire.into_idle(reusable) {
            self.agent.pool.put(connection);
        }
    }
}

/// If all that was left is the end of the framing, the connection can be put back. It usually has arrived with the
/// last bytes, so this waits a millisecond at most; otherwise the connection is closed.
impl Drop for Body {
    fn drop(&mut self) {
        let _ = self.read(&mut [0], Time::ZERO);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl contract::Body for Body {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        landed(|buffer| {
            let size = self.read(buffer, deadline)?;
            let read = buffer.get(..size).filter(|read| !read.is_empty());
            Ok(read.map(Bytes::copy_from_slice))
        })
    }
}
