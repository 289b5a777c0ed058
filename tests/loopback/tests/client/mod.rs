//! A client that shows exactly what was received over the socket.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use unifiedai_loopback::Loopback;

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body without its transfer coding.
    pub(crate) body: Vec<u8>,
    /// Sizes of the HTTP chunks.
    pub(crate) chunks: Vec<usize>,
    pub(crate) end: End,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// According to its framing.
    Framed,
    /// Closed; the framing has no end of its own.
    CloseDelimited,
    /// Closed before the framing's end.
    Cut,
    Reset,
    Silence,
}

impl Client {
    pub(crate) fn new(server: &Loopback) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The time without data after which the connection counts as idle.
    pub(crate) fn patience(self, time: Duration) -> Self {
        self.stream.set_read_timeout(Some(time)).unwrap();
        self
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Response {
        let length = body.len();
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: loopback\r\n{headers}content-length: {length}\r\n\r\n{body}").as_bytes());
        self.response(method == "HEAD")
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "", "")
    }

    pub(crate) fn chat(&mut self, body: &Value) -> Response {
        self.request(
            "POST",
            "/v1/chat/completions",
            "content-type: application/json\r\n",
            &body.to_string(),
        )
    }

    /// Reads more; false at the end of the connection.
    fn fill(&mut self) -> Result<(), End> {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(End::Cut),
            Ok(n) => {
                self.buffer.extend_from_slice(&bytes[..n]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(End::Silence)
            }
            Err(_) => Err(End::Reset),
        }
    }

    fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8(line[..at].to_vec()).unwrap());
            }
            self.fill()?;
        }
    }

    /// This many bytes, or fewer if the connection ends.
    fn take(&mut self, n: usize, into: &mut Vec<u8>) -> Result<(), End> {
        let mut result = Ok(());
        while self.buffer.len() < n && result.is_ok() {
            result = self.fill();
        }
        let n = n.min(self.buffer.len());
        into.extend_from_slice(&self.buffer[..n]);
        self.buffer.drain(..n);
        result
    }

    /// The rest of the buffer, and data that arrives within a moment.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        loop {
            if let Err(end) = self.fill() {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
    }

    pub(crate) fn response(&mut self, head_only: bool) -> Response {
        let mut response = Response {
            status: 0,
            head: String::new(),
            body: Vec::new(),
            chunks: Vec::new(),
            end: End::Framed,
        };
        if let Err(end) = self.read(head_only, &mut response) {
            response.end = end;
        }
        response
    }

    fn read(&mut self, head_only: bool, response: &mut Response) -> Result<(), End> {
        let status = self.line()?;
        response.status = status
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            response.head.push_str(&line);
            response.head.push('\n');
        }
        if head_only || response.status < 200 {
            return Ok(());
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).unwrap();
                if size == 0 {
                    assert_eq!(self.line()?, "");
                    return Ok(());
                }
                self.take(size, &mut response.body)?;
                response.chunks.push(size);
                assert_eq!(self.line()?, "");
            }
        }
        match response
            .header("content-length")
            .map(|length| length.parse().unwrap())
        {
            Some(length) => self.take(length, &mut response.body),
            None => match self.take(usize::MAX, &mut response.body) {
                Err(End::Cut) => Err(End::CloseDelimited),
                other => other,
            },
        }
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The JSON of every complete event.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let events = text
            .split_inclusive("\n\n")
            .filter(|event| event.ends_with("\n\n"));
        let data =
            events.filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// All values at this path in the events, concatenated.
    pub(crate) fn joined(&self, pointer: &str) -> String {
        self.events()
            .iter()
            .filter_map(|event| event.pointer(pointer)?.as_str())
            .collect()
    }

    /// All values of this field in the deltas of a choice, concatenated.
    pub(crate) fn added(&self, choice: usize, member: &str) -> String {
        let events = self.events();
        let choices = events
            .iter()
            .filter_map(|event| event.pointer("/choices/0"))
            .filter(|one| one["index"] == choice);
        choices
            .filter_map(|choice| choice["delta"][member].as_str())
            .collect()
    }
}
