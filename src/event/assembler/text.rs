//! What flows: text, reasoning, refusals.

use super::{
    Assembler,
    open::{Flow, FlowKind},
    think::Side,
};
use crate::{Error, StreamEvent};
use std::borrow::Cow;

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
        if !self.extract_think {
            return self.flow(
                choice,
                Flow {
                    kind: FlowKind::Text,
                    part,
                },
                text,
            );
        }
        let open = self.open(choice)?;
        open.think_part = part;
        let mut pieces = Vec::new();
        open.think.push(&text, &mut |side, piece: &str| {
            pieces.push((side, piece.to_owned()));
        });
        self.split_text(choice, part, pieces)
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
        self.flow(
            choice,
            Flow {
                kind: FlowKind::Reasoning,
                part,
            },
            text,
        )
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
        self.enter(
            choice,
            Flow {
                kind: FlowKind::Reasoning,
                part,
            },
        )?;
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
        self.emit(StreamEvent::RefusalDelta {
            choice,
            part,
            text: text.to_owned(),
        });
        Ok(())
    }

    pub(super) fn split_text(
        &mut self,
        choice: u32,
        part: u32,
        pieces: Vec<(Side, String)>,
    ) -> Result<(), Error> {
        for (side, piece) in pieces {
            match side {
                Side::Text => self.flow(
                    choice,
                    Flow {
                        kind: FlowKind::Text,
                        part,
                    },
                    piece.into(),
                )?,
                Side::Reasoning => {
                    let flow = Flow {
                        kind: FlowKind::Reasoning,
                        part: part.saturating_sub(1),
                    };
                    self.flow(choice, flow, piece.into())?;
                }
            }
        }
        Ok(())
    }

    fn flow(&mut self, choice: u32, flow: Flow, text: Cow<'_, str>) -> Result<(), Error> {
        self.retain(text.len())?;
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
        let open = self.open(choice)?;
        if open.flowing == Some(flow) {
            return Ok(());
        }
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

    pub(super) fn leave(&mut self, choice: u32) -> Result<(), Error> {
        if let Some(Flow { kind, part }) = self.open(choice)?.flowing.take() {
            self.emit(match kind {
                FlowKind::Text => StreamEvent::TextEnd { choice, part },
                FlowKind::Reasoning => StreamEvent::ReasoningEnd { choice, part },
            });
        }
        Ok(())
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
        assert_eq!(told(&mut stream), "reasoning 0, 't', end 0, text 1, 'a'");
        stream.settle().unwrap();
        assert_eq!(told(&mut stream), "' ', '<', end 1, finish 0 ");
    }
}
