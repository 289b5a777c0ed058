//! Parrot's responses as calls of the `ResponseBuilder`.

use super::{Squawk, read_json};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use unifiedai::{
    Error, ErrorKind, FinishReason, Json, Usage,
    chat::Warning,
    provider::{ChatDecoder, Frame, FrameOutcome, ResponseBuilder, errors},
};

/// One is made for each attempt. This API needs no state between two events.
pub(super) struct ParrotDecoder;

/// A block of the message or a delta of it: `{"text": "Hello"}`, `{"id": "t1", "trick": "weather"}`, `{"with": "{}"}`.
/// A delta has the number of its block.
#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    block: u32,
    text: Option<String>,
    #[serde(default)]
    id: String,
    trick: Option<String>,
    with: Option<String>,
}

/// `why` is required: a response without it is an error, and never a short response.
#[derive(Deserialize)]
struct End {
    why: String,
    heard: Option<u64>,
    said: Option<u64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A response in one body.
#[derive(Deserialize)]
struct Whole {
    says: Vec<Block>,
    #[serde(flatten)]
    end: End,
}

impl Block {
    /// The number of the block is the key: deltas with one key belong together.
    fn read(self, key: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        if let Some(text) = self.text {
            out.text(0, key, text)?;
        }
        if let Some(name) = self.trick {
            out.tool_start(0, key, &self.id, &name)?;
        }
        if let Some(arguments) = self.with {
            out.tool_arguments(0, key, &arguments)?;
        }
        Ok(())
    }
}

impl End {
    fn read(self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let mut usage = Usage::default();
        usage.prompt_tokens = self.heard;
        usage.completion_tokens = self.said;
        out.usage(usage);
        for (name, value) in &self.others {
            out.extra(name, Json::new(value)?)?;
        }
        let reason = match self.why.as_str() {
            "done" => FinishReason::Stop,
            "limit" => FinishReason::Length,
            "trick" => FinishReason::ToolCalls,
            other => FinishReason::Other(other.to_owned()),
        };
        out.finish(0, Some(reason), &self.why)
    }
}

impl ChatDecoder for ParrotDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        let data = frame.data.as_bytes();
        match frame.name {
            "says" => {
                let delta: Block = read_json(data)?;
                let key = delta.block;
                delta.read(key, out)?;
                Ok(FrameOutcome::Continue)
            }
            "end" => {
                read_json::<End>(data)?.read(out)?;
                Ok(FrameOutcome::Complete)
            }
            "flap" => Ok(FrameOutcome::KeepAlive),
            "squawk" => Err(match serde_json::from_slice::<Squawk>(data) {
                Ok(squawk) => squawk.error(ErrorKind::InternalServer),
                Err(_) => errors::from_event(frame.name, data),
            }),
            other => {
                let what = format!("the event `{other}` is not known and was left out");
                out.warn(Warning::new("unknown_event", what));
                Ok(FrameOutcome::Continue)
            }
        }
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let whole: Whole = read_json(body)?;
        for (key, block) in (0..).zip(whole.says) {
            block.read(key, out)?;
        }
        whole.end.read(out)
    }
}
