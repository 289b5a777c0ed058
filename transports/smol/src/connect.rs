//! smol's sockets, tasks and TLS.

use crate::{
    stream::{FuturesIo, HyperIo},
    tcp::Tcp,
    timeout::{Http2Timer, Timer},
};
use async_io::Async;
use futures_rustls::TlsConnector;
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
};
use unifiedai_http::{Io, Options, Runtime, Watch};

/// The runtime [smol](https://docs.rs/smol).
#[derive(Debug)]
#[non_exhaustive]
pub struct Smol;

impl Runtime for Smol {
    /// There is one reactor in a process.
    type Id = ();
    type Timer = Timer;
    const NO_RUNTIME: &'static str = "there is no reactor";

    fn id() -> Option<()> {
        Some(())
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    fn http2_timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        Http2Timer
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::unblock(move || Ok((host, port).to_socket_addrs()?.collect())).await
    }

    async fn connect(
        address: SocketAddr,
        options: &Options,
    ) -> io::Result<(Box<dyn Io>, Arc<Watch>)> {
        let tcp = Async::<TcpStream>::connect(address).await?;
        tcp.get_ref().set_nodelay(true)?;
        if let Some(after) = options.tcp_keep_alive {
            SockRef::from(tcp.get_ref())
                .set_tcp_keepalive(&TcpKeepalive::new().with_time(after))?;
        }
        let (tcp, watch) = Tcp::new(tcp);
        Ok((Box::new(tcp), watch))
    }

    async fn tls(
        io: Box<dyn Io>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<(Box<dyn Io>, bool)> {
        let tls = TlsConnector::from(config)
            .connect(name, FuturesIo(io))
            .await?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(HyperIo(tls)), http2))
    }
}
