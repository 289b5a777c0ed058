//! A TCP socket that keeps the limits of the call that uses it, plain or under TLS.

use crate::timeout::{self, Stage};
use rustls::{ClientConnection, StreamOwned};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

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

pub(crate) struct Socket {
    /// `None` while the connection waits for its next request.
    pub(crate) tcp: Option<Arc<TcpStream>>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Socket {
            tcp: Some(Arc::new(tcp)),
            read_timeout: None,
            write_timeout: None,
        }
    }

    /// The call that runs on this thread uses it, or no longer.
    pub(crate) fn used(&self, is_used: bool) {
        timeout::call(|call| {
            if let Some(attempt) = &call.attempt {
                attempt.uses(self.tcp.as_ref().filter(|_| is_used));
            }
        });
    }

    fn tcp(&self) -> io::Result<&TcpStream> {
        let tcp = self.tcp.as_deref();
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
