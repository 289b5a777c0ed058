//! One file a wire. A wire renders an answer into a [`Reply`] and knows what its errors look like.

mod cerebras;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use serde_json::Value;

use crate::fault::Faults;
use crate::script::Script;
use crate::{Request, State};

/// The dialect of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wire {
    Cerebras,
}

/// A response before its faults.
pub(crate) struct Reply {
    pub(crate) wire: Wire,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
    /// How many tokens a whole answer took to say.
    pub(crate) tokens: u32,
}

#[derive(Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    Stream(Events),
}

/// The events of a stream, one behind the other.
#[derive(Clone, Default)]
pub(crate) struct Events {
    pub(crate) bytes: Bytes,
    pub(crate) ends: Arc<[usize]>,
    /// The same in HTTP chunks, where it was worth to prepare them.
    pub(crate) chunked: Option<(Bytes, Arc<[usize]>)>,
}

/// Events that are being put together.
#[derive(Default)]
pub(crate) struct EventsMut {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A chat call, as a wire sees it.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) request: &'a Request,
    pub(crate) json: Result<Value, serde_json::Error>,
    /// Without the fault in it.
    pub(crate) model: String,
    pub(crate) faults: Faults,
    /// Counts the calls of this server.
    pub(crate) number: u64,
}

/// Answers a request.
pub(crate) fn respond(state: &State, request: &Request) -> Script {
    let number = state.served.fetch_add(1, Relaxed);
    let path = request.path.split('?').next().unwrap_or_default();
    let wire = Wire::Cerebras;
    let json = serde_json::from_slice::<Value>(&request.body);
    let asked = json
        .as_ref()
        .ok()
        .and_then(|json| json.get("model")?.as_str());
    let (model, in_model) = match asked {
        Some(model) => match model.strip_prefix("fault-") {
            Some(spec) => (model, Some(spec)),
            None => model
                .split_once('~')
                .map_or((model, None), |(model, spec)| (model, Some(spec))),
        },
        None => ("", None),
    };
    let model = model.to_owned();
    let named = request
        .header("x-loopback-fault")
        .or(in_model)
        .map(|spec| state.chooser.named(spec));
    let is_chat = request.method == "POST";
    let faults = match named {
        Some(Ok(faults)) => faults,
        Some(Err(error)) => {
            let mut reply = wire.error(400);
            reply.content = Content::Whole(wire.error_with(400, &error));
            return Script::new(
                reply,
                &Faults::default(),
                &crate::Config::fast().pace,
                request,
            );
        }
        None if is_chat => state.chooser.random(),
        None => Faults::default(),
    };
    let call = Call {
        state,
        request,
        json,
        model,
        faults,
        number,
    };
    let reply = match wire {
        Wire::Cerebras => cerebras::respond(&call, path),
    };
    let pace = if is_chat {
        state.pace.clone()
    } else {
        crate::Config::fast().pace
    };
    Script::new(reply, &call.faults, &pace, request)
}

impl Wire {
    /// What the service says with this status.
    pub(crate) fn error(self, status: u16) -> Reply {
        match self {
            Self::Cerebras => cerebras::error(status),
        }
    }

    /// An error body with this message.
    pub(crate) fn error_with(self, status: u16, message: &str) -> Bytes {
        match self {
            Self::Cerebras => cerebras::error_with(status, message),
        }
    }

    /// An error in the place of an answer, the status notwithstanding.
    pub(crate) fn error_in_200(self) -> Bytes {
        match self {
            Self::Cerebras => cerebras::wrapped_error().into(),
        }
    }

    /// An error event.
    pub(crate) fn stream_error(self) -> Vec<u8> {
        match self {
            Self::Cerebras => format!("data: {}\n\n", cerebras::wrapped_error()).into_bytes(),
        }
    }

    /// An event that says that nothing follows, whether or not this wire uses it.
    pub(crate) fn end_marker(self) -> Option<&'static [u8]> {
        match self {
            Self::Cerebras => Some(b"data: [DONE]\n\n"),
        }
    }
}

impl Events {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(self.ends.iter());
        starts
            .zip(self.ends.iter())
            .map(|(from, to)| &self.bytes[*from..*to])
    }

    pub(crate) fn last(&self) -> &[u8] {
        self.iter().last().unwrap_or_default()
    }

    /// Half of the events, and half of one more with its end in place.
    pub(crate) fn half(&self) -> Self {
        let at = self.len() / 2;
        let mut half = EventsMut::default();
        self.iter().take(at).for_each(|event| half.push(event));
        if let Some(event) = self.iter().nth(at) {
            half.append(&event[..event.len() / 2]);
            half.push(b"\n\n");
        }
        half.freeze()
    }
}

impl EventsMut {
    pub(crate) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }

    /// Bytes that belong to the next event.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn freeze(self) -> Events {
        Events {
            bytes: self.bytes.into(),
            ends: self.ends.into(),
            chunked: None,
        }
    }

    pub(crate) fn freeze_with_crlf(self) -> Events {
        let events = self.freeze();
        let mut changed = Self::default();
        for event in events.iter() {
            for line in event.split_inclusive(|byte| *byte == b'\n') {
                match line.strip_suffix(b"\n") {
                    Some(line) => {
                        changed.append(line);
                        changed.append(b"\r\n");
                    }
                    None => changed.append(line),
                }
            }
            changed.push(b"");
        }
        changed.freeze()
    }
}
