//! What events bring of the items that have no place of their own (custom calls, code, patches, commands), and how the
//! finished item compares with it. Nothing of such an item is handed out before it is finished: the finished one counts.

use super::{arguments, parts::hash, unknown};
use crate::{
    Error, Json,
    provider::kit::{
        json_object::JsonObject,
        lenient::{List, Object, Raw, object},
    },
};
use std::{borrow::Cow, collections::BTreeMap};

/// A text of an item that comes in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// The input of a custom call.
    Input,
    /// The arguments of a call of an MCP server.
    Arguments,
    /// The code of the code interpreter.
    Code,
    /// `operation.diff` of a patch.
    Diff,
    /// One of `action.commands` for a shell.
    Command(u64),
    /// `stdout` of one of the `output` of a shell.
    Stdout(u64),
    Stderr(u64),
}

/// The texts of one item.
#[derive(Debug, Default)]
pub(super) struct Streamed(BTreeMap<Member, Piece>);

#[derive(Debug, Default)]
struct Piece {
    text: String,
    /// An event gave the whole text.
    is_whole: bool,
}

object! {
    /// The members of an item that come in events.
    struct Shape<'a> {
        input: Raw<'a>,
        arguments: Raw<'a>,
        code: Raw<'a>,
        operation: Object<Operation<'a>>,
        action: Object<Action<'a>>,
        output: Raw<'a>,
    }
}

object! {
    struct Operation<'a> {
        diff: Raw<'a>,
    }
}

object! {
    struct Action<'a> {
        commands: List<Raw<'a>>,
    }
}

object! {
    struct Output<'a> {
        stdout: Raw<'a>,
        stderr: Raw<'a>,
    }
}

impl Member {
    pub(super) fn name(self) -> &'static str {
        match self {
            Member::Input => "input",
            Member::Arguments => "arguments",
            Member::Code => "code",
            Member::Diff => "operation.diff",
            Member::Command(_) => "action.commands",
            Member::Stdout(_) => "output.stdout",
            Member::Stderr(_) => "output.stderr",
        }
    }

    fn of<'a>(self, item: &Shape<'a>, output: &[Output<'a>]) -> Raw<'a> {
        let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let raw = match self {
            Member::Input => Some(item.input),
            Member::Arguments => Some(item.arguments),
            Member::Code => Some(item.code),
            Member::Diff => item.operation.0.as_ref().map(|operation| operation.diff),
            Member::Command(n) => {
                let action = item.action.0.as_ref();
                action.and_then(|action| action.commands.0.get(at(n)).copied())
            }
            Member::Stdout(n) => output.get(at(n)).map(|output| output.stdout),
            Member::Stderr(n) => output.get(at(n)).map(|output| output.stderr),
        };
        raw.unwrap_or_default()
    }
}

impl Streamed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an event gave a text whole.
    pub(super) fn has_whole(&self) -> bool {
        self.0.values().any(|piece| piece.is_whole)
    }

    /// More of a text. Returns false if it was whole before.
    pub(super) fn add(&mut self, member: Member, delta: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        if !piece.is_whole {
            piece.text.push_str(delta);
        }
        !piece.is_whole || delta.is_empty()
    }

    /// A whole text, which takes the place of its deltas. An empty one says nothing. Returns false if they differ.
    pub(super) fn whole(&mut self, member: Member, text: &str) -> bool {
        let piece = self.0.entry(member).or_default();
        piece.is_whole = true;
        let is_same = text.is_empty() || piece.text.is_empty() || is_same(&piece.text, text);
        if !text.is_empty() {
            text.clone_into(&mut piece.text);
        }
        is_same
    }

    /// The finished item, with the texts that it leaves out because they came before, and the members that differ.
    pub(super) fn complete(&self, item: Json) -> Result<(Json, Vec<&'static str>), Error> {
        let raw: Raw<'_> = crate::provider::kit::lenient::parse(item.as_str())?;
        let shape: Shape<'_> = raw.read().unwrap_or_default();
        let output: List<Object<Output<'_>>> = shape.output.read().unwrap_or_default();
        let output: Vec<Output<'_>> = output
            .0
            .into_iter()
            .map(|output| output.0.unwrap_or_default())
            .collect();
        let (mut differing, mut missing) = (Vec::new(), Vec::new());
        for (member, piece) in self.0.iter().filter(|(_, piece)| !piece.text.is_empty()) {
            let finished = text_of(member.of(&shape, &output));
            if finished.is_empty() {
                missing.push((*member, &*piece.text));
            } else if !is_same(&piece.text, &finished) && !differing.contains(&member.name()) {
                differing.push(member.name());
            }
        }
        let mut commands = Vec::new();
        let mut filled: Option<JsonObject> = None;
        for (member, text) in missing {
            let all = match &mut filled {
                Some(all) => all,
                None => match JsonObject::read(item.as_str()) {
                    Some(all) => filled.insert(all),
                    None => return Ok((item, differing)),
                },
            };
            match member {
                Member::Input | Member::Arguments | Member::Code => {
                    all.set(member.name(), Json::new(text)?);
                }
                Member::Diff => set_inner(all, "operation", "diff", Json::new(text)?)?,
                Member::Command(_) => commands.push(text),
                Member::Stdout(_) | Member::Stderr(_) => differing.push(member.name()),
            }
        }
        let has_commands = shape
            .action
            .0
            .as_ref()
            .is_some_and(|action| !action.commands.0.is_empty());
        match &mut filled {
            Some(all) if !commands.is_empty() && !has_commands => {
                set_inner(all, "action", "commands", Json::new(&commands)?)?;
            }
            _ if !commands.is_empty() => differing.push(Member::Command(0).name()),
            _ => {}
        }
        match filled {
            Some(all) => Ok((all.to_json()?, differing)),
            None => Ok((item, differing)),
        }
    }
}

/// Sets a member of the object that a member is.
fn set_inner(all: &mut JsonObject, outer: &str, inner: &str, value: Json) -> Result<(), Error> {
    let object = all
        .get(outer)
        .and_then(|json| JsonObject::read(json.as_str()));
    let mut object = object.unwrap_or_default();
    object.set(inner, value);
    all.set(outer, object.to_json()?);
    Ok(())
}

/// A text, or another value as it is spelled.
pub(super) fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    raw.arguments()
        .unwrap_or_else(|_| raw.text().unwrap_or_default().into())
}

/// Whether two texts are equal, or two spellings of one JSON value.
fn is_same(one: &str, other: &str) -> bool {
    let is_json = |text: &str| text.trim_ascii_start().starts_with(['{', '[']);
    one == other || (is_json(one) && arguments::same(one, other))
}

/// The members of a finished item, by hashes of name and value: enough to notice that its repetition says something else.
#[derive(Debug, Default)]
pub(super) struct ItemFingerprint(Vec<(u64, u64)>);

/// Members in which a repetition may differ without saying anything else: servers change ids and encryption from event to event.
const CHANGING: &[&str] = &["id", "status", "encrypted_content", "fingerprint"];

impl ItemFingerprint {
    pub(super) fn of(item: Raw<'_>) -> ItemFingerprint {
        let mut members = Vec::new();
        let _ = unknown::members(item, CHANGING, &mut |name, value| {
            members.push((hash(name), arguments::hash_of(value)));
            Ok(())
        });
        members.sort_unstable();
        ItemFingerprint(members)
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.0.len().saturating_mul(size_of::<(u64, u64)>())
    }

    /// The first members of a repetition that are others, or that were not there.
    pub(super) fn differing(&self, item: Raw<'_>) -> Vec<String> {
        const MOST: usize = 4;
        let mut names = Vec::new();
        let _ = unknown::members(item, CHANGING, &mut |name, value| {
            let member = (hash(name), arguments::hash_of(value));
            if self.0.binary_search(&member).is_err() && names.len() < MOST {
                names.push(name.to_owned());
            }
            Ok(())
        });
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kit::lenient;

    fn complete(streamed: &Streamed, item: &str) -> (String, Vec<&'static str>) {
        let (item, differing) = streamed.complete(Json::parse(item).unwrap()).unwrap();
        (item.as_str().to_owned(), differing)
    }

    #[test]
    fn a_finished_item_is_compared_with_its_events_and_filled_with_what_it_leaves_out() {
        let mut streamed = Streamed::default();
        assert!(streamed.add(Member::Input, "1 + "));
        assert!(streamed.add(Member::Input, "1"));
        assert_eq!(complete(&streamed, r#"{"input":"1 + 1"}"#).1, [""; 0]);
        assert_eq!(complete(&streamed, r#"{"input":"2"}"#).1, ["input"]);
        let (item, differing) = complete(&streamed, r#"{"name":"f","input":""}"#);
        assert_eq!(
            (&*item, differing.len()),
            (r#"{"name":"f","input":"1 + 1"}"#, 0)
        );

        assert!(!streamed.whole(Member::Input, "2"));
        assert!(!streamed.add(Member::Input, "2"));
        assert!(streamed.whole(Member::Input, ""));
        assert_eq!(complete(&streamed, "{}").0, r#"{"input":"2"}"#);

        let mut streamed = Streamed::default();
        streamed.add(Member::Diff, "+a");
        streamed.add(Member::Command(0), "ls");
        streamed.add(Member::Command(1), "pwd");
        let (item, differing) = complete(
            &streamed,
            r#"{"operation":{"path":"p"},"action":{"commands":[]}}"#,
        );
        assert_eq!(
            (&*item, differing.len()),
            (
                r#"{"operation":{"path":"p","diff":"+a"},"action":{"commands":["ls","pwd"]}}"#,
                0
            )
        );
        let (_, differing) = complete(
            &streamed,
            r#"{"operation":{"diff":"+a"},"action":{"commands":["ls"]}}"#,
        );
        assert_eq!(differing, ["action.commands"]);

        let mut streamed = Streamed::default();
        streamed.add(Member::Stdout(0), "x");
        assert_eq!(
            complete(&streamed, r#"{"output":[{"stdout":"x"}]}"#).1,
            [""; 0]
        );
        assert_eq!(
            complete(&streamed, r#"{"output":[{"stdout":"y"}]}"#).1,
            ["output.stdout"]
        );
        assert_eq!(
            complete(&streamed, r#"{"output":"x"}"#).1,
            ["output.stdout"]
        );
    }

    #[test]
    fn a_repetition_is_compared_member_by_member() {
        let raw = |text| lenient::parse::<Raw<'_>>(text).unwrap();
        let fingerprint = ItemFingerprint::of(raw(r#"{"id":"1","a":{"b":"é"},"c":[1]}"#));
        for (again, expected) in [
            (r#"{"id":"2","c":[1],"a":{ "b" : "\u00e9" }}"#, &[][..]),
            (r#"{"a":{"b":"é"}}"#, &[]),
            (r#"{"c":null,"d":""}"#, &[]),
            (r#"{"a":{"b":"e"},"d":1}"#, &["a", "d"]),
        ] {
            assert_eq!(fingerprint.differing(raw(again)), expected, "{again}");
        }
    }
}
