//! A TCP socket that keeps the limits of the call that uses it, plain or under TLS.

use crate::timeout::{self, Stage};
use rustls::{ClientConnection, StreamOwned};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Weak},
    time::Duration,
};
use unifiedai_transport::Interrupt;

/// The longest wait in a write before the socket is looked at for an early response.
const WRITE_WAIT: Duration = Duration::from_millis(100);

/// Bytes to and from a server, or a proxy.
pub(crate) trait Stream: Read + Write + Send + Sync {
    /// The socket below.
    fn socket(&mut self) -> &mut Socket;

    /// True if something can be read without waiting. TLS's own records are taken in.
    ///
    /// # Errors
    /// If the server has closed or reset the connection.
    fn peek(&mut self) -> io::Result<bool>;
}

#[derive(Default)]
pub(crate) struct Socket {
    /// `None` while the connection waits for its next request.
    tcp: Option<Arc<Tcp>>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// A connection that the handle of the call that uses it shuts down.
struct Tcp(TcpStream);

impl Interrupt for Tcp {
    fn interrupt(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Socket {
    /// Is used by the call that runs on this thread from now on.
    pub(crate) fn begin(&mut self, tcp: TcpStream) {
        let tcp = self.tcp.insert(Arc::new(Tcp(tcp)));
        let weak: Weak<dyn Interrupt> = Arc::<Tcp>::downgrade(tcp);
        timeout::call(|call| call.cancel.as_ref().map(|handle| handle.interrupts(weak)));
    }

    /// No call uses it any more. `None` while one is being cancelled that did.
    pub(crate) fn end(&mut self) -> Option<TcpStream> {
        Arc::into_inner(self.tcp.take()?).map(|tcp| tcp.0)
    }

    fn tcp(&self) -> io::Result<&TcpStream> {
        let tcp = self.tcp.as_ref().map(|tcp| &tcp.0);
        tcp.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Stream for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }

    fn peek(&mut self) -> io::Result<bool> {
        peek(self.tcp()?)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let wait = timeout::wait()?;
            if wait != self.read_timeout {
                self.tcp()?.set_read_timeout(wait)?;
                self.read_timeout = wait;
            }
            match self.tcp()?.read(buffer) {
                // By its number the limit may not have passed yet: the system's clock is another one.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Socket {
    /// `WouldBlock` after a short wait, so that the caller can see whether a response came early.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wait = Some(timeout::wait()?.map_or(WRITE_WAIT, |wait| wait.min(WRITE_WAIT)));
        if wait != self.write_timeout {
            self.tcp()?.set_write_timeout(wait)?;
            self.write_timeout = wait;
        }
        let written = self.tcp()?.write(bytes)?;
        if written > 0 {
            timeout::advance(Stage::Unsent, Stage::Sent);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for StreamOwned<ClientConnection, Box<dyn Stream>> {
    fn socket(&mut self) -> &mut Socket {
        self.sock.socket()
    }

    fn peek(&mut self) -> io::Result<bool> {
        loop {
            let state = self.conn.process_new_packets().map_err(io::Error::other)?;
            if state.plaintext_bytes_to_read() > 0 {
                return Ok(true);
            }
            if state.peer_has_closed() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if !self.sock.peek()? {
                return Ok(false);
            }
            self.conn.read_tls(&mut self.sock)?;
        }
    }
}

/// True if a socket holds something. It is neither waited for nor taken.
pub(crate) fn peek(socket: &TcpStream) -> io::Result<bool> {
    socket.set_nonblocking(true)?;
    let peeked = socket.peek(&mut [0]);
    socket.set_nonblocking(false)?;
    match peeked {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        peeked => peeked.map(|_| true),
    }
}
