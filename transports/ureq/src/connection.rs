//! A connection as ureq's agent uses it.

use crate::{
    cancel,
    deadline::{self, Stage},
    idle::{Idle, Parked, Peek},
    socket::Stream,
};
use std::{
    error::Error as StdError,
    fmt,
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};
use ureq::{
    Error,
    config::Config,
    unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport},
};

pub(crate) struct Connection {
    buffers: LazyBuffers,
    stream: Stream,
    idle: Arc<Idle>,
    /// While the connection waits in ureq's pool.
    parked: Option<Parked>,
    /// True if the connection has waited there.
    is_reused: bool,
    /// True once the server refused to take more of a request; its response may have come all the same.
    write_failed: bool,
    /// What a request to a proxy has before its path: scheme, host and port of the target.
    absolute: Option<Box<str>>,
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        config: &Config,
        idle: &Arc<Idle>,
        absolute: Option<Box<str>>,
    ) -> Self {
        Connection {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream,
            idle: Arc::clone(idle),
            parked: None,
            is_reused: false,
            write_failed: false,
            absolute,
        }
    }

    /// Before the first byte of a request.
    fn begin(&mut self) -> Result<(), Error> {
        cancel::begin(self.stream.socket());
        if self.is_reused && self.stream.peek() != Peek::Nothing {
            return Err(stale());
        }
        Ok(())
    }

    fn write(&mut self, amount: usize) -> io::Result<()> {
        let Connection {
            buffers, stream, ..
        } = self;
        let output = buffers.output().get_mut(..amount).unwrap_or_default();
        let is_first = deadline::current().stage == Stage::Unsent;
        let head_line = match &self.absolute {
            Some(target) if is_first => Some(absolute_form(output, target)),
            _ => None,
        };
        let (first, rest) = match &head_line {
            Some((line, used)) => (&**line, output.get(*used..).unwrap_or_default()),
            None => (&[][..], &*output),
        };
        let written = write_all(stream, first).and_then(|()| write_all(stream, rest));
        // A key in it must not outlive the request.
        output.fill(0);
        written
    }
}

/// Writes until the end, or until a response arrives: a server that refuses a large request may not read the rest of it.
fn write_all(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stream.peek() != Peek::Nothing {
                    return Err(ErrorKind::BrokenPipe.into());
                }
            }
            failed => return failed.map(drop),
        }
    }
    Ok(())
}

/// The first line with the target's scheme, host and port (RFC 9112, 3.2.2), and how much of the output it stands for.
fn absolute_form(output: &[u8], target: &str) -> (Vec<u8>, usize) {
    let method = output.iter().position(|byte| *byte == b' ');
    let method = method.map_or(0, |space| space.saturating_add(1));
    let line = output.get(..method).unwrap_or_default();
    ([line, target.as_bytes()].concat(), method)
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        if self.write_failed || amount == 0 {
            return Ok(());
        }
        if deadline::current().stage == Stage::Unsent {
            self.begin()?;
        }
        match self.write(amount) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(timeout()),
            Err(_) if deadline::current().stage != Stage::Unsent => {
                self.write_failed = true;
                Ok(())
            }
            Err(_) if self.is_reused => Err(stale()),
            Err(error) => Err(Error::Io(error)),
        }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let read = self.stream.read(self.buffers.input_append_buf());
        match read {
            Ok(size) => {
                self.buffers.input_appended(size);
                if size == 0 {
                    deadline::ended();
                }
                Ok(size > 0)
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(timeout()),
            // ureq takes some of the others for the end of the body.
            Err(error) => Err(Error::Other(error.into())),
        }
    }

    /// ureq asks when it puts a connection into its pool, and again when it takes it out.
    fn is_open(&mut self) -> bool {
        if let Some(parked) = self.parked.take() {
            self.is_reused = true;
            let socket = parked.take();
            let is_open = socket.is_some();
            self.stream.socket().tcp = socket;
            return is_open;
        }
        cancel::end();
        let is_kept = deadline::current().keeps && !self.write_failed;
        if !is_kept || self.stream.peek() != Peek::Nothing {
            return false;
        }
        let tls = self.stream.is_tls();
        let socket = self.stream.socket().tcp.take();
        self.parked = socket.map(|socket| self.idle.put(socket, tls));
        self.parked.is_some()
    }

    fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

fn timeout() -> Error {
    Error::Timeout(ureq::Timeout::Global)
}

/// A kept connection was closed before anything of the request was written: another one can take the request.
#[derive(Debug)]
pub(crate) struct Stale;

fn stale() -> Error {
    Error::Other(Box::new(Stale))
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection while it waited for a request")
    }
}

impl StdError for Stale {}
