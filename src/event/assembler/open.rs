//! Which pieces of an answer are under way.

use super::{place::ObjectEnd, think::ThinkSplitter};
use crate::{FinishReason, ToolCall};

/// What the assembler knows of one answer.
#[derive(Debug, Default)]
pub(super) struct OpenChoice {
    pub(super) index: u32,
    /// The text or reasoning part that the last delta went to.
    pub(super) flowing: Option<Flow>,
    /// How often a text or reasoning part was begun, or gone back to.
    pub(super) entered: u32,
    pub(super) calls: Vec<OpenCall>,
    /// The call that the last piece went to.
    pub(super) touched: usize,
    /// Whether pieces of several calls came in turns, so that a piece without a key could belong to any of them.
    pub(super) interleaved: bool,
    /// One for each text in which thoughts are looked for, by its place.
    pub(super) think: Vec<(u32, ThinkSplitter)>,
    pub(super) finish: Option<Finished>,
    /// A word that stood where a finish reason does, while the answer went on: it is none.
    pub(super) refuted: Option<Box<str>>,
}

impl OpenChoice {
    /// More of the answer comes after its finish reason. Some servers do that (F79); but an unknown word was no reason then.
    #[cold]
    pub(super) fn goes_on(&mut self) {
        let is_unknown = |finish: &Finished| matches!(finish.reason, Some(FinishReason::Other(_)));
        if self.finish.as_ref().is_some_and(is_unknown) {
            self.refuted = self.finish.take().and_then(|finish| finish.native);
        }
    }
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
    /// The wire's id, where it was changed because another call has it.
    pub(super) wire_id: Option<Box<str>>,
    pub(super) call: ToolCall,
    pub(super) object: ObjectEnd,
    /// Whether its start was handed out; a nameless call waits for its name.
    pub(super) started: bool,
    pub(super) closed: bool,
}

impl OpenCall {
    /// The id that the wire gave.
    pub(super) fn given_id(&self) -> Option<&str> {
        let own = Some(&*self.call.id).filter(|id| !self.made_id && !id.is_empty());
        self.wire_id.as_deref().or(own)
    }
}

#[derive(Debug)]
pub(super) struct Finished {
    pub(super) reason: Option<FinishReason>,
    pub(super) native: Option<Box<str>>,
}
