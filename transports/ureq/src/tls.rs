//! TLS over any of ureq's connections. ureq has a connector of its own that cannot be given a `ClientConfig`.

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use std::{
    fmt,
    io::{Read, Write},
    sync::Arc,
};
use ureq::{
    Error,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector as Connect, Either, LazyBuffers, NextTimeout,
        Transport, TransportAdapter,
        time::{Duration as Wait, Instant},
    },
};

/// rustls with ring and Mozilla's roots.
#[expect(
    clippy::expect_used,
    reason = "ring has cipher suites for both versions of TLS"
)]
pub(crate) fn default_config() -> Arc<ClientConfig> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("a usable provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Connector(config)
    }
}

impl<In: Transport> Connect<In> for Connector {
    type Out = Either<In, Tls>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(inner) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || inner.is_tls() {
            return Ok(Some(Either::A(inner)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| Error::Tls("the host is not a valid server name"))?;
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(other)?;
        let mut socket = TransportAdapter::new(inner.boxed(), details.current_time.clone());
        socket.set_timeout(left(details));
        session.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(Tls {
            buffers,
            stream: StreamOwned::new(session, socket),
        })))
    }
}

/// What a slow connection leaves of the time.
fn left(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Wait::Exact(all), Instant::Exact(start), Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        let spent = now.saturating_duration_since(start);
        timeout.after = Wait::Exact(all.saturating_sub(spent));
    }
    timeout
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

fn other(error: rustls::Error) -> Error {
    Error::Other(Box::new(error))
}

pub(crate) struct Tls {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for Tls {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        let decrypted = self.stream.conn.process_new_packets();
        decrypted
            .is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
            && self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests own threads, sockets and clocks"
)]
mod tests {
    use super::*;
    use crate::Agent;
    use bytes::Bytes;
    use std::{net::TcpListener, thread, time};
    use unifiedai_transport::{Delivery, FailureKind, Limits, Phase, Transport as _};
    use ureq::unversioned::transport::TcpConnector;

    #[derive(Debug)]
    struct Slow;

    impl Connect for Slow {
        type Out = Box<dyn Transport>;

        fn connect(
            &self,
            _: &ConnectionDetails,
            _: Option<()>,
        ) -> Result<Option<Self::Out>, Error> {
            thread::sleep(time::Duration::from_millis(300));
            Ok(None)
        }
    }

    #[test]
    fn a_slow_connection_leaves_a_handshake_what_is_left() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let chain =
            ().chain(Slow)
                .chain(TcpConnector::default())
                .chain(Connector::new(default_config()));
        let agent = Agent::with_connector(ureq::config::Config::default(), chain);
        let mut limits = Limits::NONE;
        limits.connect = agent.now().saturating_add(time::Duration::from_millis(400));
        let uri = format!("https://{}/", silent.local_addr().unwrap());
        let request = http::Request::get(uri).body(Bytes::new()).unwrap();
        let started = time::Instant::now();
        let failure = agent.send(request, limits).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Timeout(Phase::Connect));
        assert_eq!(failure.delivery(), Delivery::NotSent);
        assert!(started.elapsed() < time::Duration::from_millis(600));
    }
}
