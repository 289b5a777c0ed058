use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use unifiedai_pool::View;

/// A socket that is not read once more to see that it has nothing left: hyper asks for that several times an answer.
pub(crate) struct Tcp(Arc<Socket>);

struct Socket {
    tcp: Async<TcpStream>,
    /// Whether the next read waits, because there was nothing left. The reactor tells of what has come since, too.
    waits: AtomicBool,
}

impl Tcp {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Tcp> {
        let tcp = Async::<TcpStream>::connect(address).await?;
        tcp.get_ref().set_nodelay(true)?;
        Ok(Tcp(Arc::new(Socket {
            tcp,
            waits: AtomicBool::new(false),
        })))
    }

    pub(crate) fn view(&self) -> Weak<dyn View> {
        Arc::<Socket>::downgrade(&self.0)
    }
}

impl View for Socket {
    /// The reactor may not have seen yet how the socket is now.
    fn has_news(&self) -> bool {
        let nothing = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let has_news = !self.tcp.get_ref().peek(&mut [0]).is_err_and(nothing);
        if has_news {
            self.waits.store(false, Relaxed);
        }
        has_news
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Socket { tcp, waits } = &*self.0;
        loop {
            if waits.load(Relaxed) {
                ready!(tcp.poll_readable(cx))?;
            }
            match tcp.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    waits.store(true, Relaxed);
                }
                read => {
                    let short = matches!(read, Ok(size) if size < buffer.len());
                    waits.store(short, Relaxed);
                    return Poll::Ready(read);
                }
            }
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.0.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.0.tcp).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.0.tcp).poll_close(cx)
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
                assert!(tcp.0.waits.load(Relaxed));
            }
            let waiting = poll_fn(|cx| Poll::Ready(Pin::new(&mut tcp).poll_read(cx, &mut [0])));
            assert!(waiting.await.is_pending());
            drop(peer);
            assert_eq!(tcp.read(&mut buffer).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_view_shows_what_the_reactor_has_not_told() {
        let (mut tcp, mut peer) = pair();
        let view = tcp.view();
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut read = || Pin::new(&mut tcp).poll_read(&mut unwoken, &mut [0; 8]);
        let has_news = || view.upgrade().unwrap().has_news();
        assert!(read().is_pending() && !has_news());
        peer.write_all(b"abc").unwrap();
        assert!(has_news());
        assert!(matches!(read(), Poll::Ready(Ok(3))));
        assert!(!has_news() && read().is_pending());
        drop(peer);
        assert!(has_news());
        assert!(matches!(read(), Poll::Ready(Ok(0))));
        drop(tcp);
        assert!(view.upgrade().is_none(), "the socket was left open");
    }
}
