//! Converts tool-call ids to the server's form and makes them unique in the conversation.
//!
//! A conversation from another provider contains ids that this one may refuse. An id that fits is not changed. Any
//! other id is replaced in the call and in its result. The new id depends only on the old one, unless two collide, so
//! that it stays the same while the conversation grows and prompt caches stay valid.

use super::result_places;
use crate::provider::IdFormat;
use crate::{ChatRequest, ContentPart, Error, ErrorKind, Json, Message, Role, policy::Rng};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Maximum length of a generated id.
const MAX_GENERATED_CHARS: usize = 40;

/// The number of random characters in it: 62^16 is more than 2^95.
const GENERATED_DIGITS: usize = 16;

/// More tries mean that the form has too few ids.
const MAX_TRIES: u32 = 1000;

/// A server's requirements for calls and results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links<'a> {
    /// The form of an id.
    pub(crate) form: IdFormat,
    /// Whether the server stores an earlier part of the conversation, so that a result may belong to a call outside
    /// the request.
    pub(crate) has_earlier_calls: bool,
    /// The provider's name, if its server refuses a call without a result.
    pub(crate) wants_results: Option<&'a str>,
}

impl<'a> Links<'a> {
    /// Requires ids of this form; all calls are in the request, and calls may lack results.
    pub(crate) fn new(form: IdFormat) -> Self {
        Links {
            form,
            has_earlier_calls: false,
            wants_results: None,
        }
    }

    /// Also requires results, if `is_wanted`.
    pub(crate) fn with_results(self, provider: &'a str, is_wanted: bool) -> Self {
        Links {
            wants_results: is_wanted.then_some(provider),
            ..self
        }
    }
}

/// Returns the request with unique ids of the server's form, and each result directly after the turn of its call if
/// the server requires that. Returns the same request if nothing changes.
///
/// Each result belongs to the call with its id in the turn before it.
///
/// # Errors
/// `invalid_request` with the path of a result whose call is missing or has another result, or of a call without a
/// result if the server requires one.
pub(crate) fn fit<'r>(
    request: &'r ChatRequest,
    links: Links<'_>,
) -> Result<Cow<'r, ChatRequest>, Error> {
    let form = links.form;
    let history = History::read(&request.messages, links.has_earlier_calls)?;
    if let Some(provider) = links.wants_results.filter(|_| !links.has_earlier_calls) {
        history.refuse_unanswered(&request.messages, provider)?;
    }
    let ids = history.ids(form)?;
    // A server that refuses a call without a result requires the result directly after it.
    let targets = links.wants_results.and_then(|_| {
        let calls = history.answered.iter();
        let place = |call: &Option<usize>| history.calls.get((*call)?).map(|call| call.place.0);
        result_places::targets(&request.messages, calls.map(place))
    });
    if ids.iter().all(Option::is_none) && targets.is_none() {
        return Ok(Cow::Borrowed(request));
    }
    let mut request = request.clone();
    let mut call = 0_usize;
    let mut answered = history.answered.iter();
    let new_id = |call: usize| ids.get(call).and_then(Option::as_ref);
    let parts = request.messages.iter_mut().flat_map(|m| &mut m.content);
    for part in parts {
        match part {
            ContentPart::ToolCall(own) => {
                if let Some(id) = new_id(call) {
                    own.id.clone_from(id);
                }
                call = call.saturating_add(1);
            }
            ContentPart::ToolResult(result) => {
                if let Some(id) = answered.next().copied().flatten().and_then(new_id) {
                    result.call_id.clone_from(id);
                }
            }
            _ => {}
        }
    }
    if let Some(targets) = targets {
        request.messages = result_places::placed(&request.messages, targets);
    }
    Ok(Cow::Owned(request))
}

/// The calls of a conversation, and the call of each result.
#[derive(Default)]
struct History<'a> {
    calls: Vec<Call<'a>>,
    /// By result; `None` if the call is not in `calls`.
    answered: Vec<Option<usize>>,
    /// Ids that occur only in results.
    elsewhere: Vec<&'a str>,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    /// The number of messages of other roles before it: calls of the same turn have the same number.
    turn: usize,
    /// The indexes of its message and of its part.
    place: (usize, usize),
}

/// The calls with one id.
#[derive(Default)]
struct DuplicateId {
    open: Vec<usize>,
}

impl<'a> History<'a> {
    fn read(messages: &'a [Message], has_earlier_calls: bool) -> Result<Self, Error> {
        let mut history = History::default();
        let mut by_id: BTreeMap<&str, DuplicateId> = BTreeMap::new();
        let mut turn = 0_usize;
        for (number, message) in messages.iter().enumerate() {
            if message.role != Role::Assistant {
                turn = turn.saturating_add(1);
            }
            for (place, part) in message.content.iter().enumerate() {
                match part {
                    ContentPart::ToolCall(call) => {
                        let same = by_id.entry(&call.id).or_default();
                        same.open.push(history.calls.len());
                        history.calls.push(Call {
                            id: &call.id,
                            name: &call.name,
                            turn,
                            place: (number, place),
                        });
                    }
                    ContentPart::ToolResult(result) => {
                        let same = by_id.get_mut(result.call_id.as_str());
                        let is_known = same.is_some();
                        let call = same
                            .and_then(|same| same.answered(result.name.as_deref(), &history.calls));
                        if call.is_none() {
                            let may_be_elsewhere = (has_earlier_calls && !is_known)
                                || is_in_provider_block(messages, &result.call_id);
                            if !may_be_elsewhere {
                                let id = &result.call_id;
                                return Err(match is_known {
                                    true => answered_twice(number, place, id),
                                    false => without_call(number, place, id),
                                });
                            }
                            history.elsewhere.push(&result.call_id);
                        }
                        history.answered.push(call);
                    }
                    _ => {}
                }
            }
        }
        Ok(history)
    }

    fn refuse_unanswered(&self, messages: &[Message], provider: &str) -> Result<(), Error> {
        let answered: BTreeSet<usize> = self.answered.iter().copied().flatten().collect();
        let open = self.calls.iter().enumerate().find(|(number, call)| {
            !answered.contains(number) && !is_in_provider_block(messages, call.id)
        });
        match open {
            Some((_, call)) => Err(without_result(call, provider)),
            None => Ok(()),
        }
    }

    /// The new id of each call; `None` if the old one stays.
    fn ids(&self, form: IdFormat) -> Result<Vec<Option<String>>, Error> {
        let mut taken: BTreeSet<Cow<'_, str>> =
            self.elsewhere.iter().map(|id| Cow::Borrowed(*id)).collect();
        let mut keeps = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            keeps.push(form.fits(call.id) && taken.insert(Cow::Borrowed(call.id)));
        }
        let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
        let mut ids = Vec::with_capacity(self.calls.len());
        for (call, keeps) in self.calls.iter().zip(keeps) {
            let used = uses.entry(call.id).or_default();
            let number = *used;
            *used = used.saturating_add(1);
            if keeps {
                ids.push(None);
                continue;
            }
            let mut digits = digits(call.id, number);
            let mut made = (0..MAX_TRIES).map(|_| generate_id(call.id, &mut digits, form));
            let free = made.find(|id| taken.insert(Cow::Owned(id.clone())));
            ids.push(Some(free.ok_or_else(|| too_many(form))?));
        }
        Ok(ids)
    }
}

impl DuplicateId {
    /// The call of the next result: in the latest turn that has a call without a result, the call with its name, if
    /// it has a name, else the first. `None` if all calls have results.
    fn answered(&mut self, name: Option<&str>, calls: &[Call<'_>]) -> Option<usize> {
        let turn_of = |index: &usize| calls.get(*index).map(|call| call.turn);
        let latest = self.open.last().and_then(turn_of)?;
        let earlier = |index: &usize| turn_of(index) != Some(latest);
        let first = self
            .open
            .iter()
            .rposition(earlier)
            .map_or(0, |index| index.saturating_add(1));
        let is_named = |index: &usize| calls.get(*index).map(|call| call.name) == name;
        let of_name = self.open.iter().skip(first).position(is_named);
        let chosen = first.saturating_add(of_name.unwrap_or(0));
        (chosen < self.open.len()).then(|| self.open.remove(chosen))
    }
}

/// Whether the call may be in a provider block.
fn is_in_provider_block(messages: &[Message], id: &str) -> bool {
    let Ok(text) = Json::new(id) else {
        return false;
    };
    let mut parts = messages.iter().flat_map(|message| &message.content);
    parts.any(|part| {
        let raw = part.raw();
        raw.is_some_and(|block| block.block.as_str().contains(text.as_str()))
    })
}

fn without_call(message: usize, part: usize, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is a tool result for `{}`, but the messages before it contain no such call: add the assistant message with the call, or remove the result",
            id.escape_debug()
        ),
    )
}

fn answered_twice(message: usize, part: usize, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is a second tool result for `{}`: a call has one result, so remove one of them",
            id.escape_debug()
        ),
    )
}

fn without_result(call: &Call<'_>, provider: &str) -> Error {
    let (message, part) = call.place;
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is the tool call `{}` without a result, which `{provider}` refuses: add a `ToolResult` for it, for example one that says that the call was cancelled, or leave the call out",
            call.id.escape_debug()
        ),
    )
}

fn too_many(form: IdFormat) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages` has more tool calls than there are ids of {}",
            form.description()
        ),
    )
}

/// FNV-1a of the id and of the number of its earlier uses.
fn digits(id: &str, number: u64) -> Rng {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in number.to_be_bytes().iter().chain(id.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::new(hash)
}

/// The beginning of the old id, for readability, and characters that make it unique. If the form has no `_`, only the
/// latter.
fn generate_id(id: &str, digits: &mut Rng, form: IdFormat) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let most = form.max.min(MAX_GENERATED_CHARS);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut made = String::with_capacity(most);
    if !id.is_empty() && form.punctuation.is_none_or(|others| others.contains('_')) {
        let room = most.saturating_sub(GENERATED_DIGITS.saturating_add(1));
        made.extend(id.chars().map(plain).take(room));
        made.push('_');
    }
    let length = made.len().saturating_add(GENERATED_DIGITS);
    let length = length.min(most).max(form.min);
    while made.len() < length {
        let index = usize::try_from(digits.next_u64() % 62).unwrap_or_default();
        made.push(ALPHABET.get(index).map_or('0', |byte| char::from(*byte)));
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolCall, ToolResult};

    const MISTRAL: IdFormat = IdFormat::new(9, 9).only("");
    const SHORT: IdFormat = IdFormat::new(1, 40);

    fn calls(ids: &[&str]) -> Message {
        let call = |id: &&str| ContentPart::ToolCall(ToolCall::new(*id, "f", "{}"));
        Message::new(Role::Assistant, ids.iter().map(call).collect())
    }

    fn results(ids: &[&str]) -> Message {
        let result = |id: &&str| ContentPart::ToolResult(ToolResult::new(*id, "r"));
        Message::new(Role::Tool, ids.iter().map(result).collect())
    }

    fn fitted(messages: Vec<Message>, form: IdFormat) -> (Vec<String>, Vec<String>) {
        let request = ChatRequest::new("m").messages(messages);
        let fitted = fit(&request, Links::new(form)).unwrap();
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for part in fitted.messages.iter().flat_map(|m| &m.content) {
            match part {
                ContentPart::ToolCall(call) => calls.push(call.id.clone()),
                ContentPart::ToolResult(result) => results.push(result.call_id.clone()),
                _ => {}
            }
        }
        (calls, results)
    }

    #[test]
    fn conforming_ids_are_not_copied() {
        let request = ChatRequest::new("m").messages([
            Message::user("hi"),
            calls(&["abcDEF123", "abcDEF124"]),
            results(&["abcDEF124", "abcDEF123"]),
        ]);
        for form in [MISTRAL, SHORT, IdFormat::ANY] {
            assert!(matches!(
                fit(&request, Links::new(form)).unwrap(),
                Cow::Borrowed(_)
            ));
        }
    }

    #[test]
    fn different_ids_stay_different() {
        let long = "x".repeat(100);
        let ids: Vec<String> = ["a", "b", "", " ", "é", "toolu_01", "toolu-01", "abcDEF123"]
            .map(str::to_owned)
            .into_iter()
            .chain((0..500).map(|n| format!("{long}{n}")))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for form in [MISTRAL, SHORT, IdFormat::new(1, 64).only("_.:-")] {
            let (made, answered) = fitted(vec![calls(&ids), results(&ids)], form);
            assert_eq!(made, answered);
            assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), ids.len());
            assert!(made.iter().all(|id| form.fits(id)), "{made:?}");
        }
    }

    #[test]
    fn a_generated_id_avoids_existing_ones_and_is_reproducible() {
        let (first, _) = fitted(vec![calls(&["toolu_1"])], MISTRAL);
        let (again, _) = fitted(
            vec![
                calls(&["toolu_1"]),
                results(&["toolu_1"]),
                calls(&["toolu_2"]),
            ],
            MISTRAL,
        );
        assert_eq!(first[0], again[0]);
        let (beside, answered) = fitted(
            vec![
                calls(&["toolu_1"]),
                results(&["toolu_1"]),
                calls(&[&first[0]]),
                results(&[&first[0]]),
            ],
            MISTRAL,
        );
        assert_ne!(beside[0], beside[1]);
        assert_eq!(beside[1], first[0]);
        assert_eq!(beside, answered);
    }

    #[test]
    fn an_id_in_two_turns_becomes_two_and_results_keep_their_calls() {
        let (made, answered) = fitted(
            vec![
                calls(&["call_0"]),
                results(&["call_0"]),
                calls(&["call_0", "call_0"]),
                results(&["call_0", "call_0"]),
            ],
            IdFormat::ANY,
        );
        assert_eq!(made[0], "call_0");
        assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(made, answered);
    }

    #[test]
    fn a_call_without_a_result_gets_none_from_a_later_turn() {
        let (made, answered) = fitted(
            vec![
                calls(&["x"]),
                Message::user("never mind"),
                calls(&["x"]),
                results(&["x"]),
            ],
            IdFormat::ANY,
        );
        assert_eq!(answered, [made[1].clone()]);
        assert_ne!(made[0], made[1]);
    }

    #[test]
    fn names_distinguish_calls_with_one_id() {
        let call = |name| ContentPart::ToolCall(ToolCall::new("x", name, "{}"));
        let result = |name: &str| {
            let mut result = ToolResult::new("x", name);
            result.name = Some(name.to_owned());
            ContentPart::ToolResult(result)
        };
        let (made, answered) = fitted(
            vec![
                Message::new(Role::Assistant, vec![call("a"), call("b")]),
                Message::new(Role::Tool, vec![result("b"), result("a")]),
            ],
            IdFormat::ANY,
        );
        assert_eq!(answered, [made[1].clone(), made[0].clone()]);
    }

    #[test]
    fn a_result_needs_its_call_before_it() {
        let bad = [
            vec![Message::user("hi"), results(&["x"])],
            vec![calls(&["y"]), results(&["y", "x"])],
            vec![results(&["x"]), calls(&["x"])],
        ];
        let places = [(1, 0), (1, 1), (0, 0)];
        for (messages, (message, part)) in bad.into_iter().zip(places) {
            let request = ChatRequest::new("m").messages(messages);
            let error = fit(&request, Links::new(IdFormat::ANY)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            let place = format!("`messages[{message}].content[{part}]`");
            assert!(error.to_string().contains(&place), "{error}");
            let continued = Links {
                has_earlier_calls: true,
                ..Links::new(IdFormat::ANY)
            };
            assert!(fit(&request, continued).is_ok());
        }
    }

    #[test]
    fn a_call_has_one_result() {
        let twice = vec![calls(&["x", "y"]), results(&["x", "y"]), results(&["x"])];
        let request = ChatRequest::new("m").messages(twice);
        let error = fit(&request, Links::new(IdFormat::ANY)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(
            message.contains("`messages[2].content[0]`") && message.contains("second"),
            "{message}"
        );
        // Two calls with one id have one result each.
        let (made, answered) = fitted(
            vec![calls(&["x", "x"]), results(&["x"]), results(&["x"])],
            IdFormat::ANY,
        );
        assert_eq!(made, answered);
    }

    #[test]
    fn a_call_without_a_result_is_refused_where_the_server_refuses_it() {
        let block = Json::parse(r#"{"type":"tool_result","tool_use_id":"y"}"#).unwrap();
        let block = Message::new(Role::User, vec![ContentPart::provider_block("b", block)]);
        let open = [
            (vec![calls(&["x"])], Some((0, 0))),
            (
                vec![calls(&["x", "y"]), results(&["x"]), Message::user("hi")],
                Some((0, 1)),
            ),
            (
                vec![
                    calls(&["x"]),
                    Message::user("never mind"),
                    calls(&["x"]),
                    results(&["x"]),
                ],
                Some((0, 0)),
            ),
            (vec![calls(&["x", "y"]), results(&["y", "x"])], None),
            (vec![calls(&["y"]), block], None),
        ];
        for (messages, place) in open {
            let request = ChatRequest::new("m").messages(messages);
            let links = Links::new(IdFormat::ANY);
            assert!(fit(&request, links).is_ok());
            let fitted = fit(&request, links.with_results("one", true));
            match place {
                None => assert!(fitted.is_ok()),
                Some((message, part)) => {
                    let error = fitted.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    let place = format!("`messages[{message}].content[{part}]`");
                    assert!(error.message().contains(&place), "{error}");
                    assert!(error.message().contains("`one`"), "{error}");
                }
            }
        }
    }

    #[test]
    fn tool_call_inside_a_provider_block_is_found() {
        let block = Json::parse(r#"{"toolUse":{"toolUseId":"x y"}}"#).unwrap();
        let block = Message::new(
            Role::Assistant,
            vec![ContentPart::provider_block("b", block)],
        );
        let (_, answered) = fitted(vec![block, results(&["x y"])], IdFormat::ANY);
        assert_eq!(answered, ["x y"]);
    }

    #[test]
    fn id_format_with_too_few_ids_is_an_error() {
        let ids: Vec<String> = (0..80).map(|n| format!("id-{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let request = ChatRequest::new("m").message(calls(&ids));
        let error = fit(&request, Links::new(IdFormat::new(1, 1).only(""))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}
