//! Carries `unifiedai`'s HTTP with blocking calls, over [ureq](https://docs.rs/ureq). HTTP/1.1, pooled, rustls.
//!
//! ureq takes its time limits when a request is sent and has none for a single read that leaves the response's
//! head alone, so this crate wraps the connection itself: every wait on the socket ends at the deadline of the
//! call that waits.
//!
//! Proxies come from the environment as ureq reads it (`HTTPS_PROXY`, `NO_PROXY`, ...); loopback is never proxied.

mod call;
mod clock;
mod connect;
mod error;
mod tls;

use bytes::Bytes;
use call::Call;
use std::{cell::Cell, fmt, io::Read, sync::Arc, time::Duration, time::SystemTime};
use unifiedai_transport::{self as contract, FailureKind, Limits, Time, TransportError};
use ureq::{
    config::Config,
    unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector},
};

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Agent(ureq::Agent);

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

    /// The same with the caller's own way to connect, in place of a ready `ureq::Agent`: its connections have
    /// to be wrapped to keep deadlines.
    #[must_use]
    pub fn with_connector(config: Config, connector: impl Connector) -> Self {
        let direct = keep_the_rules(&config, None);
        let config = keep_the_rules(&config, config.proxy().cloned());
        let connector = connect::Guard::new(connector, direct);
        Agent(ureq::Agent::with_parts(
            config,
            connector,
            connect::NoLookup,
        ))
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
        let uri = request.uri().clone();
        let (parts, body) = request.into_parts();
        let call = Call::sending(&limits);
        let result = call.run(|| {
            if body.is_empty() && !expects_body(&parts.method) {
                self.0.run(http::Request::from_parts(parts, ()))
            } else {
                self.0.run(http::Request::from_parts(parts, &*body))
            }
        });
        match result {
            (Ok(response), _) => Ok(response.map(|body| Body::new(body.into_reader(), uri))),
            (Err(failure), stage) => Err(error::from_ureq(failure, stage, &uri)),
        }
    }

    fn sleep_until(&self, at: Time) {
        clock::sleep_until(at);
    }
}

fn expects_body(method: &http::Method) -> bool {
    matches!(method.as_str(), "POST" | "PUT" | "PATCH")
}

/// A response's body, read as it comes.
pub struct Body {
    reader: Option<ureq::BodyReader<'static>>,
    uri: http::Uri,
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
    fn new(reader: ureq::BodyReader<'static>, uri: http::Uri) -> Self {
        Body {
            reader: Some(reader),
            uri,
        }
    }
}

/// If all that was left is the end of the framing, ureq can put the connection back. It usually has arrived with the
/// last bytes, so this waits a millisecond at most; otherwise the connection is closed.
impl Drop for Body {
    fn drop(&mut self) {
        if let Some(reader) = &mut self.reader {
            let _ = landed(|buffer| Call::reading(Time::ZERO).run(|| reader.read(buffer)));
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl contract::Body for Body {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let read = landed(|buffer| {
            let (read, stage) = Call::reading(deadline).run(|| reader.read(buffer));
            let copied = read.map(|size| buffer.get(..size).map(Bytes::copy_from_slice));
            (copied, stage)
        });
        match read {
            (Ok(Some(bytes)), _) if !bytes.is_empty() => Ok(Some(bytes)),
            (Ok(_), _) => {
                self.reader = None;
                Ok(None)
            }
            (Err(failure), stage) => {
                let failure = error::from_ureq(failure.into(), stage, &self.uri);
                if !matches!(failure.kind(), FailureKind::Timeout(_)) {
                    self.reader = None;
                }
                Err(failure)
            }
        }
    }
}
