//! Which pieces of an answer are under way.

use super::{place::ObjectEnd, think::ThinkSplitter};
use crate::{FinishReason, ToolCall};

/// What the assembler knows of one answer.
#[derive(Debug, Default)]
pub(super) struct OpenChoice {
    pub(super) index: u32,
    /// The text or reasoning part that the last delta went to.
    pub(super) flowing: Option<Flow>,
    pub(super) calls: Vec<OpenCall>,
    /// The call that the last piece went to.
    pub(super) touched: usize,
    /// Whether pieces of several calls came in turns, so that a piece without a key could belong to any of them.
    pub(super) interleaved: bool,
    pub(super) think: ThinkSplitter,
    /// The part of the text that the splitter last saw, of which it may still hold the end.
    pub(super) think_part: u32,
    pub(super) finish: Option<Finished>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) kind: FlowKind,
    pub(super) part: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowKind {
    Text,
    Reasoning,
}

/// A tool call that has begun.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub(super) part: u32,
    /// The index that the wire gave, if any.
    pub(super) wire_index: Option<u64>,
    /// Whether the id was made here because the wire gave none.
    pub(super) made_id: bool,
    pub(super) call: ToolCall,
    pub(super) object: ObjectEnd,
    /// Whether its start was handed out; a nameless call waits for its name.
    pub(super) started: bool,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct Finished {
    pub(super) reason: Option<FinishReason>,
    pub(super) native: Option<Box<str>>,
}
