//! A connection as ureq's agent uses it.

use crate::{
    connect::Connector,
    idle::Resting,
    socket::Stream,
    timeout::{self, Stage},
};
use std::{
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
};
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport},
};

pub(crate) struct Connection {
    buffers: LazyBuffers,
    stream: Box<dyn Stream>,
    /// What a request to a proxy has before its path: scheme, host and port of the target.
    absolute: Option<Box<str>>,
    /// What opened it, and for what.
    connector: Connector,
    uri: Uri,
    /// Where its socket is while it waits in ureq's pool.
    resting: Arc<Resting>,
    /// True if the connection has waited there.
    is_reused: bool,
    /// True once the server refused to take more of a request; its response may have come all the same.
    write_failed: bool,
}

impl Connection {
    pub(crate) fn open(connector: &Connector, uri: &Uri, config: &Config) -> Result<Self, Error> {
        let (stream, absolute) = connector.open(uri)?;
        Ok(Connection {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream,
            absolute,
            connector: connector.clone(),
            uri: uri.clone(),
            resting: connector.idle.place(),
            is_reused: false,
            write_failed: false,
        })
    }

    /// Before the first byte of a request.
    fn begin(&mut self) -> Result<(), Error> {
        if self.is_reused && !matches!(self.stream.peek(), Ok(false)) {
            // The server closed it while it waited, or sent what belongs to no request.
            (self.stream, self.absolute) = self.connector.open(&self.uri)?;
            self.is_reused = false;
        }
        Ok(())
    }

    /// True if the server answers, or closes the connection, before it has all of a streamed body.
    fn has_early_response(&mut self) -> bool {
        let is_unsent = |call: &mut timeout::Call| {
            let upload = call.upload.as_ref();
            call.stage == Stage::Sent && upload.is_some_and(|upload| !upload.is_sent())
        };
        timeout::call(is_unsent) && !matches!(self.stream.peek(), Ok(false))
    }

    fn stop_writing(&mut self) {
        self.write_failed = true;
        timeout::call(|call| call.write_failed = true);
    }

    fn write(&mut self, amount: usize) -> io::Result<()> {
        let output = self.buffers.output().get_mut(..amount).unwrap_or_default();
        let mut written = Ok(());
        let mut rest = &*output;
        if let (Some(target), Stage::Unsent) = (&self.absolute, timeout::stage()) {
            // The first line with the target's scheme, host and port (RFC 9112, 3.2.2).
            let method = rest.split_inclusive(|byte| *byte == b' ').next();
            let method = method.unwrap_or_default();
            rest = rest.get(method.len()..).unwrap_or_default();
            written = write_all(&mut *self.stream, &[method, target.as_bytes()].concat());
        }
        let written = written.and_then(|()| write_all(&mut *self.stream, rest));
        // A key in it must not outlive the request.
        output.fill(0);
        written
    }
}

/// Writes until the end, or until a response arrives: a server that refuses a large request may not read the rest of it.
fn write_all(stream: &mut dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stream.peek()? {
                    return Err(ErrorKind::BrokenPipe.into());
                }
            }
            failed => return failed.map(drop),
        }
    }
    Ok(())
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        if self.write_failed || amount == 0 {
            return Ok(());
        }
        if timeout::stage() == Stage::Unsent {
            self.begin()?;
        }
        match self.write(amount) {
            Err(error)
                if error.kind() != ErrorKind::TimedOut && timeout::stage() == Stage::Sent =>
            {
                self.stop_writing();
                Ok(())
            }
            Ok(()) if self.has_early_response() => {
                self.stop_writing();
                Ok(())
            }
            written => Ok(written?),
        }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let read = self.stream.read(self.buffers.input_append_buf());
        // ureq takes some errors of I/O for the end of the body.
        let size = read.map_err(|error| Error::Other(error.into()))?;
        self.buffers.input_appended(size);
        if size == 0 {
            timeout::advance(Stage::Answered, Stage::Ended);
        }
        Ok(size > 0)
    }

    /// ureq asks when it puts a connection into its pool, and again when it takes it out.
    fn is_open(&mut self) -> bool {
        let socket = self.stream.socket();
        if let Some(tcp) = self.resting.take() {
            socket.begin(tcp);
            self.is_reused = true;
            return true;
        }
        let keeps = timeout::call(|call| call.keeps) && !self.write_failed;
        let tcp = socket.end().filter(|_| keeps);
        tcp.map(|tcp| self.connector.idle.put(&self.resting, tcp))
            .is_some()
    }

    fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
