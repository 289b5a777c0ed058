use super::{
    AttemptTarget,
    operation::{BodyOutcome, Operation},
};
use crate::{
    Error, ErrorKind,
    chat::Warning,
    codec::sse::SseDecoder,
    error::{EXCERPT_BYTES, excerpt},
    policy::SizeLimits,
    provider::{Frame, FrameOutcome, Framing, kit::lenient},
};
use bytes::{Buf, Bytes, BytesMut};
use http::{header, response};
use std::fmt;

/// Reads one response body: detects its format, splits it into frames, limits its size.
pub(super) struct BodyReader {
    format: BodyFormat,
    media_type: MediaType,
    framing: Framing,
    sizes: SizeLimits,
    received: u64,
}

/// The body's format according to the headers.
#[derive(Debug, PartialEq, Eq)]
enum MediaType {
    EventStream,
    Json,
    Other(Box<str>),
    Missing,
}

enum BodyFormat {
    /// Undecided until the first byte that is not white space; holds the bytes so far.
    Unknown(Bytes),
    Stream(FrameDecoder),
    SingleBody(BodyBuffer),
    Error(BodyBuffer),
}

enum FrameDecoder {
    Sse(SseDecoder),
    Ndjson(crate::codec::ndjson::NdjsonDecoder),
    #[cfg(feature = "bedrock")]
    Aws(crate::codec::event_stream::EventStreamDecoder),
}

/// A body that is kept. A single chunk is not copied.
#[derive(Default)]
struct BodyBuffer {
    first: Option<Bytes>,
    all: BytesMut,
}

fn is_compressed(encoding: &[u8]) -> bool {
    !encoding.eq_ignore_ascii_case(b"identity") && !encoding.is_empty()
}

impl BodyReader {
    /// `ok` is whether the response is an answer, and no error.
    pub(super) fn new(
        head: &response::Parts,
        ok: bool,
        framing: Framing,
        sizes: &SizeLimits,
    ) -> Result<Self, Error> {
        let encoding = head
            .headers
            .get(header::CONTENT_ENCODING)
            .map(|encoding| encoding.as_bytes());
        if let Some(encoding) = encoding.filter(|encoding| ok && is_compressed(encoding)) {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the response is compressed (`content-encoding: {}`) although `accept-encoding: identity` was sent; \
                     a proxy may do that, and with the feature `gzip` the transports decode gzip",
                    encoding.get(..64).unwrap_or(encoding).escape_ascii()
                ),
            ));
        }
        let media_type = MediaType::of(head);
        let form = match framing {
            _ if !ok => BodyFormat::Error(BodyBuffer::default()),
            Framing::Raw => BodyFormat::SingleBody(BodyBuffer::default()),
            #[cfg(feature = "bedrock")]
            Framing::AwsEventStream if media_type != MediaType::Json => {
                BodyFormat::Stream(FrameDecoder::new(framing, sizes))
            }
            _ => BodyFormat::Unknown(Bytes::new()),
        };
        Ok(BodyReader {
            format: form,
            media_type,
            framing,
            sizes: *sizes,
            received: 0,
        })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.format, BodyFormat::Stream(_))
    }

    /// Whether no byte was received.
    pub(super) fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// The received part of an error response's body; `None` for a success response.
    pub(super) fn take_error_body(&mut self) -> Option<Bytes> {
        match &mut self.format {
            BodyFormat::Error(body) => Some(body.take()),
            _ => None,
        }
    }

    pub(super) fn chunk<O: Operation>(
        &mut self,
        chunk: Bytes,
        operation: &mut O,
        target: &AttemptTarget<O::Request>,
    ) -> Result<BodyOutcome, Error> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        let chunk = match &mut self.format {
            BodyFormat::Unknown(held) => {
                let held = if held.is_empty() {
                    chunk
                } else {
                    [&held[..], &chunk].concat().into()
                };
                let held = skip_preamble(held);
                match self.detect_format(&held, false)? {
                    Some(form) => {
                        self.format = form;
                        held
                    }
                    None => {
                        self.format = BodyFormat::Unknown(held);
                        return Ok(BodyOutcome::Bytes);
                    }
                }
            }
            _ => chunk,
        };
        self.feed(chunk, operation, target)
    }

    fn feed<O: Operation>(
        &mut self,
        chunk: Bytes,
        operation: &mut O,
        target: &AttemptTarget<O::Request>,
    ) -> Result<BodyOutcome, Error> {
        match &mut self.format {
            BodyFormat::Unknown(_) => Ok(BodyOutcome::Bytes),
            BodyFormat::Stream(frames) => {
                if self.sizes.stream.is_some_and(|limit| self.received > limit) {
                    return Err(too_large("stream", self.sizes.stream.unwrap_or_default()));
                }
                frames.chunk(&chunk, operation, target)
            }
            BodyFormat::SingleBody(body) => {
                if self.received > self.sizes.body as u64 {
                    return Err(too_large("body", self.sizes.body as u64));
                }
                body.push(chunk);
                Ok(BodyOutcome::Bytes)
            }
            BodyFormat::Error(body) => {
                let room = self.sizes.error_body.saturating_sub(body.len());
                let full = chunk.len() >= room;
                body.push(chunk.slice(..chunk.len().min(room)));
                Ok(if full {
                    BodyOutcome::ErrorBody(body.take())
                } else {
                    BodyOutcome::Bytes
                })
            }
        }
    }

    pub(super) fn end<O: Operation>(
        &mut self,
        operation: &mut O,
        target: &AttemptTarget<O::Request>,
    ) -> Result<BodyOutcome, Error> {
        if let BodyFormat::Unknown(held) = &self.format {
            // A body so short that its format is still undecided.
            if let Some(form) = self.detect_format(held, true)? {
                let held = held.clone();
                self.format = form;
                if let complete @ BodyOutcome::Complete { .. } =
                    self.feed(held, operation, target)?
                {
                    return Ok(complete);
                }
            }
        }
        match &mut self.format {
            BodyFormat::Error(body) => Ok(BodyOutcome::ErrorBody(body.take())),
            // A file without lines.
            BodyFormat::Unknown(_)
                if self.framing == Framing::Ndjson && operation.is_complete_at_end(false) =>
            {
                Ok(BodyOutcome::Complete { warning: None })
            }
            BodyFormat::Unknown(_) => Err(Error::new(
                ErrorKind::Truncated,
                "the response body is empty although the status is a success",
            )),
            BodyFormat::SingleBody(body) => {
                let body = body.take();
                match operation.decode_body(&body, target) {
                    Ok(()) => {
                        operation.keep_body(body);
                        Ok(BodyOutcome::Complete { warning: None })
                    }
                    Err(error) => Err(self.explain(error, body)),
                }
            }
            BodyFormat::Stream(frames) => {
                let cut = frames.end(operation, target)?;
                if operation.is_complete_at_end(cut) {
                    let warning = cut.then(|| {
                        Warning::new(
                            "cut_event",
                            "the stream was complete, but ended inside an event; the content of that event is missing",
                        )
                    });
                    return Ok(BodyOutcome::Complete { warning });
                }
                if let Some(error) = operation.take_error() {
                    return Err(error);
                }
                Err(Error::new(
                    ErrorKind::Truncated,
                    format!(
                        "the stream ended after {} bytes without its end signal",
                        self.received
                    ),
                ))
            }
        }
    }

    /// Decides from the first bytes whether the body is a stream of frames or one JSON value: servers mislabel both.
    /// `None` while both are possible.
    fn detect_format(&self, held: &Bytes, all: bool) -> Result<Option<BodyFormat>, Error> {
        let Some(first) = held.first() else {
            return Ok(None);
        };
        if !all && BOM.starts_with(held) {
            return Ok(None);
        }
        let frames = |framing| {
            Ok(Some(BodyFormat::Stream(FrameDecoder::new(
                framing,
                &self.sizes,
            ))))
        };
        let declared = self.media_type == MediaType::EventStream;
        match self.framing {
            Framing::Ndjson => frames(Framing::Ndjson),
            _ if matches!(first, b'{' | b'[') => {
                Ok(Some(BodyFormat::SingleBody(BodyBuffer::default())))
            }
            Framing::Sse | Framing::SingleBody if declared || is_sse(held) => frames(Framing::Sse),
            // A stream cut inside its first field name.
            Framing::Sse if all && begins_sse(held) => frames(Framing::Sse),
            // Not enough to recognise a format or to show an excerpt.
            _ if !all && held.len() < EXCERPT_BYTES => Ok(None),
            _ => Err(self.unexpected(held)),
        }
    }

    fn unexpected(&self, body: &Bytes) -> Error {
        let content_type = self.media_type.as_str();
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the response body is neither JSON nor an event stream ({content_type}): {}",
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

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows nothing of the body: an exchange may be logged, and an error body may contain the key.
        f.debug_struct("BodyReader")
            .field("framing", &self.framing)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl MediaType {
    fn of(head: &response::Parts) -> Self {
        let value = head.headers.get(header::CONTENT_TYPE);
        if value.is_some_and(|value| value == MediaType::Json.as_str()) {
            return MediaType::Json;
        }
        let Some(value) = value.and_then(|value| value.to_str().ok()) else {
            return MediaType::Missing;
        };
        let name = value.split_once(';').map_or(value, |(name, _)| name).trim();
        for known in [MediaType::Json, MediaType::EventStream] {
            if name.eq_ignore_ascii_case(known.as_str()) {
                return known;
            }
        }
        MediaType::Other(name.to_ascii_lowercase().into())
    }

    fn as_str(&self) -> &str {
        match self {
            MediaType::EventStream => "text/event-stream",
            MediaType::Json => "application/json",
            MediaType::Other(name) => name,
            MediaType::Missing => "no content type",
        }
    }
}

impl FrameDecoder {
    fn new(framing: Framing, sizes: &SizeLimits) -> Self {
        match framing {
            Framing::Ndjson => {
                FrameDecoder::Ndjson(crate::codec::ndjson::NdjsonDecoder::new(sizes.event))
            }
            #[cfg(feature = "bedrock")]
            Framing::AwsEventStream => FrameDecoder::Aws(
                crate::codec::event_stream::EventStreamDecoder::new(sizes.event),
            ),
            Framing::Sse | Framing::SingleBody | Framing::Raw => {
                FrameDecoder::Sse(SseDecoder::new(sizes.event))
            }
        }
    }

    fn chunk<O: Operation>(
        &mut self,
        chunk: &[u8],
        operation: &mut O,
        target: &AttemptTarget<O::Request>,
    ) -> Result<BodyOutcome, Error> {
        let mut rest = chunk;
        let mut reading = BodyOutcome::Bytes;
        loop {
            let progress = match self {
                FrameDecoder::Sse(decoder) => match decoder.next(&mut rest)? {
                    Some(event) => {
                        operation.decode_frame(Frame::event(event.event, event.data), target)?
                    }
                    None => return Ok(reading),
                },
                FrameDecoder::Ndjson(decoder) => match decoder.next(&mut rest)? {
                    Some(line) => operation.decode_frame(Frame::event("", line), target)?,
                    None => return Ok(reading),
                },
                #[cfg(feature = "bedrock")]
                FrameDecoder::Aws(decoder) => match decoder.next(&mut rest)? {
                    Some(message) => aws_frame(&message, operation, target)?,
                    None => return Ok(reading),
                },
            };
            match progress {
                FrameOutcome::Complete if operation.is_complete() => {
                    return Ok(BodyOutcome::Complete { warning: None });
                }
                FrameOutcome::Complete => {
                    return Err(Error::new(
                        ErrorKind::Truncated,
                        "the stream sent its end marker before any content",
                    ));
                }
                FrameOutcome::Continue => reading = BodyOutcome::Progress,
                FrameOutcome::KeepAlive => {}
            }
        }
    }

    /// The body ended. A last event without its terminator counts if its JSON is complete. Returns whether it
    /// was cut.
    fn end<O: Operation>(
        &mut self,
        operation: &mut O,
        target: &AttemptTarget<O::Request>,
    ) -> Result<bool, Error> {
        let last = match self {
            FrameDecoder::Sse(decoder) => match decoder.finish() {
                Ok(None) => return Ok(false),
                Ok(Some(event)) => Some(Frame::event(event.event, event.data)),
                Err(_) => None,
            },
            FrameDecoder::Ndjson(decoder) => {
                // A line that ends inside of a character is none, but its beginning was there.
                let is_cut = decoder.is_inside_line();
                match decoder.finish() {
                    Ok(None) => return Ok(is_cut),
                    Ok(Some(line)) => Some(Frame::event("", line)),
                    Err(_) => None,
                }
            }
            #[cfg(feature = "bedrock")]
            FrameDecoder::Aws(decoder) => return Ok(decoder.finish().is_err()),
        };
        match last.filter(|frame| is_complete_json(frame.data)) {
            Some(frame) => operation.decode_frame(frame, target).map(|_| false),
            None => Ok(true),
        }
    }
}

#[cfg(feature = "bedrock")]
fn aws_frame<O: Operation>(
    message: &crate::codec::event_stream::Message<'_>,
    operation: &mut O,
    target: &AttemptTarget<O::Request>,
) -> Result<FrameOutcome, Error> {
    let data = std::str::from_utf8(message.payload())
        .map_err(|_| Error::new(ErrorKind::Protocol, "the payload of an event is not UTF-8"))?;
    match message.message_type() {
        Some("event") => operation.decode_frame(
            Frame::event(message.event_type().unwrap_or_default(), data),
            target,
        ),
        Some("exception") => operation.decode_frame(
            Frame::exception(message.exception_type().unwrap_or_default(), data),
            target,
        ),
        Some("error") => operation.decode_frame(
            Frame::exception(
                message.error_code().unwrap_or_default(),
                message.error_message().unwrap_or(data),
            ),
            target,
        ),
        _ => Err(Error::new(
            ErrorKind::Protocol,
            "an event has a missing or unknown `:message-type` header",
        )),
    }
}

impl BodyBuffer {
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

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of an SSE stream.
const SSE_FIELDS: [&[u8]; 5] = [b":", b"data", b"event", b"id", b"retry"];

fn begins_sse(held: &[u8]) -> bool {
    SSE_FIELDS.iter().any(|field| field.starts_with(held))
}

fn is_sse(text: &[u8]) -> bool {
    SSE_FIELDS.iter().any(|field| text.starts_with(field))
}

/// Skips byte order marks and white space before the body, in any order, so that chunk boundaries make no difference.
/// Some servers send lines of white space while they generate.
fn skip_preamble(mut body: Bytes) -> Bytes {
    let mut text = body.trim_ascii_start();
    while let Some(rest) = text.strip_prefix(BOM) {
        text = rest.trim_ascii_start();
    }
    let prelude = body.len().saturating_sub(text.len());
    body.advance(prelude);
    body
}

fn is_complete_json(data: &str) -> bool {
    lenient::is_done(data) || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

fn too_large(what: &str, limit: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the {what} is larger than the limit of {limit} bytes"),
    )
}
