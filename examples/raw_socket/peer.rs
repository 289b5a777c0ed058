use bytes::Bytes;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    task::Poll,
    time::Duration,
};
use unifiedai::{
    codec::http1::{Http1Error, ResponseDecoder, ResponsePart, encode_head},
    sans_io::Input,
    transport::{BodyError, RequestBody, RequestDelivery, TransportError, TransportErrorKind},
};

/// A connection that carries one request and its response.
pub(crate) struct Peer {
    stream: TcpStream,
    decoder: ResponseDecoder,
    unread: Vec<u8>,
    delivery: RequestDelivery,
}

impl Peer {
    /// Connects and writes the request, within `patience`.
    pub(crate) fn send(
        request: &http::Request<RequestBody>,
        patience: Duration,
    ) -> Result<Self, TransportError> {
        let cannot = |what: &str| {
            TransportError::new(TransportErrorKind::Request, RequestDelivery::NotSent, what)
        };
        let authority = request.uri().authority().ok_or_else(|| cannot("no host"))?;
        if request.uri().scheme_str() != Some("http") {
            return Err(cannot("this program brings no TLS"));
        }
        let head = encode_head(request).map_err(|error| cannot(&error.to_string()))?;
        let address = (authority.host(), authority.port_u16().unwrap_or(80));
        let mut stream = TcpStream::connect(address).map_err(|error| {
            TransportError::new(
                TransportErrorKind::Connect,
                RequestDelivery::NotSent,
                format!("{}:{}: {error}", address.0, address.1),
            )
        })?;
        let written = stream
            .set_write_timeout(Some(patience))
            .and_then(|()| stream.write_all(&head));
        written.map_err(|error| broken(RequestDelivery::MaybeProcessed, &error))?;
        write_body(&mut stream, request.body())?;
        let decoder = ResponseDecoder::new(request.method());
        Ok(Peer {
            stream,
            decoder,
            unread: Vec::new(),
            delivery: RequestDelivery::MaybeProcessed,
        })
    }

    /// The socket, to say how reading from it is to wait.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The next part of the response; `None` if the socket has none to give for now.
    pub(crate) fn next(&mut self) -> Option<Input> {
        loop {
            let mut rest = &self.unread[..];
            let part = match self.decoder.next(&mut rest) {
                Ok(Some(ResponsePart::Headers(head))) => Some(Input::Headers(head)),
                Ok(Some(ResponsePart::Body(piece))) => {
                    Some(Input::Body(Bytes::copy_from_slice(piece)))
                }
                Ok(Some(_)) => Some(Input::BodyEnd),
                Ok(None) => None,
                Err(error) => return Some(self.failed(&error)),
            };
            let used = self.unread.len().saturating_sub(rest.len());
            self.unread.drain(..used);
            if let Some(part) = part {
                self.delivery = RequestDelivery::Answered;
                return Some(part);
            }
            let mut space = [0; 8192];
            match self.stream.read(&mut space) {
                Ok(0) => match self.decoder.finish() {
                    Ok(_) => return Some(Input::BodyEnd),
                    Err(error) => return Some(self.failed(&error)),
                },
                Ok(n) => self
                    .unread
                    .extend_from_slice(space.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return None;
                }
                Err(error) => return Some(Input::TransportError(broken(self.delivery, &error))),
            }
        }
    }

    fn failed(&self, error: &Http1Error) -> Input {
        let kind = match error {
            Http1Error::Truncated { .. } if self.delivery == RequestDelivery::Answered => {
                TransportErrorKind::Truncated
            }
            Http1Error::Truncated { .. } => TransportErrorKind::Reset,
            Http1Error::HeadersTooLarge { .. } => TransportErrorKind::HeadersTooLarge,
            _ => TransportErrorKind::Protocol,
        };
        Input::TransportError(TransportError::new(kind, self.delivery, error.to_string()))
    }
}

/// Writes the body piece by piece. A server that answers early may read no more: then its response is there.
fn write_body(stream: &mut TcpStream, body: &RequestBody) -> Result<(), TransportError> {
    let failed = |error: BodyError| error.into_transport_error(RequestDelivery::MaybeProcessed);
    let mut pieces = body.open().map_err(failed)?;
    loop {
        match pieces.poll_blocking(Duration::MAX) {
            Poll::Ready(Ok(Some(piece))) if stream.write_all(&piece).is_err() => return Ok(()),
            Poll::Ready(Ok(None)) => return Ok(()),
            Poll::Ready(Err(error)) => return Err(failed(error)),
            Poll::Ready(Ok(Some(_))) | Poll::Pending => {}
        }
    }
}

fn broken(delivery: RequestDelivery, error: &io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Reset, delivery, error.to_string())
}
