use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A socket that is not read once more to see that it has nothing left: hyper asks for that several times an answer.
pub(crate) struct Tcp {
    socket: Async<TcpStream>,
    next: Next,
}

/// What the next read begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Reading,
    /// There was nothing left. The reactor tells of what has come since, too.
    Waiting,
    /// As reading, but without waiting if there is nothing.
    Looking,
}

impl Tcp {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Tcp> {
        let socket = Async::<TcpStream>::connect(address).await?;
        socket.get_ref().set_nodelay(true)?;
        Ok(Tcp {
            socket,
            next: Next::Reading,
        })
    }

    /// The reactor may not have seen yet how the socket is now.
    pub(crate) fn look(&mut self) {
        self.next = Next::Looking;
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.next == Next::Waiting {
                ready!(self.socket.poll_readable(cx))?;
            }
            match self.socket.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let before = std::mem::replace(&mut self.next, Next::Waiting);
                    if before == Next::Looking {
                        return Poll::Pending;
                    }
                }
                Ok(size) if size < buffer.len() => {
                    self.next = Next::Waiting;
                    return Poll::Ready(Ok(size));
                }
                read => {
                    self.next = Next::Reading;
                    return Poll::Ready(read);
                }
            }
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use futures_lite::{AsyncReadExt as _, future::poll_fn};
    use std::{io::Write as _, net::TcpListener, task::Waker};

    fn pair() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connecting = Tcp::connect(listener.local_addr().unwrap());
        let tcp = async_io::block_on(connecting).unwrap();
        (tcp, listener.accept().unwrap().0)
    }

    #[test]
    fn what_comes_after_a_short_read_wakes_the_reader() {
        let (mut tcp, mut peer) = pair();
        async_io::block_on(async {
            let mut buffer = [0; 8];
            for _ in 0..3 {
                peer.write_all(b"abc").unwrap();
                assert_eq!(tcp.read(&mut buffer).await.unwrap(), 3);
                assert!(tcp.next == Next::Waiting);
            }
            let waiting = poll_fn(|cx| Poll::Ready(Pin::new(&mut tcp).poll_read(cx, &mut [0])));
            assert!(waiting.await.is_pending());
            drop(peer);
            assert_eq!(tcp.read(&mut buffer).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_look_sees_what_the_reactor_has_not_told() {
        let (mut tcp, mut peer) = pair();
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut look = |tcp: &mut Tcp| {
            tcp.look();
            Pin::new(tcp).poll_read(&mut unwoken, &mut [0; 8])
        };
        assert!(look(&mut tcp).is_pending());
        peer.write_all(b"abc").unwrap();
        assert!(matches!(look(&mut tcp), Poll::Ready(Ok(3))));
        assert!(look(&mut tcp).is_pending());
        drop(peer);
        assert!(matches!(look(&mut tcp), Poll::Ready(Ok(0))));
    }
}
