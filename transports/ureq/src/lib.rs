//! A blocking transport for `unifiedai`, over [ureq](https://docs.rs/ureq): HTTP/1.1, a connection pool, rustls.
//!
//! It uses a [`ureq::Agent`], either its own or [the caller's](UreqTransport#impl-From<Agent>-for-UreqTransport).
//! With its own agent, each chunk has a deadline, requests use the proxies of the options or the environment
//! ([`proxy::Proxies`]), a host's addresses are tried concurrently, and a call can be cancelled from another thread
//! ([`CancelHandle`](unifiedai_transport::CancelHandle)).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod caller_agent;
mod connect;
mod connection;
mod error;
mod idle;
mod race;
mod read;
mod send;
mod socket;
mod timeout;
mod upload;

use connect::Connector;
use idle::Idle;
use std::{fmt, sync::Arc, time::Duration, time::SystemTime};
use unifiedai_http::{clock, proxy::Proxies, tls};
use unifiedai_transport::{AttemptDeadlines, RequestBody, Time, Transport, TransportError};

pub use read::Body;
pub use unifiedai_http::{ConfigError, Options, proxy, rustls};

/// A client with a connection pool. Clones share it.
#[derive(Clone)]
pub struct UreqTransport {
    agent: ureq::Agent,
    /// `None` for an agent of the caller's own.
    proxies: Option<Proxies>,
}

impl UreqTransport {
    /// Creates a client with default options: rustls with ring and Mozilla's roots; proxies from the environment.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the defaults are usable")]
    pub fn new() -> Self {
        UreqTransport::with_options(Options::new()).expect("usable options")
    }

    /// Creates a client with the caller's own TLS configuration, except for ALPN, which is set here.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a configuration has been made already")]
    pub fn with_tls(config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        UreqTransport::with_options(Options::new().tls(config)).expect("usable options")
    }

    /// Creates a client with options.
    ///
    /// # Errors
    /// If the TLS options contradict each other, or a certificate or a key is invalid.
    pub fn with_options(options: Options) -> Result<Self, ConfigError> {
        let mut tls = tls::config(&options)?;
        if !tls.alpn_protocols.is_empty() {
            Arc::make_mut(&mut tls).alpn_protocols.clear();
        }
        let idle_timeout = options.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .max_idle_age(idle_timeout)
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(options.max_idle_connections)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .save_redirect_history(false)
            .allow_non_standard_methods(true)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .build();
        let proxies = Some(options.proxies.clone());
        let connector = Connector {
            tls,
            options: Arc::new(options),
            idle: Idle::new(idle_timeout),
        };
        let agent = ureq::Agent::with_parts(config, connector.clone(), connector);
        Ok(UreqTransport { agent, proxies })
    }
}

/// Uses the caller's own agent, with its connections, TLS, proxy and middleware.
///
/// Whatever its configuration, statuses are not errors and redirects are not followed; it may add its user agent.
/// ureq has no deadline for a single chunk, so each call runs on its own thread, which ends at the call's total
/// deadline at the latest.
impl From<ureq::Agent> for UreqTransport {
    fn from(agent: ureq::Agent) -> Self {
        UreqTransport {
            agent,
            proxies: None,
        }
    }
}

/// Below the 15 s after which common servers close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(14);
/// For all hosts together.
const MAX_IDLE: usize = 1024;
/// A response's head has to fit, of which ureq accepts 64 KiB.
const INPUT_BUFFER: usize = 72 * 1024;
const OUTPUT_BUFFER: usize = 32 * 1024;

impl Default for UreqTransport {
    fn default() -> Self {
        UreqTransport::new()
    }
}

impl fmt::Debug for UreqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransport").finish_non_exhaustive()
    }
}

impl Transport for UreqTransport {
    type Body = Body;

    fn now(&self) -> Time {
        clock::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<http::Response<Body>, TransportError> {
        send::send(self, request, limits)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "sleeping is the transport's part"
    )]
    fn sleep_until(&self, at: Time) {
        std::thread::sleep(at.saturating_since(clock::now()));
    }
}
