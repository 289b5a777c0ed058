//! A minimal HTTP/1.1 server that can break its responses on purpose.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

use crate::script::{Finish, Script};
use crate::{State, protocol};

const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;

/// A request as it was received, of [`Loopback::requests`](crate::Loopback::requests).
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`, `GET` and so on.
    pub method: String,
    /// The request target: path and query, as sent.
    pub path: String,
    /// Names, in lower case, and values, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// Decoded from its transfer coding.
    pub body: Bytes,
    /// The number of its connection on this server, counted from 1.
    pub connection: u64,
}

impl Request {
    /// The first header of this name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn head_only(&self) -> bool {
        self.method == "HEAD"
    }
}

pub(crate) async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, state.clone()));
            }
            // Probably out of file descriptors: some are freed when clients disconnect.
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

struct Open<'a>(&'a State);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

async fn connection(mut stream: TcpStream, state: Arc<State>) {
    let number = state.accepted.fetch_add(1, Relaxed) + 1;
    state.open.fetch_add(1, Relaxed);
    let _open = Open(&state);
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer, number).await {
        let wants_close = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let script = Box::new(protocol::respond(&state, &request));
        if state.record {
            state.remember(request);
        }
        match play(&mut stream, *script).await {
            Ok(true) if !wants_close => {}
            Ok(_) => break,
            Err(_) => {
                state.aborted.fetch_add(1, Relaxed);
                break;
            }
        }
    }
}

/// The next request, or `None` if the client disconnects between two.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    connection: u64,
) -> io::Result<Option<Request>> {
    let (mut request, framing) = loop {
        if let Some((length, request, framing)) = parse(buffer, connection)? {
            buffer.advance(length);
            break (request, framing);
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if fill(stream, buffer).await? == 0 {
            return Ok(None);
        }
    };
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = match framing {
        Framing::Length(length) if length > MAX_BODY => {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Framing::Length(length) => take(stream, buffer, length).await?,
        Framing::Chunked => {
            let mut body = BytesMut::new();
            loop {
                let line = read_line(stream, buffer).await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size =
                    usize::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
                if size == 0 {
                    while !read_line(stream, buffer).await?.is_empty() {}
                    break;
                }
                if size > MAX_BODY - body.len() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                body.extend_from_slice(&take(stream, buffer, size).await?);
                read_line(stream, buffer).await?;
            }
            body.freeze()
        }
    };
    Ok(Some(request))
}

enum Framing {
    Length(usize),
    Chunked,
}

fn parse(buffer: &[u8], connection: u64) -> io::Result<Option<(usize, Request, Framing)>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(buffer).map_err(|_| invalid())? else {
        return Ok(None);
    };
    let mut framing = Framing::Length(0);
    let mut pairs = Vec::with_capacity(head.headers.len() + 1);
    for header in head.headers {
        let name = header.name.to_ascii_lowercase();
        let value = String::from_utf8(header.value.to_vec()).map_err(|_| invalid())?;
        match name.as_str() {
            "content-length" => framing = Framing::Length(value.parse().map_err(|_| invalid())?),
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                framing = Framing::Chunked
            }
            _ => {}
        }
        pairs.push((name, value));
    }
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: pairs,
        body: Bytes::new(),
        connection,
    };
    Ok(Some((length, request, framing)))
}

/// Waits for bytes before it allocates a buffer: ten thousand idle connections then need no buffers.
async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    stream.readable().await?;
    buffer.reserve(2048);
    stream.read_buf(buffer).await
}

async fn take(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    while buffer.len() < length {
        if fill(stream, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let taken = buffer.split_to(length).freeze();
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    }
    Ok(taken)
}

async fn read_line(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let line = buffer.split_to(end + 2);
            let line = std::str::from_utf8(&line[..end]).map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok(line.to_owned());
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if fill(stream, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Sends a response; returns whether the connection may serve another.
async fn play(stream: &mut TcpStream, script: Script) -> io::Result<bool> {
    if !script.delay.is_zero() && left_within(stream, script.delay).await {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    if let Some((size, every)) = script.pieces {
        stream.write_all(&script.head).await?;
        for piece in script.body.chunks(size) {
            stream.write_all(piece).await?;
            if every.is_zero() {
                tokio::task::yield_now().await;
            } else if left_within(stream, every).await {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    } else if script.each.is_zero() {
        stream
            .write_all_buf(&mut script.head.chain(script.body))
            .await?;
    } else {
        paced(stream, script.head, &script.body, &script.ends, script.each).await?;
    }
    match script.finish {
        Finish::KeepAlive => Ok(true),
        Finish::Close => {
            stream.shutdown().await?;
            Ok(false)
        }
        Finish::Reset => {
            // Data in flight is lost when the reset arrives: give it a moment.
            sleep(Duration::from_millis(5)).await;
            stream.set_zero_linger()?;
            Ok(false)
        }
        Finish::Stall => {
            left(stream).await;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Finish::Repeat {
            bytes,
            every,
            times,
        } => {
            for _ in 0..times {
                stream.write_all(&bytes).await?;
                if !every.is_zero() && left_within(stream, every).await {
                    break;
                }
            }
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

/// Sends one event after another. A server that is late sends all due events together, so that a thousand paced
/// streams cost at most a thousand writes per tick, and the response's duration is kept.
async fn paced(
    stream: &mut TcpStream,
    head: Bytes,
    body: &Bytes,
    ends: &[usize],
    each: Duration,
) -> io::Result<()> {
    let start = Instant::now();
    let mut head = Some(head);
    let (mut next, mut from) = (0, 0);
    while next < ends.len() {
        let due = usize::try_from(start.elapsed().as_nanos() / each.as_nanos().max(1))
            .unwrap_or(usize::MAX);
        next = due.saturating_add(1).clamp(next + 1, ends.len());
        let to = ends[next - 1];
        let mut bytes = head.take().unwrap_or_default().chain(body.slice(from..to));
        stream.write_all_buf(&mut bytes).await?;
        from = to;
        if next < ends.len() {
            sleep_until(start + each * u32::try_from(next).unwrap_or(u32::MAX)).await;
        }
    }
    if let Some(mut head) = head {
        stream.write_all_buf(&mut head).await?;
    }
    Ok(())
}

/// Whether the client disconnects within this time.
async fn left_within(stream: &mut TcpStream, time: Duration) -> bool {
    tokio::time::timeout(time, left(stream)).await.is_ok()
}

/// Waits until the client has closed or reset the connection. Data that it sends is not read.
async fn left(stream: &mut TcpStream) {
    loop {
        let mut byte = [0; 1];
        let mut peeked = ReadBuf::new(&mut byte);
        match poll_fn(|cx| stream.poll_peek(cx, &mut peeked)).await {
            Ok(0) | Err(_) => return,
            // A pipelined request: peeking again would be a busy loop.
            Ok(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}
