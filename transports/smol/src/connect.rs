//! smol's sockets and tasks.

use async_io::Async;
use smol_hyper::rt::SmolTimer;
use socket2::SockRef;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};
use unifiedai_http::Runtime;

/// A TCP stream of smol's with the traits of tokio's, which TLS and the client go by. Its reads always ask the socket.
pub type Tcp = Compat<Async<TcpStream>>;

/// The runtime [smol](https://docs.rs/smol).
#[derive(Debug)]
#[non_exhaustive]
pub struct Smol;

impl Runtime for Smol {
    /// There is one reactor in a process.
    type Id = ();
    type Tcp = Tcp;
    const NO_RUNTIME: &'static str = "there is no reactor";
    const READS_ASK_SOCKET: bool = true;

    fn id() -> Option<()> {
        Some(())
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    fn timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        SmolTimer::new()
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::unblock(move || Ok((host, port).to_socket_addrs()?.collect())).await
    }

    async fn connect(address: SocketAddr) -> io::Result<Tcp> {
        Ok(Async::<TcpStream>::connect(address).await?.compat())
    }

    fn socket(tcp: &Tcp) -> SockRef<'_> {
        SockRef::from(tcp.get_ref().get_ref())
    }
}
