//! A TCP socket that keeps the limits of the call that uses it, plain or under TLS.

use crate::{
    deadline,
    idle::{Peek, peek},
};
use rustls::{ClientConnection, StreamOwned};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

/// The longest wait in a write before the socket is looked at for an early response.
const WRITE_WAIT: Duration = Duration::from_millis(100);

pub(crate) struct Socket {
    /// `None` while the connection waits for its next request.
    pub(crate) tcp: Option<Arc<TcpStream>>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Socket {
    pub(crate) fn new(tcp: Arc<TcpStream>) -> Self {
        Socket {
            tcp: Some(tcp),
            read_timeout: None,
            write_timeout: None,
        }
    }

    fn tcp(&self) -> io::Result<&TcpStream> {
        let tcp = self.tcp.as_deref();
        tcp.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = deadline::left();
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::TimedOut.into());
            }
            if left != self.read_timeout {
                self.tcp()?.set_read_timeout(left)?;
                self.read_timeout = left;
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
        let left = deadline::left();
        if left == Some(Duration::ZERO) {
            return Err(ErrorKind::TimedOut.into());
        }
        let wait = Some(left.map_or(WRITE_WAIT, |left| left.min(WRITE_WAIT)));
        if wait != self.write_timeout {
            self.tcp()?.set_write_timeout(wait)?;
            self.write_timeout = wait;
        }
        let written = self.tcp()?.write(bytes)?;
        if written > 0 {
            deadline::wrote();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes to and from a server, or a proxy.
pub(crate) enum Stream {
    Plain(Socket),
    /// TLS, inside that to a proxy if need be.
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The socket below.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.sock.socket(),
        }
    }

    /// What can be read without waiting. TLS's own records are taken in.
    pub(crate) fn peek(&mut self) -> Peek {
        match self {
            Stream::Plain(socket) => socket.tcp().map_or(Peek::Closed, peek),
            Stream::Tls(tls) => peek_decrypted(tls).unwrap_or(Peek::Closed),
        }
    }
}

/// What has been decrypted, or can be.
fn peek_decrypted(tls: &mut StreamOwned<ClientConnection, Stream>) -> io::Result<Peek> {
    let StreamOwned { conn, sock } = tls;
    loop {
        let state = conn.process_new_packets().map_err(io::Error::other)?;
        if state.plaintext_bytes_to_read() > 0 {
            return Ok(Peek::Bytes);
        }
        if state.peer_has_closed() {
            return Ok(Peek::Closed);
        }
        match sock.peek() {
            Peek::Bytes => conn.read_tls(sock)?,
            other => return Ok(other),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}
