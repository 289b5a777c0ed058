//! A blocking transport over `std::net` and `codec::http1`: one connection per request, no TLS.

use bytes::Bytes;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex},
    task::Poll,
    thread,
    time::{Duration, Instant, SystemTime},
};
use unifiedai::{
    codec::http1::{Http1Error, ResponseDecoder, ResponsePart, encode_head},
    transport::{
        AttemptDeadlines, BodyError, CancelHandle, Interrupt, Phase, RequestBody, RequestDelivery,
        ResponseBody, Time, Transport, TransportError, TransportErrorKind, UploadProgress,
    },
};

#[derive(Clone)]
pub(crate) struct PlainTransport {
    pub(crate) start: Instant,
}

/// The body of a response.
pub(crate) struct PlainBody(Connection);

struct Connection {
    peer: String,
    socket: Arc<Socket>,
    cancel: Option<CancelHandle>,
    decoder: ResponseDecoder,
    /// Received and not yet decoded.
    unread: Vec<u8>,
    start: Instant,
    phase: Phase,
    upload: Upload,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.upload.with(|state| state.is_abandoned = true);
        let _ = self.socket.0.shutdown(Shutdown::Both);
    }
}

struct Socket(TcpStream);

impl Interrupt for Socket {
    fn interrupt(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

enum Part {
    Headers(http::response::Parts),
    Body(Bytes),
    End,
}

/// How often the progress of a streamed request body is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Transport for PlainTransport {
    type Body = PlainBody;

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.start.elapsed())
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        deadlines: AttemptDeadlines,
    ) -> Result<http::Response<PlainBody>, TransportError> {
        let headers_by = deadlines.headers.min(deadlines.total);
        let connect_by = deadlines.connect.min(headers_by);
        let (socket, peer) = self.connect(request.uri(), connect_by)?;
        let socket = Arc::new(Socket(socket));
        let cancel = request.extensions().get::<CancelHandle>().cloned();
        if let Some(cancel) = &cancel {
            let running: Arc<dyn Interrupt> = Arc::clone(&socket) as _;
            cancel.interrupts(Arc::downgrade(&running));
        }
        let upload = Upload::default();
        write(&socket.0, &request, &upload, self.start)?;
        let mut connection = Connection {
            peer,
            socket,
            cancel,
            decoder: ResponseDecoder::new(request.method()),
            unread: Vec::new(),
            start: self.start,
            phase: Phase::Headers,
            upload,
        };
        loop {
            if let Part::Headers(head) = connection.read_head(headers_by, deadlines)? {
                connection.phase = Phase::Body;
                return Ok(http::Response::from_parts(head, PlainBody(connection)));
            }
        }
    }

    fn sleep_until(&self, at: Time) {
        thread::sleep(at.saturating_since(self.now()));
    }
}

impl PlainTransport {
    fn connect(&self, uri: &http::Uri, by: Time) -> Result<(TcpStream, String), TransportError> {
        let failed = |kind, message| TransportError::new(kind, RequestDelivery::NotSent, message);
        let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            let message = "this transport sends only to http:// URLs with a host";
            return Err(failed(TransportErrorKind::Request, message.to_owned()));
        };
        let port = uri.port_u16().unwrap_or(80);
        let peer = format!("{host}:{port}");
        let resolved = (host, port).to_socket_addrs().map_err(|e| {
            let message = format!("{peer} could not be resolved");
            failed(TransportErrorKind::Dns, message).with_source(e)
        })?;
        let mut last = None;
        for address in resolved {
            let left = by
                .saturating_since(self.now())
                .max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(socket) => return Ok((socket, peer)),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
        let kind = match error.kind() {
            ErrorKind::TimedOut => TransportErrorKind::Timeout(Phase::Connect),
            _ => TransportErrorKind::Connect,
        };
        Err(failed(kind, format!("no connection to {peer}")).with_source(error))
    }
}

/// The body of a request that another thread writes.
#[derive(Clone, Default)]
struct Upload(Arc<Mutex<UploadState>>);

#[derive(Default)]
struct UploadState {
    progress: Option<UploadProgress>,
    error: Option<BodyError>,
    is_abandoned: bool,
}

impl Upload {
    fn with<T>(&self, f: impl FnOnce(&mut UploadState) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
}

/// Written by a thread of its own, because a server may respond before it has read the whole request.
fn write(
    socket: &TcpStream,
    request: &http::Request<RequestBody>,
    upload: &Upload,
    start: Instant,
) -> Result<(), TransportError> {
    let failed =
        |kind, message: String| Err(TransportError::new(kind, RequestDelivery::NotSent, message));
    let mut bytes = match encode_head(request) {
        Ok(bytes) => bytes,
        Err(error) => return failed(TransportErrorKind::Request, error.to_string()),
    };
    capitalize_names(&mut bytes);
    let (body, upload) = (request.body().clone(), upload.clone());
    match socket.try_clone() {
        Ok(mut socket) => {
            thread::spawn(move || {
                if socket.write_all(&bytes).is_ok() {
                    write_body(socket, &body, &upload, start);
                }
            });
            Ok(())
        }
        Err(error) => failed(TransportErrorKind::Other, error.to_string()),
    }
}

fn write_body(socket: TcpStream, body: &RequestBody, upload: &Upload, start: Instant) {
    let failed = |error| {
        upload.with(|state| state.error = Some(error));
        let _ = socket.shutdown(Shutdown::Both);
    };
    let mut pieces = match body.open() {
        Ok(pieces) => pieces,
        Err(error) => return failed(error),
    };
    while !upload.with(|state| state.is_abandoned) {
        match pieces.poll_blocking(Duration::from_millis(50)) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => return failed(error),
            Poll::Ready(Ok(None)) => return,
            Poll::Ready(Ok(Some(piece))) => {
                if body.is_streamed() {
                    let now = Time::ZERO.saturating_add(start.elapsed());
                    let progress = match pieces.remaining() {
                        0 => UploadProgress::Sent(now),
                        _ => UploadProgress::Sending(now),
                    };
                    upload.with(|state| state.progress = Some(progress));
                }
                if (&socket).write_all(&piece).is_err() {
                    return;
                }
            }
        }
    }
}

/// `content-length` becomes `Content-length`, as many clients write it.
fn capitalize_names(request: &mut [u8]) {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n");
    for at in 0..end.unwrap() {
        if request[at] == b'\n' {
            request[at + 1].make_ascii_uppercase();
        }
    }
}

impl ResponseBody for PlainBody {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        if self.0.decoder.is_complete() {
            return Ok(None);
        }
        match self.0.read(deadline)? {
            Part::Body(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

impl Connection {
    /// The head of the response. A streamed request body moves the deadline, to an earlier time too.
    fn read_head(&mut self, by: Time, limits: AttemptDeadlines) -> Result<Part, TransportError> {
        loop {
            let look_again = Time::ZERO.saturating_add(self.start.elapsed() + LOOK_AGAIN);
            let read = self.read(by.min(look_again));
            let (progress, error) = self
                .upload
                .with(|state| (state.progress, state.error.clone()));
            match read {
                Err(error) if matches!(error.kind(), TransportErrorKind::Timeout(_)) => {
                    let due = progress.map_or(by, |progress| limits.headers_by(progress));
                    if Time::ZERO.saturating_add(self.start.elapsed()) >= due {
                        let is_sending = matches!(progress, Some(UploadProgress::Sending(_)));
                        return Err(if is_sending {
                            let kind = TransportErrorKind::Timeout(Phase::RequestBody);
                            self.error(kind, "no more of the body was sent in time")
                        } else {
                            error
                        });
                    }
                }
                Err(other) => {
                    let body =
                        error.map(|e| e.into_transport_error(RequestDelivery::MaybeProcessed));
                    return Err(body.unwrap_or(other));
                }
                read => return read,
            }
        }
    }

    /// The next part of the response. After the deadline it reads once more, for data that has arrived already.
    fn read(&mut self, deadline: Time) -> Result<Part, TransportError> {
        let mut is_last = false;
        loop {
            if let Some(part) = self.decode()? {
                return Ok(part);
            }
            if is_last {
                return Err(self.error(TransportErrorKind::Timeout(self.phase), "no data in time"));
            }
            let now = Time::ZERO.saturating_add(self.start.elapsed());
            is_last = now >= deadline;
            let left = deadline.saturating_since(now).max(Duration::from_millis(1));
            let mut space = [0; 16 * 1024];
            let mut socket = &self.socket.0;
            let read = socket
                .set_read_timeout(Some(left))
                .and_then(|()| socket.read(&mut space));
            match read {
                Ok(0) => return self.end(),
                Ok(count) => self.unread.extend_from_slice(&space[..count]),
                Err(error) if is_wait(&error) => {}
                Err(error) => {
                    return Err(self
                        .error(self.broken(), "the connection broke")
                        .with_source(error));
                }
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Part>, TransportError> {
        let mut rest = &self.unread[..];
        let part = match self.decoder.next(&mut rest) {
            Ok(part) => part.map(owned),
            Err(error) => return Err(self.invalid(error)),
        };
        let used = self.unread.len() - rest.len();
        self.unread.drain(..used);
        Ok(part)
    }

    fn end(&mut self) -> Result<Part, TransportError> {
        match self.decoder.finish() {
            Ok(_) => Ok(Part::End),
            Err(error) => Err(self.invalid(error)),
        }
    }

    fn invalid(&self, error: Http1Error) -> TransportError {
        let kind = match error {
            Http1Error::Truncated { .. } => self.broken(),
            Http1Error::HeadersTooLarge { .. } => TransportErrorKind::HeadersTooLarge,
            _ => TransportErrorKind::Protocol,
        };
        self.error(kind, &error.to_string())
    }

    fn broken(&self) -> TransportErrorKind {
        match self.phase {
            Phase::Body => TransportErrorKind::Truncated,
            _ => TransportErrorKind::Reset,
        }
    }

    fn error(&self, kind: TransportErrorKind, problem: &str) -> TransportError {
        let delivery = match self.phase {
            Phase::Body => RequestDelivery::Answered,
            _ => RequestDelivery::MaybeProcessed,
        };
        let is_cancelled = self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled);
        let kind = if is_cancelled {
            TransportErrorKind::Cancelled
        } else {
            kind
        };
        TransportError::new(kind, delivery, format!("{}: {problem}", self.peer))
    }
}

fn owned(part: ResponsePart<'_>) -> Part {
    match part {
        ResponsePart::Headers(head) => Part::Headers(head),
        ResponsePart::Body(bytes) => Part::Body(Bytes::copy_from_slice(bytes)),
        _ => Part::End,
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
