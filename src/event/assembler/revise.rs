//! What a decoder looks up of what it has handed out, for wires that send things twice.

use super::{
    Assembler,
    calls::CallState,
    open::OpenCall,
    parts::{Slot, part_at},
};
use crate::{Error, ToolCall};

/// # Looking back
impl Assembler {
    /// The tool call of a part as far as it has come.
    pub(crate) fn call_so_far(&self, choice: u32, part: u32) -> Option<&ToolCall> {
        Some(&self.open_call(choice, part)?.call)
    }

    fn open_call(&self, choice: u32, part: u32) -> Option<&OpenCall> {
        let part = part_at(part, Slot::Call).ok()?;
        let open = self.choices.iter().find(|open| open.index == choice)?;
        open.calls.iter().find(|call| call.part == part)
    }

    /// How far the tool call of a part is.
    pub(crate) fn call_state(&self, choice: u32, part: u32) -> Option<CallState> {
        let call = self.open_call(choice, part)?;
        Some(match (call.closed, call.started) {
            (true, _) => CallState::Ended,
            (false, true) => CallState::Started,
            (false, false) => CallState::Unseen,
        })
    }

    /// Puts other arguments in the place of those that have come, unless some of the call was handed out.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub(crate) fn replace_arguments(
        &mut self,
        choice: u32,
        part: u32,
        arguments: &str,
    ) -> Result<bool, Error> {
        if self.call_state(choice, part) != Some(CallState::Unseen) {
            return Ok(false);
        }
        let own = part_at(part, Slot::Call)?;
        let mut calls = self.open(choice)?.calls.iter_mut();
        if let Some(call) = calls.find(|call| call.part == own) {
            call.call.arguments.clear();
            call.object = Default::default();
        }
        self.tool_arguments(choice, part, arguments)?;
        Ok(true)
    }

    /// The tool call of a part never became complete: it is not handed out.
    pub(crate) fn drop_call(&mut self, choice: u32, part: u32) -> Result<(), Error> {
        let part = part_at(part, Slot::Call)?;
        let mut calls = self.open(choice)?.calls.iter_mut();
        if let Some(call) = calls.find(|call| call.part == part) {
            call.closed = true;
        }
        Ok(())
    }

    /// The text, reasoning or refusal of a part as far as it has come.
    pub(crate) fn text_so_far(&self, choice: u32, part: u32) -> Option<&str> {
        let mut slots = [Slot::Text, Slot::Reasoning, Slot::Refusal].into_iter();
        slots.find_map(|slot| {
            let part = part_at(part, slot).ok()?;
            self.accumulator.text(choice, part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::assembler::told::*;

    #[test]
    fn a_call_is_looked_up_as_far_as_it_has_come() {
        let mut stream = stream();
        assert_eq!(stream.call_state(0, 1), None);
        stream.tool_arguments(0, 1, "{\"a\"").unwrap();
        assert_eq!(stream.call_state(0, 1), Some(CallState::Unseen));
        assert!(stream.replace_arguments(0, 1, "{\"b\"").unwrap());
        stream.tool_start(0, 1, "x", "f").unwrap();
        assert_eq!(stream.call_state(0, 1), Some(CallState::Started));
        assert!(!stream.replace_arguments(0, 1, "{}").unwrap());
        stream.tool_arguments(0, 1, ":1}").unwrap();
        let call = stream.call_so_far(0, 1).unwrap();
        assert_eq!((&*call.id, &*call.arguments), ("x", "{\"b\":1}"));
        stream.close(0, 1).unwrap();
        assert_eq!(stream.call_state(0, 1), Some(CallState::Ended));
        assert_eq!(
            told(&mut stream),
            "call 1 x f, 1 {\"b\", 1 :1}, called 1 x {\"b\":1}"
        );
    }

    #[test]
    fn a_call_that_is_dropped_is_not_handed_out() {
        let mut stream = stream();
        stream.tool_start(0, 1, "x", "f").unwrap();
        stream.drop_call(0, 1).unwrap();
        stream.settle().unwrap();
        let response = Box::new(stream).into_response();
        assert_eq!(response.tool_calls().count(), 0);
    }

    #[test]
    fn a_text_is_looked_up_by_its_part() {
        let mut stream = stream();
        stream.text(0, 2, "a").unwrap();
        stream.reasoning(0, 1, "r").unwrap();
        stream.text(0, 2, "b").unwrap();
        assert_eq!(stream.text_so_far(0, 2), Some("ab"));
        assert_eq!(stream.text_so_far(0, 1), Some("r"));
        assert_eq!(stream.text_so_far(0, 3), None);
        assert_eq!(stream.text_so_far(1, 2), None);
    }
}
