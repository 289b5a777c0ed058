use super::operation::{Operation, Reading};
use crate::{
    Error, ErrorKind, Framing, SizeLimits,
    codec::sse::SseDecoder,
    error::excerpt,
    provider::{Frame, Progress, lenient},
};
use bytes::{Bytes, BytesMut};
use http::{header, response};

/// Reads one response body: what it is, where its frames are, how large it may get.
#[derive(Debug)]
pub(super) struct BodyReader {
    form: Form,
    content_type: Option<String>,
    framing: Framing,
    sizes: SizeLimits,
    received: u64,
}

#[derive(Debug)]
enum Form {
    /// Not known before the first byte that is not white space.
    Unknown(BytesMut),
    Frames(Frames),
    Whole(Collected),
    Error(Collected),
}

#[derive(Debug)]
enum Frames {
    Sse(SseDecoder),
    Ndjson(crate::codec::ndjson::NdjsonDecoder),
    #[cfg(feature = "bedrock")]
    Aws(crate::codec::event_stream::EventStreamDecoder),
}

/// A body that is kept; not copied while it is one chunk.
#[derive(Debug, Default)]
struct Collected {
    first: Option<Bytes>,
    all: BytesMut,
}

impl BodyReader {
    pub(super) fn new(
        head: &response::Parts,
        framing: Framing,
        sizes: &SizeLimits,
    ) -> Result<Self, Error> {
        let encoding = head
            .headers
            .get(header::CONTENT_ENCODING)
            .map(|encoding| encoding.as_bytes());
        let ok = head.status.is_success();
        if ok
            && encoding.is_some_and(|encoding| {
                !encoding.eq_ignore_ascii_case(b"identity") && !encoding.is_empty()
            })
        {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the answer is compressed although `accept-encoding: identity` was sent",
            ));
        }
        let content_type = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or(value)
                    .trim()
                    .to_ascii_lowercase()
            });
        let form = match framing {
            _ if !ok => Form::Error(Collected::default()),
            #[cfg(feature = "bedrock")]
            Framing::AwsEventStream if content_type.as_deref() != Some("application/json") => {
                Form::Frames(Frames::new(framing, sizes))
            }
            _ => Form::Unknown(BytesMut::new()),
        };
        Ok(BodyReader {
            form,
            content_type,
            framing,
            sizes: *sizes,
            received: 0,
        })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.form, Form::Frames(_))
    }

    /// What has come of an error's body; `None` for an answer.
    pub(super) fn take_error_body(&mut self) -> Option<Bytes> {
        match &mut self.form {
            Form::Error(body) => Some(body.take()),
            _ => None,
        }
    }

    pub(super) fn chunk<O: Operation>(
        &mut self,
        chunk: Bytes,
        operation: &mut O,
    ) -> Result<Reading, Error> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        let chunk = match &mut self.form {
            Form::Unknown(held) => {
                held.extend_from_slice(&chunk);
                match self.recognise()? {
                    Some(chunk) => chunk,
                    None => return Ok(Reading::Bytes),
                }
            }
            _ => chunk,
        };
        match &mut self.form {
            Form::Unknown(_) => Ok(Reading::Bytes),
            Form::Frames(frames) => {
                if self.sizes.stream.is_some_and(|limit| self.received > limit) {
                    return Err(too_large("stream", self.sizes.stream.unwrap_or_default()));
                }
                frames.chunk(&chunk, operation)
            }
            Form::Whole(body) => {
                if self.received > self.sizes.body as u64 {
                    return Err(too_large("body", self.sizes.body as u64));
                }
                body.push(chunk);
                Ok(Reading::Bytes)
            }
            Form::Error(body) => {
                let room = self.sizes.error_body.saturating_sub(body.len());
                let full = chunk.len() >= room;
                body.push(chunk.slice(..chunk.len().min(room)));
                Ok(if full {
                    Reading::ErrorBody(body.take())
                } else {
                    Reading::Bytes
                })
            }
        }
    }

    pub(super) fn end<O: Operation>(&mut self, operation: &mut O) -> Result<Reading, Error> {
        match &mut self.form {
            Form::Error(body) => Ok(Reading::ErrorBody(body.take())),
            Form::Unknown(_) => Err(Error::new(
                ErrorKind::Truncated,
                "the answer has no content although its status says success",
            )),
            Form::Whole(body) => {
                let body = body.take();
                match operation.whole(body.clone()) {
                    Ok(()) => Ok(Reading::Complete),
                    Err(error) => Err(self.explain(error, body)),
                }
            }
            Form::Frames(frames) => {
                frames.end(operation)?;
                if operation.is_complete() {
                    return Ok(Reading::Complete);
                }
                Err(Error::new(
                    ErrorKind::Truncated,
                    format!(
                        "the stream ended after {} bytes without saying that it was complete",
                        self.received
                    ),
                ))
            }
        }
    }

    /// Decides by the first byte whether frames or one JSON value come; servers mislabel both (F26, F27).
    fn recognise(&mut self) -> Result<Option<Bytes>, Error> {
        let Form::Unknown(held) = &mut self.form else {
            return Ok(None);
        };
        let start = held.strip_prefix(b"\xef\xbb\xbf").unwrap_or(held);
        let Some(first) = start
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .copied()
        else {
            if held.len() > self.sizes.error_body {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "the answer is nothing but white space",
                ));
            }
            return Ok(None);
        };
        let held = std::mem::take(held).freeze();
        let json = matches!(first, b'{' | b'[');
        let declared_stream = self.content_type.as_deref() == Some("text/event-stream");
        self.form = match self.framing {
            Framing::Ndjson => Form::Frames(Frames::new(Framing::Ndjson, &self.sizes)),
            _ if json => Form::Whole(Collected::default()),
            Framing::Sse | Framing::Whole if declared_stream || looks_like_sse(&held, first) => {
                Form::Frames(Frames::new(Framing::Sse, &self.sizes))
            }
            _ => return Err(self.unexpected(&held)),
        };
        Ok(Some(held))
    }

    fn unexpected(&self, body: &Bytes) -> Error {
        let content_type = self.content_type.as_deref().unwrap_or("no content type");
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the answer is neither JSON nor a stream of events ({content_type}): {}",
                excerpt(body)
            ),
        )
        .with_body(body.slice(..body.len().min(self.sizes.error_body)))
    }

    fn explain(&self, error: Error, body: Bytes) -> Error {
        if error.body().is_empty() {
            let kept = body.slice(..body.len().min(self.sizes.error_body));
            return error.with_body(kept);
        }
        error
    }
}

impl Frames {
    fn new(framing: Framing, sizes: &SizeLimits) -> Self {
        match framing {
            Framing::Ndjson => {
                Frames::Ndjson(crate::codec::ndjson::NdjsonDecoder::new(sizes.event))
            }
            #[cfg(feature = "bedrock")]
            Framing::AwsEventStream => Frames::Aws(
                crate::codec::event_stream::EventStreamDecoder::new(sizes.event),
            ),
            Framing::Sse | Framing::Whole => Frames::Sse(SseDecoder::new(sizes.event)),
        }
    }

    fn chunk<O: Operation>(&mut self, chunk: &[u8], operation: &mut O) -> Result<Reading, Error> {
        let mut rest = chunk;
        let mut reading = Reading::Bytes;
        loop {
            let progress = match self {
                Frames::Sse(decoder) => match decoder.next(&mut rest)? {
                    Some(event) => operation.frame(Frame::event(event.event, event.data))?,
                    None => return Ok(reading),
                },
                Frames::Ndjson(decoder) => match decoder.next(&mut rest)? {
                    Some(line) => operation.frame(Frame::event("", line))?,
                    None => return Ok(reading),
                },
                #[cfg(feature = "bedrock")]
                Frames::Aws(decoder) => match decoder.next(&mut rest)? {
                    Some(message) => aws_frame(&message, operation)?,
                    None => return Ok(reading),
                },
            };
            match progress {
                Progress::Done => return Ok(Reading::Complete),
                Progress::More => reading = Reading::Progress,
                Progress::Ping => {}
            }
        }
    }

    /// The body is over. A last event that lacks its end counts if it is whole (F10).
    fn end<O: Operation>(&mut self, operation: &mut O) -> Result<(), Error> {
        let last = match self {
            Frames::Sse(decoder) => match decoder.finish() {
                Ok(Some(event)) if is_whole(event.data) => {
                    Some(Frame::event(event.event, event.data))
                }
                _ => None,
            },
            Frames::Ndjson(decoder) => match decoder.finish() {
                Ok(Some(line)) if is_whole(line) => Some(Frame::event("", line)),
                _ => None,
            },
            #[cfg(feature = "bedrock")]
            Frames::Aws(_) => None,
        };
        if let Some(frame) = last {
            operation.frame(frame)?;
        }
        Ok(())
    }
}

#[cfg(feature = "bedrock")]
fn aws_frame<O: Operation>(
    message: &crate::codec::event_stream::Message<'_>,
    operation: &mut O,
) -> Result<Progress, Error> {
    let data = std::str::from_utf8(message.payload())
        .map_err(|_| Error::new(ErrorKind::Protocol, "the payload of an event is not UTF-8"))?;
    match message.message_type() {
        Some("event") => {
            operation.frame(Frame::event(message.event_type().unwrap_or_default(), data))
        }
        Some("exception") => operation.frame(Frame::exception(
            message.exception_type().unwrap_or_default(),
            data,
        )),
        Some("error") => operation.frame(Frame::exception(
            message.error_code().unwrap_or_default(),
            message.error_message().unwrap_or(data),
        )),
        _ => Err(Error::new(
            ErrorKind::Protocol,
            "an event without a known `:message-type`",
        )),
    }
}

impl Collected {
    fn len(&self) -> usize {
        self.first.as_ref().map_or(self.all.len(), Bytes::len)
    }

    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = Some(chunk);
            return;
        }
        if let Some(first) = self.first.take() {
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&chunk);
    }

    fn take(&mut self) -> Bytes {
        self.first
            .take()
            .unwrap_or_else(|| std::mem::take(&mut self.all).freeze())
    }
}

fn looks_like_sse(body: &[u8], first: u8) -> bool {
    first == b':'
        || [&b"data"[..], b"event", b"id", b"retry"]
            .iter()
            .any(|field| {
                let start = body.trim_ascii_start();
                let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
                start.iter().zip(field.iter()).all(|(a, b)| a == b)
            })
}

fn is_whole(data: &str) -> bool {
    lenient::is_done(data) || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

fn too_large(what: &str, limit: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the {what} is larger than the limit of {limit} bytes"),
    )
}
