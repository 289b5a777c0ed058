//! One request and its answer on a connection, by ureq's protocol.

use crate::{clock, error, pool::Connection};
use http::{
    HeaderValue, Request, Response,
    header::{CONTENT_LENGTH, Entry, HOST, TRANSFER_ENCODING},
};
use std::io;
use unifiedai_transport::{Time, TransportError};
use ureq::{
    Error, Timeout,
    unversioned::transport::{Buffers, NextTimeout},
};
use ureq_proto::{
    BodyMode,
    client::{
        Await100Result, Call, RecvBodyResult, RecvResponseResult, SendRequestResult,
        state::{RecvBody, RecvResponse, SendBody, SendRequest},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was written on a connection that stands.
    Unsent,
    /// Something was.
    Sent,
    /// The head has arrived.
    Answered,
    /// And then the connection ended.
    Ended,
}

/// What comes behind a head.
pub(crate) enum Rest {
    Body(Box<Call<RecvBody>>),
    /// Nothing, and the connection may be used again or not.
    Nothing {
        reusable: bool,
    },
}

/// A connection as long as it belongs to a call.
pub(crate) struct Wire {
    connection: Connection,
    stage: Stage,
    by: Time,
    /// If it was read a moment ago.
    now: Option<Time>,
    /// Whether a wait whose time is up may still look at what has arrived: once, not for each byte of a peer that drips.
    overtime: bool,
    write_failed: bool,
}

impl Wire {
    pub(crate) fn new((connection, now): (Connection, Option<Time>), by: Time) -> Self {
        Wire {
            connection,
            stage: Stage::Unsent,
            by,
            now,
            overtime: true,
            write_failed: false,
        }
    }

    pub(crate) fn failed(&self, failure: Error) -> TransportError {
        error::from_ureq(failure, self.stage, self.connection.origin.host())
    }

    pub(crate) fn exchange(
        &mut self,
        request: Request<()>,
        body: &[u8],
        most: usize,
    ) -> Result<(Response<()>, Rest), Error> {
        let call = self.prepare(request, body)?;
        let call = self.send(call, body)?;
        let (response, call) = self.receive(call, most)?;
        let rest = match call {
            RecvResponseResult::RecvBody(call) => Rest::Body(Box::new(call)),
            RecvResponseResult::Redirect(call) => Rest::Nothing {
                reusable: !call.must_close_connection(),
            },
            RecvResponseResult::Cleanup(call) => Rest::Nothing {
                reusable: !call.must_close_connection(),
            },
        };
        Ok((response, rest))
    }

    fn prepare(&self, mut request: Request<()>, body: &[u8]) -> Result<Call<SendRequest>, Error> {
        let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
        let headers = request.headers_mut();
        let is_chunked = headers.contains_key(TRANSFER_ENCODING);
        match headers.entry(CONTENT_LENGTH) {
            // The protocol would wait for the rest of a body that is shorter.
            Entry::Occupied(stated) if !is_number(stated.get(), body.len()) => {
                return Err(ureq_proto::Error::BadContentLengthHeader.into());
            }
            Entry::Vacant(length) if (expects_body || !body.is_empty()) && !is_chunked => {
                length.insert(number(body.len()));
            }
            _ => {}
        }
        if let Entry::Vacant(host) = headers.entry(HOST) {
            host.insert(self.connection.host.clone());
        }
        let mut call = Call::new(request)?;
        call.allow_non_standard_methods(true);
        if !body.is_empty() {
            call.force_send_body();
        }
        Ok(call.proceed())
    }

    fn send(
        &mut self,
        mut call: Call<SendRequest>,
        body: &[u8],
    ) -> Result<Call<RecvResponse>, Error> {
        let head = loop {
            let filled = call.write(self.buffers().output())?;
            if call.can_proceed() {
                break filled;
            }
            self.write(filled)?;
        };
        let call = match call.proceed()? {
            Some(SendRequestResult::SendBody(call)) => call,
            Some(SendRequestResult::RecvResponse(call)) => {
                self.write(head)?;
                return Ok(call);
            }
            // The server's word is not waited for.
            Some(SendRequestResult::Await100(call)) => match call.proceed()? {
                Await100Result::SendBody(call) => call,
                Await100Result::RecvResponse(call) => {
                    self.write(head)?;
                    return Ok(call);
                }
            },
            None => return Err(ended()),
        };
        self.send_body(call, head, body)
    }

    /// The first part of the body goes out with the head, which lies in the buffer.
    fn send_body(
        &mut self,
        mut call: Call<SendBody>,
        mut filled: usize,
        mut body: &[u8],
    ) -> Result<Call<RecvResponse>, Error> {
        loop {
            let output = self.buffers().output();
            // Of chunks the protocol knows only how many fill a buffer that is empty.
            let goes_alone = filled > 0 && call.is_chunked() || filled > output.len() / 2;
            let (used, written) = if goes_alone {
                (0, 0)
            } else {
                let room = output.get_mut(filled..).unwrap_or_default();
                let most = call.calculate_max_input(room.len());
                call.write(body.get(..most).unwrap_or(body), room)?
            };
            body = body.get(used..).unwrap_or_default();
            self.write(filled.saturating_add(written))?;
            filled = 0;
            if call.can_proceed() {
                return call.proceed().ok_or_else(ended);
            }
        }
    }

    fn receive(
        &mut self,
        mut call: Call<RecvResponse>,
        most: usize,
    ) -> Result<(Response<()>, RecvResponseResult), Error> {
        loop {
            let progress = self.buffers().can_use_input() || self.read()?;
            let input = self.buffers().input();
            let (used, response) = call.try_response(input, false)?;
            // Behind an interim answer may lie more than a head.
            let size = if used > 0 { used } else { input.len() };
            if size > most {
                return Err(Error::LargeResponseHeader(size, most));
            }
            self.buffers().input_consume(used);
            if let Some(response) = response {
                self.stage = Stage::Answered;
                let call = call.proceed().ok_or_else(ended)?;
                return Ok((response, call));
            }
            if !progress {
                return Err(ended());
            }
        }
    }

    /// The next bytes of a body; none at its end.
    pub(crate) fn receive_body(
        &mut self,
        call: &mut Call<RecvBody>,
        target: &mut [u8],
        by: Time,
    ) -> Result<usize, Error> {
        (self.by, self.overtime) = (by, true);
        loop {
            let framed = call.body_mode() != BodyMode::CloseDelimited;
            if framed && call.can_proceed() {
                return Ok(0);
            }
            let progress = self.buffers().can_use_input() || self.read()?;
            let input = self.buffers().input();
            let at_end = input.is_empty();
            let (used, written) = call.read(input, target)?;
            self.buffers().input_consume(used);
            if written > 0 {
                return Ok(written);
            }
            if at_end {
                return if call.can_proceed() || call.is_ended_chunked() {
                    Ok(0)
                } else {
                    Err(ended())
                };
            }
            if used == 0 && !progress {
                return Err(Error::BodyStalled);
            }
        }
    }

    /// The connection, if another request may follow.
    pub(crate) fn into_idle(mut self, reusable: bool) -> Option<Connection> {
        let is_clean = !self.write_failed && self.buffers().input().is_empty();
        (reusable && is_clean).then_some(self.connection)
    }

    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.transport.buffers()
    }

    fn write(&mut self, amount: usize) -> Result<(), Error> {
        if self.write_failed || amount == 0 {
            return Ok(());
        }
        self.stage = Stage::Sent;
        let timeout = self.timeout();
        match self.connection.transport.transmit_output(amount, timeout) {
            // A server that refuses a large request answers and closes without reading it all: go on to read
            // the answer. If there is none, reading fails.
            Err(Error::Io(error)) if is_hang_up(&error) => {
                self.write_failed = true;
                Ok(())
            }
            other => other,
        }
    }

    fn read(&mut self) -> Result<bool, Error> {
        let timeout = self.timeout();
        let progress = self.connection.transport.await_input(timeout)?;
        if !progress && self.stage == Stage::Answered {
            self.stage = Stage::Ended;
        }
        Ok(progress)
    }

    fn timeout(&mut self) -> NextTimeout {
        let reason = match self.stage {
            Stage::Unsent | Stage::Sent => Timeout::RecvResponse,
            Stage::Answered | Stage::Ended => Timeout::RecvBody,
        };
        let now = self.now.take();
        let now = || now.unwrap_or_else(clock::now);
        clock::timeout(self.by, now, reason, &mut self.overtime)
    }
}

fn number(number: usize) -> HeaderValue {
    // As a text of just its length it takes one piece of memory, and from the number itself two.
    let text = HeaderValue::try_from(number.to_string());
    text.unwrap_or_else(|_| number.into())
}

fn is_number(value: &HeaderValue, number: usize) -> bool {
    let text = value.to_str().ok();
    text.and_then(|text| text.trim().parse().ok()) == Some(number)
}

/// Whether the connection may be used again after a body that was read to its end.
pub(crate) fn is_reusable(call: Call<RecvBody>) -> bool {
    match call.proceed() {
        Some(RecvBodyResult::Redirect(call)) => !call.must_close_connection(),
        Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
        None => false,
    }
}

fn ended() -> Error {
    Error::Io(io::ErrorKind::UnexpectedEof.into())
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Origin;
    use http::Uri;
    use std::sync::{Arc, Mutex};
    use ureq::unversioned::transport::{LazyBuffers, Transport};

    /// Keeps what was written to it, gives an answer at once, and closes.
    #[derive(Debug)]
    struct Recorder {
        buffers: LazyBuffers,
        answer: &'static [u8],
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Transport for Recorder {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            let output = self.buffers.output().get(..amount).unwrap();
            let text = std::str::from_utf8(output).unwrap().to_owned();
            self.written.lock().unwrap().push(text);
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            let answer = std::mem::take(&mut self.answer);
            let place = self.buffers.input_append_buf();
            place
                .get_mut(..answer.len())
                .unwrap()
                .copy_from_slice(answer);
            self.buffers.input_appended(answer.len());
            Ok(!answer.is_empty())
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    /// With buffers of 100 bytes.
    fn wire(answer: &'static [u8]) -> (Wire, Arc<Mutex<Vec<String>>>) {
        let written = Arc::default();
        let recorder = Recorder {
            buffers: LazyBuffers::new(100, 100),
            answer,
            written: Arc::clone(&written),
        };
        let connection = Connection {
            origin: Origin::of(&Uri::from_static("http://a")).unwrap(),
            host: HeaderValue::from_static("a"),
            transport: Box::new(recorder),
        };
        (Wire::new((connection, None), Time::MAX), written)
    }

    fn written(request: http::request::Builder, body: &str) -> Vec<String> {
        let written = written_or_refused(request, body);
        assert!(!written.is_empty());
        written
    }

    fn written_or_refused(request: http::request::Builder, body: &str) -> Vec<String> {
        let (mut wire, written) = wire(b"");
        let request = request.uri("http://a/").body(()).unwrap();
        assert_eq!(wire.stage, Stage::Unsent);
        assert!(wire.exchange(request, body.as_bytes(), 100).is_err());
        let written = written.lock().unwrap().clone();
        assert_eq!(wire.stage == Stage::Unsent, written.is_empty());
        written
    }

    #[test]
    fn a_short_head_goes_out_with_the_body() {
        let get = Request::builder;
        assert_eq!(written(get(), ""), ["GET / HTTP/1.1\r\nhost: a\r\n\r\n"]);

        let head = "GET / HTTP/1.1\r\ncontent-length: 70\r\nhost: a\r\n\r\n";
        let (with_head, rest) = ("b".repeat(53), "b".repeat(17));
        assert_eq!(head.len(), 47);
        assert_eq!(
            written(get(), &"b".repeat(70)),
            [format!("{head}{with_head}"), rest]
        );
    }

    #[test]
    fn a_head_that_leaves_little_room_goes_out_alone() {
        let get = Request::builder().header("x", "y".repeat(10));
        let head = "GET / HTTP/1.1\r\nx: yyyyyyyyyy\r\ncontent-length: 1\r\nhost: a\r\n\r\n";
        assert!(head.len() > 50);
        assert_eq!(written(get, "b"), [head, "b"]);
    }

    #[test]
    fn chunks_end_with_the_body_whatever_fits() {
        let head = "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\nhost: a\r\n\r\n";
        for length in 1..300 {
            let chunked = Request::builder().header(TRANSFER_ENCODING, "chunked");
            let written = written(chunked, &"b".repeat(length)).concat();
            let mut chunks = written.strip_prefix(head).unwrap();
            let mut read = 0;
            let last = loop {
                let (size, rest) = chunks.split_once("\r\n").unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if size == 0 {
                    break rest;
                }
                read += size;
                chunks = rest.get(size..).unwrap().strip_prefix("\r\n").unwrap();
            };
            assert_eq!((read, last), (length, "\r\n"));
        }
    }

    #[test]
    fn a_length_that_is_not_the_bodys_is_refused() {
        for (stated, body) in [("3", "ab"), ("1", "ab"), ("x", "ab"), ("1", "")] {
            let request = Request::builder().header(CONTENT_LENGTH, stated);
            assert!(written_or_refused(request, body).is_empty());
        }
    }

    #[test]
    fn what_lies_behind_an_interim_answer_is_not_counted_as_its_head() {
        let (mut wire, _) = wire(
            b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\
              and a body that is far longer than the head",
        );
        let request = Request::get("http://a/").body(()).unwrap();
        let (response, _) = wire.exchange(request, b"", 40).unwrap();
        assert_eq!(response.status(), 200);
    }
}
