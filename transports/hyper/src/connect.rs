//! tokio's sockets, tasks and TLS.

use crate::{tcp::Tcp, timeout::Timer};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use std::{future::Future, io, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpStream, lookup_host},
    runtime::{Handle, Id},
};
use tokio_rustls::TlsConnector;
use unifiedai_http::{Io, Options, Runtime, Watch};

/// The runtime [tokio](https://docs.rs/tokio).
#[derive(Debug)]
#[non_exhaustive]
pub struct Tokio;

impl Runtime for Tokio {
    type Id = Id;
    type Timer = Timer;
    const NO_RUNTIME: &'static str = "there is no tokio runtime here; call from a task of one, or inside \
        `Runtime::block_on` or `Handle::enter`, and build it with `enable_all`";

    fn id() -> Option<Id> {
        Handle::try_current().ok().map(|runtime| runtime.id())
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn http2_timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        TokioTimer::new()
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(
        address: SocketAddr,
        options: &Options,
    ) -> io::Result<(Box<dyn Io>, Arc<Watch>)> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        if let Some(after) = options.tcp_keep_alive {
            SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(after))?;
        }
        let (tcp, watch) = Tcp::new(tcp);
        Ok((Box::new(TokioIo::new(tcp)), watch))
    }

    async fn tls(
        io: Box<dyn Io>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<(Box<dyn Io>, bool)> {
        let connecting = TlsConnector::from(config).connect(name, TokioIo::new(io));
        let tls = connecting.await?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(TokioIo::new(tls)), http2))
    }
}
