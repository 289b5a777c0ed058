//! smol's sockets and tasks.

use crate::{
    tcp::Tcp,
    timeout::{Http2Timer, Timer},
};
use async_io::Async;
use socket2::SockRef;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
};
use unifiedai_http::Runtime;

/// The runtime [smol](https://docs.rs/smol).
#[derive(Debug)]
#[non_exhaustive]
pub struct Smol;

impl Runtime for Smol {
    /// There is one reactor in a process.
    type Id = ();
    type Timer = Timer;
    type Tcp = Tcp;
    const NO_RUNTIME: &'static str = "there is no reactor";
    const READS_ASK_SOCKET: bool = true;

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

    async fn connect(address: SocketAddr) -> io::Result<Tcp> {
        Async::<TcpStream>::connect(address).await.map(Tcp)
    }

    fn socket(tcp: &Tcp) -> SockRef<'_> {
        SockRef::from(tcp.0.get_ref())
    }
}
