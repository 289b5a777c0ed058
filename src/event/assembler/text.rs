//! What flows: text, reasoning, refusals.

use super::{
    Assembler,
    open::{Flow, FlowKind},
    parts::{Slot, part_at, place_of},
    think::{Side, ThinkSplitter},
};
use crate::{ContentPart, Error, StreamEvent};
use std::borrow::Cow;

/// A part takes more than a short text in it. That of most answers is not worth counting.
const UNCOUNTED_PARTS: u32 = 64;

/// # What flows
impl Assembler {
    /// More text for a part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn text<'t>(
        &mut self,
        choice: u32,
        part: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        if self.extract_think {
            return self.think(choice, part, &text);
        }
        self.retain(text.len())?;
        let part = part_at(part, Slot::Text)?;
        let kind = FlowKind::Text;
        self.flow(choice, Flow { kind, part }, text)
    }

    /// More reasoning for a part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn reasoning<'t>(
        &mut self,
        choice: u32,
        part: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        self.retain(text.len())?;
        let part = part_at(part, Slot::Reasoning)?;
        let kind = FlowKind::Reasoning;
        self.flow(choice, Flow { kind, part }, text)
    }

    /// What the provider wants back with a reasoning part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn reasoning_signature(
        &mut self,
        choice: u32,
        part: u32,
        signature: &str,
    ) -> Result<(), Error> {
        self.retain(signature.len())?;
        let part = part_at(part, Slot::Reasoning)?;
        let kind = FlowKind::Reasoning;
        self.enter(choice, Flow { kind, part })?;
        self.emit(StreamEvent::ReasoningSignature {
            choice,
            part,
            signature: signature.to_owned(),
        });
        Ok(())
    }

    /// More of a refusal.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn refusal(&mut self, choice: u32, part: u32, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.retain(text.len())?;
        self.leave(choice)?;
        self.goes_on(choice)?;
        let part = part_at(part, Slot::Refusal)?;
        self.emit(StreamEvent::RefusalDelta {
            choice,
            part,
            text: text.to_owned(),
        });
        Ok(())
    }

    /// More text in which thoughts are looked for. What is held back until it is known to be a tag or none is counted when
    /// it comes.
    fn think(&mut self, choice: u32, place: u32, text: &str) -> Result<(), Error> {
        self.retain(text.len())?;
        let open = self.open(choice)?;
        let known = open.think.iter_mut().find(|(other, _)| *other == place);
        let mut pieces = Vec::new();
        let mut keep = |side, piece: &str| pieces.push((side, piece.to_owned()));
        match known {
            Some((_, splitter)) => splitter.push(text, &mut keep),
            None => {
                let mut splitter = ThinkSplitter::default();
                splitter.push(text, &mut keep);
                open.think.push((place, splitter));
                self.retain(size_of::<ThinkSplitter>())?;
            }
        }
        self.split_text(choice, place, pieces)
    }

    /// The text at a place ends: what was held back is text after all.
    pub(super) fn end_think(&mut self, choice: u32, place: u32) -> Result<(), Error> {
        let all = &mut self.open(choice)?.think;
        let Some(at) = all.iter().position(|(other, _)| *other == place) else {
            return Ok(());
        };
        let (_, mut splitter) = all.remove(at);
        let mut pieces = Vec::new();
        splitter.finish(&mut |side, piece: &str| pieces.push((side, piece.to_owned())));
        self.split_text(choice, place, pieces)
    }

    pub(super) fn split_text(
        &mut self,
        choice: u32,
        place: u32,
        pieces: Vec<(Side, String)>,
    ) -> Result<(), Error> {
        for (side, piece) in pieces {
            let (kind, slot) = match side {
                Side::Text => (FlowKind::Text, Slot::Text),
                Side::Reasoning => (FlowKind::Reasoning, Slot::Thought),
            };
            let part = part_at(place, slot)?;
            self.flow(choice, Flow { kind, part }, piece.into())?;
        }
        Ok(())
    }

    /// Hands out a piece that is counted already.
    fn flow(&mut self, choice: u32, flow: Flow, text: Cow<'_, str>) -> Result<(), Error> {
        self.enter(choice, flow)?;
        let (part, text) = (flow.part, text.into_owned());
        self.emit(match flow.kind {
            FlowKind::Text => StreamEvent::TextDelta { choice, part, text },
            FlowKind::Reasoning => StreamEvent::ReasoningDelta { choice, part, text },
        });
        Ok(())
    }

    fn enter(&mut self, choice: u32, flow: Flow) -> Result<(), Error> {
        let is_told = self.queue.is_some();
        let has_all = self.has_all;
        let open = self.open(choice)?;
        if open.finish.is_some() && is_told && !has_all {
            open.goes_on();
        }
        if open.flowing == Some(flow) {
            return Ok(());
        }
        open.entered = open.entered.saturating_add(1);
        if open.entered > UNCOUNTED_PARTS {
            self.retain(size_of::<ContentPart>())?;
        }
        let open = self.open(choice)?;
        if !is_told {
            // The beginning and end of a text are nothing but events.
            open.flowing = Some(flow);
            return Ok(());
        }
        self.leave(choice)?;
        self.open(choice)?.flowing = Some(flow);
        let part = flow.part;
        self.emit(match flow.kind {
            FlowKind::Text => StreamEvent::TextStart { choice, part },
            FlowKind::Reasoning => StreamEvent::ReasoningStart { choice, part },
        });
        Ok(())
    }

    /// Content comes, perhaps after a finish reason.
    pub(super) fn goes_on(&mut self, choice: u32) -> Result<(), Error> {
        if self.queue.is_some() && !self.has_all {
            self.open(choice)?.goes_on();
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, choice: u32) -> Result<(), Error> {
        if let Some(Flow { kind, part }) = self.open(choice)?.flowing.take() {
            self.emit(match kind {
                FlowKind::Text => StreamEvent::TextEnd { choice, part },
                FlowKind::Reasoning => StreamEvent::ReasoningEnd { choice, part },
            });
        }
        Ok(())
    }

    /// Whether what flows stands at this place.
    pub(super) fn flows_at(&mut self, choice: u32, place: u32) -> Result<bool, Error> {
        let flowing = self.open(choice)?.flowing;
        Ok(flowing.is_some_and(|flow| place_of(flow.part) == place))
    }
}

#[cfg(test)]
mod tests {
    use crate::{OpaqueBlock, event::assembler::told::*};

    #[test]
    fn what_flows_is_started_before_its_first_piece_and_ended_before_another_begins() {
        let mut stream = stream();
        stream.text(0, 1, "a").unwrap();
        stream.text(0, 1, "").unwrap();
        stream.text(0, 1, "b").unwrap();
        stream.reasoning(0, 0, "").unwrap();
        stream.reasoning(0, 0, "r").unwrap();
        stream.reasoning_signature(0, 0, "s").unwrap();
        stream.refusal(0, 2, "").unwrap();
        assert_eq!(
            told(&mut stream),
            "text 1, 'a', 'b', end 1, reasoning 0, 'r', signature s"
        );
        stream.refusal(0, 2, "no").unwrap();
        stream.text(0, 1, "c").unwrap();
        stream.close(0, 7).unwrap();
        assert_eq!(told(&mut stream), "end 0, refusal 'no', text 1, 'c'");
        stream.close(0, 1).unwrap();
        assert_eq!(told(&mut stream), "end 1");
        stream
            .opaque(0, 3, OpaqueBlock::new("p", json("{}")))
            .unwrap();
        stream.settle().unwrap();
        assert_eq!(told(&mut stream), "opaque 3, finish 0 ");
    }

    #[test]
    fn thoughts_in_the_text_are_told_as_reasoning_before_it() {
        let mut stream = stream();
        stream.extract_think(true);
        stream.text(0, 1, "<think>t</think>a <").unwrap();
        assert_eq!(told(&mut stream), "reasoning 1, 't', end 1, text 1, 'a'");
        stream.settle().unwrap();
        assert_eq!(told(&mut stream), "' ', '<', end 1, finish 0 ");
    }
}
