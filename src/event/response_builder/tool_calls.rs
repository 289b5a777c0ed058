//! Tool calls, complete or in fragments.

use super::{
    MESSAGE_KEY, PartKind, ResponseBuilder,
    finish_and_limits::too_many,
    part_number,
    tool_call_match::{CallMatch, JsonObjectScanner, ToolCallState, ToolFragment, match_call},
};
use crate::{
    Error, ErrorKind, StreamEvent, ToolCall,
    chat::{ProviderData, Warning},
};

/// The progress of a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolCallProgress {
    /// It has no name yet, so nothing of it was emitted.
    Unseen,
    /// Its start was emitted.
    Started,
    /// It was emitted completely, or is never to be.
    Ended,
}

/// On APIs without keys the first tool call follows the text, reasoning and refusal of the message.
const FIRST_CALL_KEY: u32 = MESSAGE_KEY + 1;

/// # Tool calls
impl ResponseBuilder {
    /// Adds a fragment of a tool call on an API without reliable start events, in OpenAI's format: the index, the id or
    /// the order says to which call it belongs. An API that names the call in each delta uses
    /// [`tool_start`](Self::tool_start) and [`tool_arguments`](Self::tool_arguments). A decoder uses one of both ways
    /// for all calls of a response.
    ///
    /// An id that differs from the open call's starts another call, whatever the index; without an index the fragment
    /// belongs to the last call.
    ///
    /// # Errors
    /// `protocol` if the fragment could belong to several calls or to none; `too_large` if a limit is exceeded.
    pub fn tool_fragment(&mut self, choice: u32, fragment: ToolFragment<'_>) -> Result<(), Error> {
        self.end_run(choice)?;
        let open = self.open(choice)?;
        let at = match match_call(&open.calls, open.interleaved, &fragment)? {
            CallMatch::Ignored => return Ok(()),
            CallMatch::Existing(at) => {
                open.interleaved |= at.saturating_add(1) != open.calls.len();
                at
            }
            CallMatch::New => return self.add_call(choice, fragment),
        };
        open.last_call = at;
        self.extend_call(choice, at, fragment)
    }

    /// Adds a separate call, whatever its index and id, on an API without keys.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn add_call(
        &mut self,
        choice: u32,
        fragment: ToolFragment<'_>,
    ) -> Result<(), Error> {
        self.end_run(choice)?;
        let at = self.open(choice)?.calls.len();
        let key = FIRST_CALL_KEY.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        self.begin_call(choice, key, fragment)
    }

    fn begin_call(
        &mut self,
        choice: u32,
        key: u32,
        fragment: ToolFragment<'_>,
    ) -> Result<(), Error> {
        let part = part_number(key, PartKind::Call)?;
        let limit = self.limits.tool_calls;
        let open = self.open(choice)?;
        let at = open.calls.len();
        if at >= limit {
            return Err(too_many("tool calls", limit));
        }
        open.calls.push(ToolCallState {
            part,
            provider_index: fragment.index,
            has_generated_id: fragment.id.is_none(),
            provider_id: None,
            call: ToolCall::default(),
            json_scanner: JsonObjectScanner::default(),
            started: false,
            closed: false,
        });
        open.last_call = at;
        self.extend_call(choice, at, fragment)
    }

    /// Starts a tool call, on an API with start events or one whose deltas name their call by an index or id. `key` is
    /// unique per call; calls with different keys may interleave. It may be called again with the same key: a call
    /// that began without its name gets id and name now, else the call has no effect.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn tool_start(&mut self, choice: u32, key: u32, id: &str, name: &str) -> Result<(), Error> {
        self.end_run(choice)?;
        let fragment = ToolFragment::new(None, Some(id), Some(name), None);
        if let Some(at) = self.call_at(choice, key)? {
            let calls = &self.open(choice)?.calls;
            let is_named = calls.get(at).is_some_and(|call| call.started);
            if is_named || name.is_empty() {
                return Ok(());
            }
            return self.extend_call(choice, at, fragment);
        }
        self.begin_call(choice, key, fragment)
    }

    /// The position of the call with a key.
    pub(super) fn call_at(&mut self, choice: u32, key: u32) -> Result<Option<usize>, Error> {
        let part = part_number(key, PartKind::Call)?;
        let calls = &self.open(choice)?.calls;
        Ok(calls.iter().position(|call| call.part == part))
    }

    /// Adds to the arguments of the tool call with this key, and starts the call if it was not started.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn tool_arguments(&mut self, choice: u32, key: u32, arguments: &str) -> Result<(), Error> {
        self.tool_start(choice, key, "", "")?;
        let at = self.call_at(choice, key)?;
        let calls = &self.open(choice)?.calls;
        let open = at.filter(|at| calls.get(*at).is_some_and(|call| !call.closed));
        match open {
            Some(at) => self.extend_call(
                choice,
                at,
                ToolFragment::new(None, None, None, Some(arguments)),
            ),
            None => Ok(()),
        }
    }

    /// The choice sends several calls concurrently: from now on a fragment needs an index or id.
    pub(crate) fn tool_calls_interleave(&mut self, choice: u32) -> Result<(), Error> {
        self.open(choice)?.interleaved = true;
        Ok(())
    }

    /// Adds provider data to the tool call with this key, which later requests send back.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn tool_call_provider_data(
        &mut self,
        choice: u32,
        key: u32,
        data: ProviderData,
    ) -> Result<(), Error> {
        match self.call_at(choice, key)? {
            Some(at) => self.tool_call_provider_data_at(choice, at, data),
            None => Ok(()),
        }
    }

    /// Adds provider data to the call at a position among all calls of the choice.
    pub(crate) fn tool_call_provider_data_at(
        &mut self,
        choice: u32,
        at: usize,
        data: ProviderData,
    ) -> Result<(), Error> {
        self.charge(data.data.as_str().len())?;
        if let Some(call) = self.open(choice)?.calls.get_mut(at) {
            call.call.provider_data = Some(data);
        }
        Ok(())
    }

    /// Adds provider data to the last call that [`tool_fragment`](ResponseBuilder::tool_fragment) changed or started.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn last_tool_call_provider_data(
        &mut self,
        choice: u32,
        data: ProviderData,
    ) -> Result<(), Error> {
        let at = self.open(choice)?.last_call;
        self.tool_call_provider_data_at(choice, at, data)
    }

    /// Ends a part. Unknown parts are ignored.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn end_part(&mut self, choice: u32, key: u32) -> Result<(), Error> {
        match self.end_run_at(choice, key)? {
            true => Ok(()),
            false => self.close_call_at(choice, key),
        }
    }

    /// Ends every part with this key: its text or reasoning, and its call.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    #[cfg(feature = "bedrock")]
    pub(crate) fn close_all(&mut self, choice: u32, key: u32) -> Result<(), Error> {
        self.end_run_at(choice, key)?;
        self.close_call_at(choice, key)
    }

    /// Ends the current text or reasoning run if it has this key. Returns whether it did.
    fn end_run_at(&mut self, choice: u32, key: u32) -> Result<bool, Error> {
        self.end_think(choice, key)?;
        let is_running = self.has_run_at(choice, key)?;
        if is_running {
            self.end_run(choice)?;
        }
        Ok(is_running)
    }

    fn close_call_at(&mut self, choice: u32, key: u32) -> Result<(), Error> {
        match self.call_at(choice, key)? {
            Some(at) => self.close_call(choice, at),
            None => Ok(()),
        }
    }

    /// Whether all open calls can be ended.
    pub(crate) fn check_calls(&self) -> Result<(), Error> {
        let mut calls = self.choices.iter().flat_map(|choice| &choice.calls);
        calls.try_for_each(check_name)
    }

    pub(super) fn extend_call(
        &mut self,
        choice: u32,
        at: usize,
        fragment: ToolFragment<'_>,
    ) -> Result<(), Error> {
        let more = fragment.arguments.unwrap_or_default();
        let named = [fragment.id, fragment.name].into_iter().flatten();
        self.charge(named.fold(more.len(), |sum, text| sum.saturating_add(text.len())))?;
        self.on_content(choice)?;
        if let Some(id) = fragment.id {
            self.identify_call(choice, at, id)?;
        }
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        let part = open.part;
        if let Some(name) = fragment.name.filter(|_| open.call.name.is_empty()) {
            open.call.name = name.to_owned();
        }
        open.call.arguments.push_str(more);
        open.json_scanner.push(more);
        if open.started {
            if !more.is_empty() {
                let arguments = more.to_owned();
                self.emit(StreamEvent::ToolCallDelta {
                    choice,
                    part,
                    arguments,
                });
            }
        } else if !open.call.name.is_empty() {
            self.start_call(choice, at)?;
        }
        Ok(())
    }

    /// Sets a call's id. An id that another call of the response or of an earlier turn has is replaced, because the
    /// results of both calls could not be distinguished.
    fn identify_call(&mut self, choice: u32, at: usize, id: &str) -> Result<(), Error> {
        let calls = &self.open(choice)?.calls;
        let lacks_id = |call: &ToolCallState| call.has_generated_id || call.call.id.is_empty();
        if !calls.get(at).is_some_and(lacks_id) {
            return Ok(());
        }
        let mut others = calls.iter().enumerate().filter(|(other, _)| *other != at);
        let is_taken = others.any(|(_, call)| call.call.id == id) || self.call_ids.in_history(id);
        let own = if is_taken {
            self.generate_call_id(choice, at)?
        } else {
            id.to_owned()
        };
        if let Some(open) = self.open(choice)?.calls.get_mut(at) {
            open.call.id = own;
            open.has_generated_id = false;
            open.provider_id = is_taken.then(|| id.into());
        }
        Ok(())
    }

    fn generate_call_id(&mut self, choice: u32, at: usize) -> Result<String, Error> {
        self.open(choice)?;
        let calls = self.choices.iter().find(|open| open.index == choice);
        let is_taken = |id: &str| {
            let mut calls = calls.iter().flat_map(|open| &open.calls);
            calls.any(|call| call.call.id == id)
        };
        Ok(self.call_ids.generate(choice, at, is_taken))
    }

    fn start_call(&mut self, choice: u32, at: usize) -> Result<(), Error> {
        let lacks_id = |call: &ToolCallState| call.call.id.is_empty();
        if self.open(choice)?.calls.get(at).is_some_and(lacks_id) {
            let id = self.generate_call_id(choice, at)?;
            if let Some(open) = self.open(choice)?.calls.get_mut(at) {
                open.call.id = id;
            }
        }
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        open.started = true;
        let (part, id, name) = (open.part, open.call.id.clone(), open.call.name.clone());
        let arguments = open.call.arguments.clone();
        self.emit(StreamEvent::ToolCallStart {
            choice,
            part,
            id,
            name,
        });
        if !arguments.is_empty() {
            self.emit(StreamEvent::ToolCallDelta {
                choice,
                part,
                arguments,
            });
        }
        Ok(())
    }

    pub(super) fn close_call(&mut self, choice: u32, at: usize) -> Result<(), Error> {
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        if open.closed {
            return Ok(());
        }
        check_name(open)?;
        open.closed = true;
        let (part, call) = (open.part, Box::new(open.call.clone()));
        if !call.has_valid_arguments() {
            self.warn(Warning::new(
                "invalid_tool_arguments",
                format!(
                    "the arguments of tool call `{}` ({}) are not a JSON object",
                    call.id, call.name
                ),
            ));
        }
        self.emit(StreamEvent::ToolCallEnd { choice, part, call });
        Ok(())
    }
}

/// # The received part of a call, for APIs that repeat content
impl ResponseBuilder {
    /// The tool call with this key so far.
    pub(crate) fn current_call(&self, choice: u32, key: u32) -> Option<&ToolCall> {
        Some(&self.tool_call_state(choice, key)?.call)
    }

    fn tool_call_state(&self, choice: u32, key: u32) -> Option<&ToolCallState> {
        let part = part_number(key, PartKind::Call).ok()?;
        let open = self.choices.iter().find(|open| open.index == choice)?;
        open.calls.iter().find(|call| call.part == part)
    }

    /// The progress of the tool call with this key.
    pub(crate) fn tool_call_progress(&self, choice: u32, key: u32) -> Option<ToolCallProgress> {
        let call = self.tool_call_state(choice, key)?;
        Some(match (call.closed, call.started) {
            (true, _) => ToolCallProgress::Ended,
            (false, true) => ToolCallProgress::Started,
            (false, false) => ToolCallProgress::Unseen,
        })
    }

    /// Replaces the received arguments, unless part of the call was emitted.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn replace_arguments(
        &mut self,
        choice: u32,
        key: u32,
        arguments: &str,
    ) -> Result<bool, Error> {
        if self.tool_call_progress(choice, key) != Some(ToolCallProgress::Unseen) {
            return Ok(false);
        }
        let own = part_number(key, PartKind::Call)?;
        let mut calls = self.open(choice)?.calls.iter_mut();
        if let Some(call) = calls.find(|call| call.part == own) {
            call.call.arguments.clear();
            call.json_scanner = Default::default();
        }
        self.tool_arguments(choice, key, arguments)?;
        Ok(true)
    }

    /// Discards the tool call with this key, because it was never completed.
    pub(crate) fn drop_call(&mut self, choice: u32, key: u32) -> Result<(), Error> {
        let part = part_number(key, PartKind::Call)?;
        let mut calls = self.open(choice)?.calls.iter_mut();
        if let Some(call) = calls.find(|call| call.part == part) {
            call.closed = true;
        }
        Ok(())
    }
}

fn check_name(call: &ToolCallState) -> Result<(), Error> {
    if !call.call.name.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Protocol,
        "received a tool call without a function name",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::response_builder::{test_util::*, tool_call_match::CallIdGenerator},
        provider::ResponseLimits,
    };

    #[test]
    fn a_call_waits_for_its_name_and_accepts_a_late_id() {
        let mut stream = stream();
        fragment(&mut stream, Some(0), "x", "", "{").unwrap();
        assert_eq!(event_log(&mut stream), "");
        fragment(&mut stream, Some(0), "", "f", "}").unwrap();
        assert_eq!(event_log(&mut stream), "call 1 x f, 1 {}");
        fragment(&mut stream, Some(1), "", "g", "{").unwrap();
        fragment(&mut stream, Some(1), "y", "", "").unwrap();
        let made = CallIdGenerator::default().generate(0, 1, |_| false);
        assert_eq!(event_log(&mut stream), format!("call 2 {made} g, 2 {{"));
        fragment(&mut stream, Some(1), "", "", "}").unwrap();
        stream.finish_response().unwrap();
        assert_eq!(
            event_log(&mut stream),
            "2 }, called 1 x {}, called 2 y {}, finish 0 "
        );
    }

    #[test]
    fn a_call_without_a_name_is_an_error() {
        let mut stream = stream();
        assert!(stream.check_calls().is_ok());
        stream.tool_arguments(0, 5, "{}").unwrap();
        for refused in [stream.check_calls(), stream.finish_response()] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn arguments_that_are_not_an_object_give_a_warning() {
        let mut stream = stream();
        fragment(&mut stream, None, "x", "f", "7").unwrap();
        stream.finish_response().unwrap();
        assert_eq!(
            event_log(&mut stream),
            "call 1 x f, 1 7, warning the arguments of tool call `x` (f) are not a JSON object, called 1 x 7, finish 0 "
        );
    }

    #[test]
    fn interleaved_call_deltas_need_a_key() {
        let two = |stream: &mut ResponseBuilder| {
            fragment(stream, Some(0), "x", "f", "{").unwrap();
            fragment(stream, Some(1), "y", "g", "{").unwrap();
            fragment(stream, Some(1), "", "", " ").unwrap();
        };
        let mut one_by_one = stream();
        two(&mut one_by_one);
        fragment(&mut one_by_one, None, "", "", "}").unwrap();
        let mut in_turns = stream();
        two(&mut in_turns);
        fragment(&mut in_turns, Some(0), "", "", "}").unwrap();
        fragment(&mut in_turns, Some(1), "", "", " ").unwrap();
        assert!(fragment(&mut in_turns, None, "", "", "}").is_err());
        let mut told_so = stream();
        two(&mut told_so);
        told_so.tool_calls_interleave(0).unwrap();
        assert!(fragment(&mut told_so, None, "", "", "}").is_err());
    }

    #[test]
    fn calls_with_keys_are_matched_by_key() {
        let mut stream = stream();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_start(0, 6, "y", "g").unwrap();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_arguments(0, 5, "{").unwrap();
        stream.tool_arguments(0, 6, "{}").unwrap();
        stream.tool_arguments(0, 5, "}").unwrap();
        stream.end_part(0, 6).unwrap();
        stream.tool_arguments(0, 6, "late").unwrap();
        stream.end_part(0, 6).unwrap();
        assert_eq!(
            event_log(&mut stream),
            "call 5 x f, call 6 y g, 5 {, 6 {}, 5 }, called 6 y {}"
        );
    }

    #[test]
    fn text_ends_before_a_call_with_the_same_index() {
        for streaming in [true, false] {
            let mut answer = ResponseBuilder::new(streaming, ResponseLimits::default());
            answer.tool_start(0, 5, "x", "").unwrap();
            answer.text(0, 5, "a").unwrap();
            // The call cannot end yet, as it has no name.
            answer.end_part(0, 5).unwrap();
            assert_eq!(
                answer.end_part(0, 5).unwrap_err().kind(),
                ErrorKind::Protocol
            );
        }
    }

    #[test]
    fn provider_data_stays_with_its_call() {
        let mut stream = stream();
        let data = |text: &str| ProviderData::new("p", json(text));
        stream.last_tool_call_provider_data(0, data("0")).unwrap();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_start(0, 6, "y", "g").unwrap();
        stream.tool_call_provider_data(0, 5, data("1")).unwrap();
        stream.last_tool_call_provider_data(0, data("2")).unwrap();
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        let kept: Vec<_> = response
            .tool_calls()
            .map(|call| call.provider_data.clone())
            .collect();
        assert_eq!(kept, [Some(data("1")), Some(data("2"))]);
    }

    #[test]
    fn current_call_returns_the_received_part() {
        let mut stream = stream();
        assert_eq!(stream.tool_call_progress(0, 1), None);
        stream.tool_arguments(0, 1, "{\"a\"").unwrap();
        assert_eq!(
            stream.tool_call_progress(0, 1),
            Some(ToolCallProgress::Unseen)
        );
        assert!(stream.replace_arguments(0, 1, "{\"b\"").unwrap());
        stream.tool_start(0, 1, "x", "f").unwrap();
        assert_eq!(
            stream.tool_call_progress(0, 1),
            Some(ToolCallProgress::Started)
        );
        assert!(!stream.replace_arguments(0, 1, "{}").unwrap());
        stream.tool_arguments(0, 1, ":1}").unwrap();
        let call = stream.current_call(0, 1).unwrap();
        assert_eq!((&*call.id, &*call.arguments), ("x", "{\"b\":1}"));
        stream.end_part(0, 1).unwrap();
        assert_eq!(
            stream.tool_call_progress(0, 1),
            Some(ToolCallProgress::Ended)
        );
        assert_eq!(
            event_log(&mut stream),
            "call 1 x f, 1 {\"b\", 1 :1}, called 1 x {\"b\":1}"
        );
    }

    #[test]
    fn a_dropped_call_is_not_emitted() {
        let mut stream = stream();
        stream.tool_start(0, 1, "x", "f").unwrap();
        stream.drop_call(0, 1).unwrap();
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        assert_eq!(response.tool_calls().count(), 0);
    }
}
