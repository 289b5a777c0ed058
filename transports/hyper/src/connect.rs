//! tokio's sockets and tasks.

use hyper_util::rt::TokioTimer;
use socket2::SockRef;
use std::{future::Future, io, net::SocketAddr};
use tokio::{
    net::{TcpStream, lookup_host},
    runtime::{Handle, Id},
};
use unifiedai_http::Runtime;

/// The runtime [tokio](https://docs.rs/tokio).
#[derive(Debug)]
#[non_exhaustive]
pub struct Tokio;

impl Runtime for Tokio {
    type Id = Id;
    type Tcp = TcpStream;
    const NO_RUNTIME: &'static str = "no tokio runtime is running in this thread; call from one of its tasks, or inside \
        `Runtime::block_on` or `Handle::enter`, and build it with `enable_all`";
    const READS_ASK_SOCKET: bool = false;

    fn id() -> Option<Id> {
        Handle::try_current().ok().map(|runtime| runtime.id())
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        TokioTimer::new()
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    fn socket(tcp: &TcpStream) -> SockRef<'_> {
        SockRef::from(tcp)
    }
}
