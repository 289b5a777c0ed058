//! Assigns fragments to tool calls, on APIs that number calls unreliably or not at all, and generates missing
//! ids.

use crate::{ChatRequest, ContentPart, Error, ErrorKind, ToolCall, policy::Rng};
use std::sync::Arc;

/// A fragment of a tool call in OpenAI's format and its many dialects; every field may be missing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ToolFragment<'a> {
    /// The call's index.
    pub index: Option<u64>,
    /// The call's id; usually only in its first fragment.
    pub id: Option<&'a str>,
    /// The function's name; usually only in its first fragment.
    pub name: Option<&'a str>,
    /// More of the arguments' text.
    pub arguments: Option<&'a str>,
}

impl<'a> ToolFragment<'a> {
    /// Creates a fragment; empty texts count as missing.
    #[must_use]
    pub fn new(
        index: Option<u64>,
        id: Option<&'a str>,
        name: Option<&'a str>,
        arguments: Option<&'a str>,
    ) -> Self {
        let some = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        ToolFragment {
            index,
            id: some(id),
            name: some(name),
            arguments: some(arguments),
        }
    }
}

/// A tool call that has begun.
#[derive(Debug)]
pub(super) struct ToolCallState {
    pub(super) part: u32,
    /// The index in the API, if it has one.
    pub(super) provider_index: Option<u64>,
    /// Whether the id was generated because the provider sent none.
    pub(super) has_generated_id: bool,
    /// The provider's id, if it was replaced because another call has it.
    pub(super) provider_id: Option<Box<str>>,
    pub(super) call: ToolCall,
    pub(super) json_scanner: JsonObjectScanner,
    /// Whether its start event was emitted; a call without a name waits for it.
    pub(super) started: bool,
    pub(super) closed: bool,
}

impl ToolCallState {
    /// The id that the provider sent.
    pub(super) fn sent_id(&self) -> Option<&str> {
        let own = Some(&*self.call.id).filter(|id| !self.has_generated_id && !id.is_empty());
        self.provider_id.as_deref().or(own)
    }
}

/// The call that a fragment belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallMatch {
    /// The call at this position.
    Existing(usize),
    /// A new call.
    New,
    /// None: the fragment has no content.
    Ignored,
}

/// Finds the call of a fragment: by its id, then its index, else the last call. An ambiguous fragment is an error,
/// because arguments in the wrong call are a different command.
pub(super) fn match_call(
    calls: &[ToolCallState],
    interleaved: bool,
    piece: &ToolFragment<'_>,
) -> Result<CallMatch, Error> {
    let blank = piece
        .arguments
        .is_none_or(|text| text.trim_ascii().is_empty());
    if piece.id.is_none() && piece.name.is_none() && piece.arguments.is_none() {
        return Ok(CallMatch::Ignored);
    }
    let by_index = || {
        let index = piece.index?;
        calls
            .iter()
            .rposition(|call| call.provider_index == Some(index))
    };
    let last = calls.len().checked_sub(1);
    if let Some(id) = piece.id {
        let mut of_id = calls
            .iter()
            .enumerate()
            .filter(|(_, call)| call.sent_id() == Some(id));
        let known = match (piece.index, of_id.next_back()) {
            // If several calls have the id, the index distinguishes them.
            (Some(_), Some((last, _))) => by_index()
                .filter(|at| calls.get(*at).and_then(ToolCallState::sent_id) == Some(id))
                .or(Some(last)),
            (None, Some(_)) if interleaved && of_id.next().is_some() => {
                return Err(ambiguous("has the id of several calls"));
            }
            (None, last) => last.map(|(at, _)| at),
            (Some(_), None) => None,
        };
        // The id of a call that has none may arrive late.
        let late = || match piece.index {
            Some(_) => by_index(),
            None => last.filter(|_| piece.name.is_none()),
        };
        let nameless = |at: &usize| calls.get(*at).is_some_and(|call| call.has_generated_id);
        let found = known.or_else(|| late().filter(nameless));
        let call = known.and_then(|at| calls.get(at));
        if call.is_some_and(|call| begins_another(call, piece, blank)) {
            return Ok(CallMatch::New);
        }
        if call.is_some_and(|call| repeats(call, piece)) {
            return Ok(CallMatch::Ignored);
        }
        return Ok(continue_or_begin(calls, found, piece, blank));
    }
    if let Some(at) = by_index() {
        return Ok(continue_or_begin(calls, Some(at), piece, blank));
    }
    let Some((at, call)) = last.and_then(|at| Some((at, calls.get(at)?))) else {
        return Ok(CallMatch::New);
    };
    if let Some(name) = piece.name {
        // A new index or another name starts a new call, unless the fragment continues an unfinished object.
        let goes_on = call.call.name == name
            && call.json_scanner.is_begun()
            && !call.json_scanner.is_closed()
            && (piece.index.is_none() || !starts_object(piece));
        let unclear =
            call.call.name == name && !call.json_scanner.is_begun() && piece.index.is_none();
        return match (goes_on, unclear) {
            (true, _) => Ok(CallMatch::Existing(at)),
            (_, true) => Err(ambiguous(
                "repeats the name of a call that has no arguments yet",
            )),
            _ => Ok(CallMatch::New),
        };
    }
    if blank && call.json_scanner.is_closed() {
        return Ok(CallMatch::Ignored);
    }
    if interleaved {
        return Err(ambiguous("could belong to any of several calls"));
    }
    // An unknown index after a complete call starts a new call without a name.
    if piece.index.is_some() && call.json_scanner.is_closed() {
        return Err(ambiguous("belongs to no call"));
    }
    Ok(CallMatch::Existing(at))
}

/// Whether a fragment with the id of `call` but another index starts a new call: it has a name and does not continue
/// unfinished arguments, or it starts new arguments after complete ones.
fn begins_another(call: &ToolCallState, piece: &ToolFragment<'_>, blank: bool) -> bool {
    let other_index = piece.index.is_some()
        && call.provider_index.is_some()
        && piece.index != call.provider_index;
    let is_closed = call.json_scanner.is_closed();
    let goes_on = call.json_scanner.is_begun() && !is_closed && !blank && !starts_object(piece);
    other_index
        && match piece.name {
            Some(_) => !goes_on,
            None => is_closed && !blank,
        }
}

/// Whether a fragment repeats a finished call.
fn repeats(call: &ToolCallState, piece: &ToolFragment<'_>) -> bool {
    let same = |index: u64| call.provider_index.is_none_or(|own| own == index);
    call.json_scanner.is_closed()
        && piece.index.is_none_or(same)
        && piece.name == Some(&*call.call.name)
        && piece
            .arguments
            .is_some_and(|arguments| same_json(arguments, &call.call.arguments))
}

/// Whether two texts are the same JSON value in any notation.
pub(super) fn same_json(a: &str, b: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b || read(a).is_some_and(|a| read(b) == Some(a))
}

/// The call at `at`, unless the fragment cannot be part of it: it has another name, or starts new arguments after
/// complete ones.
fn continue_or_begin(
    calls: &[ToolCallState],
    at: Option<usize>,
    piece: &ToolFragment<'_>,
    blank: bool,
) -> CallMatch {
    let Some((at, call)) = at.and_then(|at| Some((at, calls.get(at)?))) else {
        return CallMatch::New;
    };
    let other_name = piece
        .name
        .is_some_and(|name| !call.call.name.is_empty() && call.call.name != name);
    let anew = piece.name.is_some() && call.json_scanner.is_closed() && !blank;
    if other_name || anew {
        return CallMatch::New;
    }
    CallMatch::Existing(at)
}

fn starts_object(piece: &ToolFragment<'_>) -> bool {
    piece
        .arguments
        .is_some_and(|text| text.trim_ascii_start().starts_with('{'))
}

fn ambiguous(what: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "received a fragment of a tool call that {what}, so its arguments cannot be assembled"
        ),
    )
}

/// Finds the end of the first object in a JSON text; it reads every byte once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonObjectScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl JsonObjectScanner {
    pub(super) fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.begun |= !byte.is_ascii_whitespace();
        }
    }

    /// Whether the text has more than white space.
    fn is_begun(self) -> bool {
        self.begun
    }

    /// Whether every opened bracket is closed.
    fn is_closed(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

/// Generates ids that no other call of the conversation has. Equal seeds, conversations and positions give equal ids.
#[derive(Debug, Default)]
pub(super) struct CallIdGenerator {
    pub(super) seed: u64,
    /// The request, with the calls of earlier turns.
    pub(super) request: Option<Arc<ChatRequest>>,
}

impl CallIdGenerator {
    /// Whether a call of an earlier turn has this id.
    pub(super) fn in_history(&self, id: &str) -> bool {
        let messages = self.request.iter().flat_map(|request| &request.messages);
        messages
            .flat_map(|message| &message.content)
            .any(|part| match part {
                ContentPart::ToolCall(call) => call.id == id,
                ContentPart::ToolResult(result) => result.call_id == id,
                _ => false,
            })
    }

    /// Generates an id for the call at a position of the response. It has letters, digits and one `_`, which every
    /// API accepts.
    pub(super) fn generate(
        &self,
        choice: u32,
        at: usize,
        is_taken: impl Fn(&str) -> bool,
    ) -> String {
        let place = (u64::from(choice) << 32) | (at as u64 & u64::from(u32::MAX));
        let mut numbers = Rng::new(Rng::new(self.seed).next_u64() ^ place);
        loop {
            let id = format!("call_{:016x}", numbers.next_u64());
            if !is_taken(&id) && !self.in_history(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Role};
    use std::collections::BTreeSet;

    struct OpenCalls {
        calls: Vec<ToolCallState>,
        interleaved: bool,
    }

    /// Open calls: their index, id, name and arguments.
    fn open(calls: &[(Option<u64>, Option<&str>, &str, &str)]) -> OpenCalls {
        let call =
            |(part, &(provider_index, id, name, arguments)): (u32, &(_, Option<&str>, _, _))| {
                let mut object = JsonObjectScanner::default();
                object.push(arguments);
                ToolCallState {
                    part,
                    provider_index,
                    has_generated_id: id.is_none(),
                    provider_id: None,
                    call: ToolCall::new(id.unwrap_or("made"), name, arguments),
                    json_scanner: object,
                    started: true,
                    closed: false,
                }
            };
        OpenCalls {
            calls: (0..).zip(calls).map(call).collect(),
            interleaved: false,
        }
    }

    /// The call of a fragment with this index, id, name and these arguments; `None` if it is ambiguous.
    fn goes(
        open: &OpenCalls,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        arguments: Option<&str>,
    ) -> Option<CallMatch> {
        match_call(
            &open.calls,
            open.interleaved,
            &ToolFragment::new(index, id, name, arguments),
        )
        .ok()
    }

    const NO: Option<&str> = None;
    const F: Option<&str> = Some("f");
    const G: Option<&str> = Some("g");
    const X: Option<&str> = Some("x");
    const Y: Option<&str> = Some("y");
    const MORE: Option<&str> = Some(":1}");
    const WHOLE: Option<&str> = Some("{}");
    const AT_0: Option<CallMatch> = Some(CallMatch::Existing(0));
    const NEW: Option<CallMatch> = Some(CallMatch::New);
    const NOWHERE: Option<CallMatch> = Some(CallMatch::Ignored);

    #[test]
    fn first_fragment_with_content_starts_a_call() {
        let none = open(&[]);
        assert_eq!(goes(&none, Some(0), NO, NO, NO), NOWHERE);
        for (id, name, arguments) in [(X, NO, NO), (NO, F, NO), (NO, NO, WHOLE)] {
            assert_eq!(goes(&none, None, id, name, arguments), NEW);
        }
    }

    #[test]
    fn id_matches_regardless_of_index() {
        let two = open(&[(Some(0), X, "f", "{"), (Some(1), Y, "g", "{")]);
        assert_eq!(goes(&two, Some(1), X, NO, MORE), AT_0);
        assert_eq!(goes(&two, None, Y, G, MORE), Some(CallMatch::Existing(1)));
        assert_eq!(goes(&two, Some(0), Some("z"), NO, MORE), NEW);
        assert_eq!(goes(&two, None, Some("z"), NO, MORE), NEW);
    }

    #[test]
    fn calls_with_one_id_are_distinguished_by_index() {
        let closed = open(&[(Some(0), X, "f", "{}")]);
        assert_eq!(goes(&closed, Some(1), X, F, WHOLE), NEW);
        assert_eq!(goes(&closed, Some(1), X, F, NO), NEW);
        assert_eq!(goes(&closed, Some(1), X, NO, WHOLE), NEW);
        assert_eq!(goes(&closed, Some(1), X, NO, Some(" ")), AT_0);
        let bare = open(&[(Some(0), X, "f", "")]);
        assert_eq!(goes(&bare, Some(1), X, F, NO), NEW);
        let begun = open(&[(Some(0), X, "f", "{\"a\"")]);
        assert_eq!(goes(&begun, Some(1), X, F, Some("{\"a\"")), NEW);
        assert_eq!(goes(&begun, Some(1), X, F, MORE), AT_0);
        let mut two = open(&[(Some(0), X, "f", "{"), (Some(1), X, "f", "{")]);
        assert_eq!(goes(&two, Some(0), X, NO, MORE), AT_0);
        assert_eq!(
            goes(&two, Some(1), X, F, MORE),
            Some(CallMatch::Existing(1))
        );
        assert_eq!(goes(&two, None, X, NO, MORE), Some(CallMatch::Existing(1)));
        two.interleaved = true;
        assert_eq!(goes(&two, None, X, NO, MORE), None);
        assert_eq!(goes(&two, Some(0), X, NO, MORE), AT_0);
    }

    #[test]
    fn a_repeated_finished_call_is_not_a_second_call() {
        let closed = open(&[(Some(0), X, "f", "{\"a\": [1, \"{\"]}")]);
        let same = Some("{\"a\":[1,\"{\"]}");
        assert_eq!(goes(&closed, Some(0), X, F, same), NOWHERE);
        assert_eq!(goes(&closed, None, X, F, same), NOWHERE);
        for other in [Some("{\"a\":[1,\"}\"]}"), Some("{}")] {
            assert_eq!(goes(&closed, Some(0), X, F, other), NEW);
        }
        assert_eq!(goes(&closed, Some(1), X, F, same), NEW);
        assert_eq!(goes(&closed, Some(0), Y, F, same), NEW);
        assert_eq!(goes(&closed, Some(0), X, G, same), NEW);
        assert_eq!(goes(&closed, Some(0), NO, F, same), NEW);
    }

    #[test]
    fn a_late_id_is_added_to_a_call_without_one() {
        let nameless = open(&[(Some(0), NO, "f", "{")]);
        assert_eq!(goes(&nameless, None, X, NO, MORE), AT_0);
        assert_eq!(goes(&nameless, Some(0), X, NO, MORE), AT_0);
        assert_eq!(goes(&nameless, Some(1), X, NO, MORE), NEW);
        assert_eq!(goes(&nameless, None, X, F, MORE), NEW);
        // A generated id does not match an id from the provider.
        let two = open(&[(Some(0), NO, "f", "{"), (Some(1), Y, "g", "{")]);
        assert_eq!(goes(&two, None, Some("made"), NO, MORE), NEW);
    }

    #[test]
    fn an_index_has_precedence_over_the_last_call() {
        let two = open(&[(Some(0), X, "f", "{"), (Some(1), Y, "g", "{")]);
        assert_eq!(goes(&two, Some(0), NO, NO, MORE), AT_0);
        assert_eq!(goes(&two, Some(0), NO, F, MORE), AT_0);
        assert_eq!(goes(&two, Some(0), NO, G, MORE), NEW);
        let unnamed = open(&[(Some(0), X, "", "")]);
        assert_eq!(goes(&unnamed, Some(0), NO, F, WHOLE), AT_0);
    }

    #[test]
    fn a_name_after_complete_arguments_starts_a_call() {
        let closed = open(&[(Some(0), X, "f", "{}")]);
        assert_eq!(goes(&closed, Some(0), NO, F, WHOLE), NEW);
        assert_eq!(goes(&closed, Some(0), X, F, Some(" ")), AT_0);
        assert_eq!(goes(&closed, Some(0), NO, NO, Some("x")), AT_0);
        assert_eq!(goes(&closed, None, NO, F, WHOLE), NEW);
    }

    #[test]
    fn a_repeated_name_continues_only_an_unfinished_object() {
        let begun = open(&[(Some(0), X, "f", "{\"a\"")]);
        assert_eq!(goes(&begun, None, NO, F, MORE), AT_0);
        assert_eq!(goes(&begun, None, NO, F, WHOLE), AT_0);
        assert_eq!(goes(&begun, Some(9), NO, F, MORE), AT_0);
        assert_eq!(goes(&begun, Some(9), NO, F, Some(" {}")), NEW);
        assert_eq!(goes(&begun, None, NO, G, MORE), NEW);
        let bare = open(&[(Some(0), X, "f", "")]);
        assert_eq!(goes(&bare, None, NO, F, WHOLE), None);
        assert_eq!(goes(&bare, Some(9), NO, F, WHOLE), NEW);
        assert_eq!(goes(&bare, None, NO, G, WHOLE), NEW);
    }

    #[test]
    fn bare_arguments_belong_to_the_last_call_unless_ambiguous() {
        let mut two = open(&[(Some(0), X, "f", "{}"), (Some(1), Y, "g", "{")]);
        let last = Some(CallMatch::Existing(1));
        assert_eq!(goes(&two, None, NO, NO, MORE), last);
        assert_eq!(goes(&two, None, NO, NO, Some(" ")), last);
        assert_eq!(goes(&two, Some(9), NO, NO, MORE), last);
        two.interleaved = true;
        assert_eq!(goes(&two, None, NO, NO, MORE), None);
        let closed = open(&[(Some(0), X, "f", "{}")]);
        assert_eq!(goes(&closed, None, NO, NO, Some(" ")), NOWHERE);
        assert_eq!(goes(&closed, None, NO, NO, Some("}")), AT_0);
        assert_eq!(goes(&closed, Some(1), NO, NO, WHOLE), None);
    }

    #[test]
    fn braces_in_strings_do_not_end_an_object() {
        for (text, begun, closed) in [
            ("", false, false),
            (" \n", false, false),
            ("{", true, false),
            (" {}\n", true, true),
            ("{\"a\":[{}]}", true, true),
            ("{\"a\":[{}]", true, false),
            ("{\"}\"", true, false),
            ("{\"{\"}", true, true),
            ("{\"\\\"}", true, false),
            ("{\"\\\"}\"}", true, true),
            ("{\"\\\\\"}", true, true),
            ("\"open", true, false),
            ("7", true, true),
        ] {
            let mut object = JsonObjectScanner::default();
            for piece in text.split_inclusive(|_| true) {
                object.push(piece);
            }
            assert_eq!(
                (object.is_begun(), object.is_closed()),
                (begun, closed),
                "{text}"
            );
        }
    }

    fn seeded(seed: u64) -> CallIdGenerator {
        CallIdGenerator {
            seed,
            request: None,
        }
    }

    #[test]
    fn same_seed_and_position_give_the_same_id() {
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            for choice in 0..3 {
                for at in 0..20 {
                    let id = seeded(seed).generate(choice, at, |_| false);
                    assert_eq!(id, seeded(seed).generate(choice, at, |_| false));
                    assert_eq!(id.len(), 21);
                    assert!(seen.insert(id));
                }
            }
        }
    }

    #[test]
    fn generated_ids_avoid_those_of_the_conversation() {
        let first = seeded(7).generate(0, 0, |_| false);
        let call = ContentPart::ToolCall(ToolCall::new(&*first, "f", "{}"));
        let message = Message::new(Role::Assistant, vec![call]);
        let ids = CallIdGenerator {
            seed: 7,
            request: Some(Arc::new(ChatRequest::new("m").message(message))),
        };
        assert!(ids.in_history(&first) && !ids.in_history("other"));
        let second = ids.generate(0, 0, |_| false);
        assert_ne!(first, second);
        assert_ne!(ids.generate(0, 0, |id| id == second), second);
    }
}
