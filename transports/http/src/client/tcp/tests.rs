//! The two looks at a kept connection before a request is written to it.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use hyper_util::rt::TokioTimer;
use std::{
    future::Future,
    io::Write as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    task::Waker,
    thread,
    time::Duration,
};

/// A runtime that was never notified that its sockets can be read.
struct Unnotified;

struct Unread(TcpStream);

impl Runtime for Unnotified {
    type Id = ();
    type Tcp = Unread;
    const NO_RUNTIME: &'static str = "";
    const READS_ASK_SOCKET: bool = false;

    fn id() -> Option<()> {
        None
    }

    fn spawn(_: impl Future<Output = ()> + Send + 'static) {}

    fn timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        TokioTimer::new()
    }

    async fn resolve(_: String, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn connect(_: SocketAddr) -> io::Result<Unread> {
        Err(ErrorKind::Unsupported.into())
    }

    fn socket(tcp: &Unread) -> socket2::SockRef<'_> {
        socket2::SockRef::from(&tcp.0)
    }
}

impl AsyncRead for Unread {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Unread {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A kept connection, what it shares, and the server's end.
fn kept() -> (Tcp<Unnotified>, Arc<SocketState>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let (tcp, state) = Tcp::new(Unread(client));
    state.force_read.store(true, Relaxed);
    state.look_again.store(true, Relaxed);
    (tcp, state, listener.accept().unwrap().0)
}

fn write(tcp: &mut Tcp<Unnotified>) -> Poll<io::Result<usize>> {
    Pin::new(tcp).poll_write(&mut Context::from_waker(Waker::noop()), b"request")
}

fn read(tcp: &mut Tcp<Unnotified>) -> Option<usize> {
    let mut buffer = [0; 64];
    let mut into = ReadBuf::new(&mut buffer);
    let polled = Pin::new(tcp).poll_read(&mut Context::from_waker(Waker::noop()), &mut into);
    let polled = polled.map(|read| read.map(|()| into.filled().len()));
    match polled {
        Poll::Ready(read) => Some(read.unwrap()),
        Poll::Pending => None,
    }
}

/// Until the server's last act has arrived.
fn arrived(tcp: &Tcp<Unnotified>) {
    while !tcp.has_unread() {
        thread::yield_now();
    }
}

#[test]
fn nothing_is_written_once_the_server_has_closed_or_sent_something() {
    for act in [
        |mut server: TcpStream| server.write_all(b"HTTP/1.1 408 Late\r\n\r\n"),
        |server: TcpStream| server.shutdown(Shutdown::Both),
        |server: TcpStream| socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)),
    ] {
        let (mut tcp, state, server) = kept();
        // The first look finds nothing, and the server acts behind it.
        assert_eq!(read(&mut tcp), None);
        act(server).unwrap();
        arrived(&tcp);
        let Poll::Ready(Err(error)) = write(&mut tcp) else {
            unreachable!("it was written");
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        assert!(!state.written.load(Relaxed));
    }
}

#[test]
fn the_first_look_goes_past_the_runtime_once() {
    let (mut tcp, _, mut server) = kept();
    server.write_all(b"late").unwrap();
    arrived(&tcp);
    assert_eq!(read(&mut tcp), Some(4));
    server.write_all(b"more").unwrap();
    arrived(&tcp);
    assert_eq!(read(&mut tcp), None);
}

#[test]
fn a_quiet_connection_is_written_to_and_looked_at_once() {
    let (mut tcp, state, mut server) = kept();
    assert!(matches!(write(&mut tcp), Poll::Ready(Ok(7))));
    assert!(state.written.load(Relaxed));
    // An early response does not keep the rest of the request.
    server.write_all(b"HTTP/1.1 413 Large\r\n\r\n").unwrap();
    arrived(&tcp);
    assert!(matches!(write(&mut tcp), Poll::Ready(Ok(7))));
}
