//! Ids of tool calls as the next server takes them: in its form, and each only once in a conversation.
//!
//! A conversation that began with another provider carries ids that this one may refuse. An id that fits is not changed.
//! Any other gets one that is made from it, in the call and in its result alike. The made id depends on nothing but the old
//! one, unless two collide, so that it stays the same while the conversation grows and prompt caches hold.

use super::result_places;
use crate::provider::IdFormat;
use crate::{ChatRequest, ContentPart, Error, ErrorKind, Json, Message, Role, policy::Rng};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// The most characters of a made id.
const MAX_GENERATED_CHARS: usize = 40;

/// How many of them tell it from others: 62^16 is more than 2^95.
const GENERATED_DIGITS: usize = 16;

/// More tries mean that the form has too few ids.
const MAX_TRIES: u32 = 1000;

/// What a server wants of calls and results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links<'a> {
    /// The form of an id.
    pub(crate) form: IdFormat,
    /// Whether the server keeps an earlier part of the conversation, so that a result may answer a call that the request does not
    /// show.
    pub(crate) has_earlier_calls: bool,
    /// The provider's name, if its server refuses a conversation in which a call has no result.
    pub(crate) wants_results: Option<&'a str>,
}

impl<'a> Links<'a> {
    /// Ids of this form, all calls in the request, and calls may be without results.
    pub(crate) fn new(form: IdFormat) -> Self {
        Links {
            form,
            has_earlier_calls: false,
            wants_results: None,
        }
    }

    /// The same for a server that refuses a call without a result, if it is one.
    pub(crate) fn with_results(self, provider: &'a str, is_wanted: bool) -> Self {
        Links {
            wants_results: is_wanted.then_some(provider),
            ..self
        }
    }
}

/// The request with ids of the server's form, each only once, and each result directly behind the turn of its call where the
/// server wants that. The same request if that is so already.
///
/// Each result belongs to the call of its id in the turn before it.
///
/// # Errors
/// `invalid_request` that names the place of a result whose call is missing or has another result, or of a call without one where
/// the server wants it.
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
    // A server that refuses a call without a result wants the result directly behind it.
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

/// The calls of a conversation, and which of them each result answers.
#[derive(Default)]
struct History<'a> {
    calls: Vec<Call<'a>>,
    /// By result; `None` if the call is none of `calls`.
    answered: Vec<Option<usize>>,
    /// Ids that stand in results alone.
    elsewhere: Vec<&'a str>,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    /// The number of messages of others before it: calls of the same turn have the same.
    turn: usize,
    /// The numbers of its message and of its part.
    place: (usize, usize),
}

/// The calls of one id.
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

    /// The new id of each call, `None` where the old one stays.
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
    /// The call that the next result answers: in the latest turn that has one without a result, the one of its name if it
    /// has any, else the first. `None` if all have results.
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

/// Whether the call may be one in a provider's own JSON.
fn is_in_provider_block(messages: &[Message], id: &str) -> bool {
    let Ok(text) = Json::new(id) else {
        return false;
    };
    let mut parts = messages.iter().flat_map(|message| &message.content);
    parts.any(|part| match part {
        ContentPart::ProviderBlock(block) => block.block.as_str().contains(text.as_str()),
        _ => false,
    })
}

fn without_call(message: usize, part: usize, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is a tool result for `{}`, but no such call is in the messages before it: add the assistant's message with the call, or leave the result out",
            id.escape_debug()
        ),
    )
}

fn answered_twice(message: usize, part: usize, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is another tool result for `{}`, which has one before it: a call has one result, so leave one of them out",
            id.escape_debug()
        ),
    )
}

fn without_result(call: &Call<'_>, provider: &str) -> Error {
    let (message, part) = call.place;
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`messages[{message}].content[{part}]` is the tool call `{}`, which has no result, and `{provider}` refuses such a conversation: add a `ToolResult` for it, for example one that says that the call was cancelled, or leave the call out",
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

/// FNV-1a of the id and of how often it came before.
fn digits(id: &str, number: u64) -> Rng {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in number.to_be_bytes().iter().chain(id.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::new(hash)
}

/// The beginning of the old id, so that messages can be understood, and digits that tell it from others. Where the form has
/// no `_`, only digits.
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
    fn conforming_schema_is_not_copied() {
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
    fn ids_that_differ_stay_different() {
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
    fn a_made_id_avoids_one_that_fits_and_is_the_same_every_time() {
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
    fn an_id_of_two_turns_is_made_two_and_each_result_follows_its_call() {
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
    fn a_call_without_a_result_takes_none_from_a_later_turn() {
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
            message.contains("`messages[2].content[0]`") && message.contains("another"),
            "{message}"
        );
        // Two calls of one id have one each.
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
