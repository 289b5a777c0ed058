//! Tool calls of a complete message after their fragments, on APIs that send both.

use super::{
    ResponseBuilder,
    tool_call_match::{ToolCallState, ToolFragment, same_json},
};
use crate::{Error, ErrorKind};

/// # Complete calls after their fragments
impl ResponseBuilder {
    /// Sets the calls of a complete message, in their order. Returns the position of each among all calls of the
    /// choice.
    ///
    /// # Errors
    /// `protocol` if a call's arguments differ from its fragments; `too_large` if a limit is exceeded.
    pub(crate) fn complete_tool_calls(
        &mut self,
        choice: u32,
        wholes: &[ToolFragment<'_>],
    ) -> Result<Vec<usize>, Error> {
        let known = self.open(choice)?.calls.len();
        let mut taken = Vec::with_capacity(wholes.len());
        for (position, whole) in wholes.iter().enumerate() {
            let calls = &self.open(choice)?.calls;
            let free = |at: &usize| *at < known && !taken.contains(at);
            let fits = |at: &usize| {
                calls
                    .get(*at)
                    .is_some_and(|call| is_same(call, *at, whole, position))
            };
            let candidates = || (0..known).filter(free).filter(fits);
            let agrees = |at: &usize| {
                calls
                    .get(*at)
                    .is_some_and(|call| more(call, whole).is_some())
            };
            let at = match candidates().find(agrees) {
                Some(at) => at,
                None if candidates().next().is_some() => {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        "the arguments of a tool call in the complete message differ from its streamed fragments",
                    ));
                }
                None => {
                    let at = calls.len();
                    self.add_call(choice, *whole)?;
                    taken.push(at);
                    continue;
                }
            };
            taken.push(at);
            let more = calls.get(at).and_then(|call| more(call, whole));
            let fragment = ToolFragment::new(None, whole.id, whole.name, more);
            let open = self.open(choice)?;
            open.last_call = at;
            self.extend_call(choice, at, fragment)?;
        }
        Ok(taken)
    }
}

/// Whether a complete call can be this one: by its id, or, if either has none, by its index or position.
fn is_same(call: &ToolCallState, at: usize, whole: &ToolFragment<'_>, position: usize) -> bool {
    let same_name = whole
        .name
        .is_none_or(|name| call.call.name.is_empty() || call.call.name == name);
    let same_place = match (whole.index, call.provider_index) {
        (Some(whole), Some(call)) => whole == call,
        _ => at == position,
    };
    let same_id = match (whole.id, call.sent_id()) {
        (Some(whole), Some(call)) => whole == call,
        _ => same_place,
    };
    same_name && same_id
}

/// What a complete call's arguments add to the received ones; `None` if they differ.
fn more<'w>(call: &ToolCallState, whole: &ToolFragment<'w>) -> Option<&'w str> {
    let arguments = whole.arguments.unwrap_or_default();
    match arguments.strip_prefix(&*call.call.arguments) {
        Some(more) => Some(more),
        None if arguments.is_empty() || same_json(arguments, &call.call.arguments) => Some(""),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::response_builder::test_util::*;

    #[test]
    fn complete_tool_calls_match_by_id_or_position() {
        let whole = |index, id, name, arguments| {
            ToolFragment::new(index, Some(id), Some(name), Some(arguments))
        };
        let mut stream = stream();
        fragment(&mut stream, Some(0), "x", "f", "{\"a\":").unwrap();
        fragment(&mut stream, Some(1), "", "g", "{}").unwrap();
        let all = [
            whole(Some(0), "x", "f", "{\"a\":1}"),
            whole(Some(1), "y", "g", "{}"),
            whole(None, "z", "g", "{}"),
        ];
        assert_eq!(stream.complete_tool_calls(0, &all).unwrap(), [0, 1, 2]);
        assert_eq!(stream.complete_tool_calls(0, &all).unwrap(), [0, 1, 2]);
        let other = [whole(Some(0), "x", "f", "{\"a\":2}")];
        assert!(stream.complete_tool_calls(0, &other).is_err());
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        let calls: Vec<_> = response
            .tool_calls()
            .map(|call| (&*call.id, &*call.arguments))
            .collect();
        assert_eq!(calls, [("x", "{\"a\":1}"), ("y", "{}"), ("z", "{}")]);
    }

    #[test]
    fn complete_message_without_deltas_may_repeat_an_id() {
        let call = ToolFragment::new(None, Some("x"), Some("f"), Some("{}"));
        let mut stream = stream();
        assert_eq!(
            stream.complete_tool_calls(0, &[call, call]).unwrap(),
            [0, 1]
        );
        assert_eq!(
            stream.complete_tool_calls(0, &[call, call]).unwrap(),
            [0, 1]
        );
        stream.finish_response().unwrap();
        let response = Box::new(stream).into_response();
        let ids: Vec<_> = response.tool_calls().map(|call| &*call.id).collect();
        assert_eq!((ids.len(), ids[0]), (2, "x"));
        assert_ne!(ids[1], "x");
    }
}
