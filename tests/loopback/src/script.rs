//! Converts a reply and its faults to bytes and times.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::fault::{Body, Faults, Framing, Head, Stop, split_mix};
use crate::protocol::{Content, Events, EventsMut, Protocol, Reply};
use crate::{Pace, Request};

/// Everything that one response does to its connection.
pub(crate) struct Script {
    pub(crate) delay: Duration,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    /// The ends of the parts of `body` that are due one after another.
    pub(crate) ends: Arc<[usize]>,
    pub(crate) each: Duration,
    /// Write in chunks of this size, at this interval.
    pub(crate) pieces: Option<(usize, Duration)>,
    pub(crate) finish: Finish,
}

pub(crate) enum Finish {
    KeepAlive,
    Close,
    Reset,
    Stall,
    Repeat {
        bytes: Bytes,
        every: Duration,
        times: usize,
    },
}

/// The size of an endless response: a client without a limit must not exhaust the machine's memory.
const ENDLESS: usize = 64 << 20;

/// The interval of comments if no other data is sent.
const PING: Duration = Duration::from_millis(20);

impl Script {
    pub(crate) fn new(mut reply: Reply, faults: &Faults, pace: &Pace, request: &Request) -> Self {
        replace(&mut reply, faults, request);
        let whole = matches!(reply.content, Content::Whole(_));
        let mut script = Self {
            delay: faults.delay
                + pace.first
                + if whole {
                    pace.each * reply.tokens
                } else {
                    Duration::ZERO
                },
            head: Bytes::new(),
            body: Bytes::new(),
            ends: Arc::default(),
            each: if whole { Duration::ZERO } else { pace.each },
            pieces: faults.pieces,
            finish: Finish::KeepAlive,
        };
        let mut head = Vec::with_capacity(768);
        if faults.interim {
            head.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
        }
        match std::mem::replace(&mut reply.content, Content::Whole(Bytes::new())) {
            Content::Whole(body) => {
                script.whole(body, faults, &reply, &mut head, request.head_only())
            }
            Content::Stream(events) => script.stream(events, faults, pace, &reply, &mut head),
        }
        match faults.head {
            Some(Head::Stall) => {
                (head, script.body, script.finish) = (Vec::new(), Bytes::new(), Finish::Stall)
            }
            Some(Head::None) => {
                (head, script.body, script.finish) = (Vec::new(), Bytes::new(), Finish::Close)
            }
            Some(Head::Half) => {
                head.truncate(head.len() / 2);
                (script.body, script.finish) = (Bytes::new(), Finish::Close);
            }
            Some(Head::Bad) => {
                head = b"HTTX/9 what\r\nno colon here\r\n\r\n".to_vec();
                (script.body, script.finish) = (Bytes::new(), Finish::Close);
            }
            None => {}
        }
        if script.body.is_empty() {
            script.ends = Arc::default();
        }
        script.head = head.into();
        script
    }

    fn whole(
        &mut self,
        body: Bytes,
        faults: &Faults,
        reply: &Reply,
        head: &mut Vec<u8>,
        head_only: bool,
    ) {
        let announced = match faults.framing {
            Some(Framing::Close) => None,
            Some(Framing::TooLong) => Some(body.len() + 64),
            Some(Framing::TooShort) => Some(body.len().saturating_sub(5)),
            None => Some(body.len()),
        };
        let stop = faults.stop.filter(|(_, stop)| !matches!(stop, Stop::Error));
        let sent = match (stop, faults.cut_at) {
            // A single-body response has no events: zero is before it, any other number in its middle.
            (Some((0, _)), _) => 0,
            (Some((n, _)), _) if n < usize::MAX => body.len() / 2,
            (_, Some(cut)) => cut.min(body.len()),
            _ => body.len(),
        };
        let announced = match stop {
            Some((_, Stop::Clean)) => announced.map(|_| sent),
            Some((_, Stop::EndlessLine | Stop::EndlessEvents | Stop::Pings)) => Some(ENDLESS),
            _ => announced,
        };
        let closes = announced != Some(sent) || faults.framing.is_some();
        self.finish = match stop {
            Some((_, Stop::Reset)) => Finish::Reset,
            Some((_, Stop::Stall)) => Finish::Stall,
            Some((_, Stop::EndlessLine | Stop::EndlessEvents)) => {
                repeat(&[b' '; 16 << 10], Duration::ZERO)
            }
            Some((_, Stop::Pings)) => repeat(b" ", PING),
            _ if closes || faults.close_after => Finish::Close,
            _ => Finish::KeepAlive,
        };
        let framing = announced.map_or_else(
            || "connection: close".to_owned(),
            |n| format!("content-length: {n}"),
        );
        write_head(head, reply, faults, &framing);
        if !head_only {
            self.body = body.slice(..sent);
        }
        self.add_extra(faults);
        self.ends = Arc::new([self.body.len()]);
    }

    fn stream(
        &mut self,
        events: Events,
        faults: &Faults,
        pace: &Pace,
        reply: &Reply,
        head: &mut Vec<u8>,
    ) {
        let wire = reply.wire;
        let framing = match faults.framing {
            None => "transfer-encoding: chunked".to_owned(),
            Some(Framing::Close) => "connection: close".to_owned(),
            Some(Framing::TooLong) => format!("content-length: {}", events.bytes.len() + 64),
            Some(Framing::TooShort) => {
                format!("content-length: {}", events.bytes.len().saturating_sub(5))
            }
        };
        write_head(head, reply, faults, &framing);
        let changed = faults.stop.is_some()
            || faults.crlf
            || faults.bom
            || faults.comments
            || faults.corrupt_at.is_some()
            || faults.done.is_some();
        let events = if changed {
            change(&events, faults, wire)
        } else {
            events
        };
        let group = pace.group();
        let clean = matches!(faults.stop, None | Some((_, Stop::Clean | Stop::Error)));
        self.finish = match faults.stop {
            Some((_, Stop::Reset)) => Finish::Reset,
            Some((_, Stop::Stall)) => Finish::Stall,
            Some((_, Stop::Pings)) => repeat(&wire.filler(), PING),
            Some((_, Stop::EndlessLine)) => repeat(&[b'x'; 16 << 10], Duration::ZERO),
            Some((_, Stop::EndlessEvents)) => repeat(&events.last().repeat(64), Duration::ZERO),
            _ if faults.cut_at.is_some() || faults.framing.is_some() || faults.close_after => {
                Finish::Close
            }
            _ => Finish::KeepAlive,
        };
        if let Finish::Repeat { bytes, .. } = &mut self.finish {
            if faults.framing.is_none() {
                *bytes = chunk(bytes);
            }
        }
        let plain =
            clean && faults.cut_at.is_none() && faults.framing.is_none() && faults.pieces.is_none();
        (self.body, self.ends) = match (&events.chunked, plain && !changed) {
            (Some(chunked), true) => chunked.clone(),
            _ if faults.framing.is_some() => plain_body(&events, faults.cut_at),
            _ => {
                let piece = faults.pieces.map(|(bytes, _)| bytes);
                chunked(&events, group, piece, faults.cut_at, clean)
            }
        };
        if faults.trailers && self.body.ends_with(b"0\r\n\r\n") {
            let chunks = &self.body[..self.body.len() - 2];
            self.replace_body([chunks, b"x-trailer: late\r\n\r\n"].concat());
        }
        if clean {
            self.add_extra(faults);
        }
    }

    fn add_extra(&mut self, faults: &Faults) {
        if faults.extra {
            let extra = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"stale\":true}";
            self.replace_body([&self.body[..], extra].concat());
        }
    }

    /// If the new body is longer, the rest is sent with the last part.
    fn replace_body(&mut self, body: Vec<u8>) {
        let mut ends = self.ends.to_vec();
        ends.pop();
        ends.push(body.len());
        self.ends = ends.into();
        self.body = body.into();
    }
}

/// LiteLLM's error for a conversation that is too long: its class is only in the message.
const LITELLM_OVERFLOW: &str = r#"{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: the prompt has 140000 tokens, the model takes 131072","type":null,"param":null,"code":"400"}}"#;

/// Faults that replace the reply.
fn replace(reply: &mut Reply, faults: &Faults, request: &Request) {
    let wire = reply.wire;
    let code = faults.code.as_deref();
    let error = match (faults.body, faults.status) {
        (Some(Body::Overflow), _) => Some(wire.overflow()),
        (Some(Body::EchoAuth), _) => {
            let names = ["authorization", "x-api-key", "x-goog-api-key"];
            let key = names
                .iter()
                .find_map(|name| request.header(name))
                .unwrap_or("none");
            Some(wire.error(401, code, Some(&format!("Wrong credentials: {key}"))))
        }
        (_, Some(status)) if status != 200 => Some(wire.error(status, code, None)),
        _ => None,
    };
    if let Some(error) = error {
        let usual = std::mem::replace(reply, error).headers;
        for (name, value) in usual {
            if reply.headers.iter().all(|(n, _)| *n != name) {
                reply.headers.push((name, value));
            }
        }
    }
    match faults.body {
        None | Some(Body::Overflow | Body::EchoAuth) => {}
        Some(Body::LiteLlmOverflow) => {
            reply.content_type = "application/json";
            reply.content = Content::Whole(Bytes::from_static(LITELLM_OVERFLOW.as_bytes()));
        }
        Some(Body::ErrorAsEvent) => {
            reply.content_type = "text/event-stream";
            if let Content::Whole(body) = &reply.content {
                reply.content = Content::Whole([b"data: ", &**body, b"\n\n"].concat().into());
            }
        }
        Some(Body::Html) => {
            reply.content_type = "text/html; charset=UTF-8";
            reply.headers.clear();
            reply.content = Content::Whole(Bytes::from_static(
                b"<!DOCTYPE html>\n<html><head><title>Gateway trouble</title></head>\n<body><center><h1>The gateway lost its way</h1></center>\n</body></html>\n",
            ));
        }
        Some(Body::Empty) => reply.content = Content::Whole(Bytes::new()),
        Some(Body::Half) => match &mut reply.content {
            Content::Whole(body) => body.truncate(body.len() / 2),
            Content::Stream(events) => *events = events.half(wire),
        },
        Some(Body::Garbage(n)) => {
            let mut state = 1;
            let bytes: Vec<u8> = (0..n)
                .map(|_| (split_mix(&mut state) >> 32) as u8)
                .collect();
            reply.content = Content::Whole(bytes.into());
        }
        Some(Body::Error) => {
            reply.content_type = "application/json";
            reply.content = Content::Whole(wire.error_in_200().into());
        }
    }
}

fn write_head(head: &mut Vec<u8>, reply: &Reply, faults: &Faults, framing: &str) {
    let mut text = String::with_capacity(640);
    let minor = if faults.old { 0 } else { 1 };
    let (status, reason) = (reply.status, reason(reply.status));
    let _ = write!(text, "HTTP/1.{minor} {status} {reason}\r\n");
    let replaced = |name: &str| faults.headers.iter().any(|(n, _)| *n == name);
    if !replaced("content-type") {
        let _ = write!(text, "content-type: {}\r\n", reply.content_type);
    }
    let usual = reply.headers.iter().filter(|(name, _)| !replaced(name));
    for (name, value) in usual.chain(&faults.headers) {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    // A response without a body has no length either.
    if !(reply.status == 204 || reply.status == 304) {
        let _ = write!(text, "{framing}\r\n");
    }
    text.push_str("\r\n");
    head.extend_from_slice(text.as_bytes());
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// Faults inside the events.
fn change(events: &Events, faults: &Faults, wire: &dyn Protocol) -> Events {
    let keep = faults.stop.map_or(usize::MAX, |(n, _)| n);
    let marker = wire.end_marker();
    let mut changed = EventsMut::default();
    if faults.bom && wire.is_text() {
        changed.append(b"\xef\xbb\xbf");
    }
    for (at, event) in events.iter().enumerate().take(keep) {
        if faults.done.is_some() && event == marker {
            continue;
        }
        if faults.comments {
            changed.push(&wire.filler());
        }
        if faults.corrupt_at == Some(at) {
            let mut event = event.to_vec();
            let middle = event.len() / 2;
            event[middle] ^= 0x80;
            changed.push(&event);
        } else {
            changed.push(event);
        }
    }
    match faults.stop {
        Some((_, Stop::Error)) => {
            changed.push(&wire.error_event(faults.code.as_deref(), keep == 0))
        }
        Some((_, Stop::EndlessLine)) => changed.push(&wire.endless()),
        _ if faults.done == Some(true) && keep >= events.len() && !marker.is_empty() => {
            changed.push(marker);
        }
        _ => {}
    }
    if faults.crlf && wire.is_text() {
        changed.freeze_with_crlf()
    } else {
        changed.freeze()
    }
}

fn repeat(bytes: &[u8], every: Duration) -> Finish {
    let times = ENDLESS / bytes.len().max(1);
    Finish::Repeat {
        bytes: Bytes::copy_from_slice(bytes),
        every,
        times,
    }
}

fn chunk(bytes: &[u8]) -> Bytes {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

fn plain_body(events: &Events, cut_at: Option<usize>) -> (Bytes, Arc<[usize]>) {
    let cut = cut_at.unwrap_or(usize::MAX).min(events.bytes.len());
    let mut ends: Vec<usize> = events
        .ends
        .iter()
        .copied()
        .take_while(|end| *end < cut)
        .collect();
    ends.push(cut);
    (Bytes::copy_from_slice(&events.bytes[..cut]), ends.into())
}

/// Frames events as HTTP chunks: a number of events each, or a number of bytes each.
pub(crate) fn chunked(
    events: &Events,
    group: usize,
    piece: Option<usize>,
    cut_at: Option<usize>,
    terminal: bool,
) -> (Bytes, Arc<[usize]>) {
    let mut groups: Vec<&[u8]> = Vec::new();
    if let Some(piece) = piece {
        groups.extend(events.bytes.chunks(piece));
    } else {
        let mut from = 0;
        for ends in events.ends.chunks(group) {
            let to = ends.last().copied().unwrap_or(from);
            groups.push(&events.bytes[from..to]);
            from = to;
        }
    }
    let mut body = Vec::with_capacity(events.bytes.len() + groups.len() * 8 + 8);
    let mut ends = Vec::with_capacity(groups.len() + 1);
    let mut left = cut_at.unwrap_or(usize::MAX);
    let mut cut = false;
    for bytes in groups {
        body.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        cut = bytes.len() > left;
        body.extend_from_slice(&bytes[..bytes.len().min(left)]);
        left -= bytes.len().min(left);
        if !cut {
            body.extend_from_slice(b"\r\n");
        }
        ends.push(body.len());
        if cut {
            break;
        }
    }
    if terminal && !cut && cut_at.is_none() {
        body.extend_from_slice(b"0\r\n\r\n");
        match ends.last_mut() {
            Some(end) => *end = body.len(),
            None => ends.push(body.len()),
        }
    }
    (body.into(), ends.into())
}
