//! A whole that comes after its pieces: only what the pieces left out is new.

use super::{
    Assembler, ToolFragment,
    open::OpenCall,
    parts::{Slot, part_at},
    place::same_json,
    think::{Side, ThinkSplitter},
};
use crate::{Error, ErrorKind, Warning};

/// What of a whole has not come in pieces.
#[derive(Debug, PartialEq, Eq)]
enum Rest<'w> {
    New(&'w str),
    /// The pieces say something else.
    Differs,
}

/// What of `whole` is new after `seen`. White space at the ends makes no difference.
fn rest<'w>(seen: &str, whole: &'w str) -> Rest<'w> {
    match whole.strip_prefix(seen) {
        Some(rest) => Rest::New(rest),
        None if seen.starts_with(whole) || seen.trim() == whole.trim() => Rest::New(""),
        None => Rest::Differs,
    }
}

/// # Wholes
impl Assembler {
    /// The whole text of a part, as far as it is known. `false`, and nothing is taken, if the pieces say something else.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub(crate) fn whole_text(
        &mut self,
        choice: u32,
        part: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        if self.extract_think {
            return self.whole_with_thoughts(choice, part, whole);
        }
        let own = part_at(part, Slot::Text)?;
        match rest(
            self.accumulator.text(choice, own).unwrap_or_default(),
            whole,
        ) {
            Rest::New(rest) => self.text(choice, part, rest).map(|()| true),
            Rest::Differs => Ok(false),
        }
    }

    /// The same for reasoning.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub(crate) fn whole_reasoning(
        &mut self,
        choice: u32,
        part: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        let own = part_at(part, Slot::Reasoning)?;
        match rest(
            self.accumulator.text(choice, own).unwrap_or_default(),
            whole,
        ) {
            Rest::New(rest) => self.reasoning(choice, part, rest).map(|()| true),
            Rest::Differs => Ok(false),
        }
    }

    /// The same for a refusal.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub(crate) fn whole_refusal(
        &mut self,
        choice: u32,
        part: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        let own = part_at(part, Slot::Refusal)?;
        match rest(
            self.accumulator.text(choice, own).unwrap_or_default(),
            whole,
        ) {
            Rest::New(rest) => self.refusal(choice, part, rest).map(|()| true),
            Rest::Differs => Ok(false),
        }
    }

    /// What the text and the thoughts in it are is known when the whole is split as its pieces were.
    fn whole_with_thoughts(&mut self, choice: u32, place: u32, whole: &str) -> Result<bool, Error> {
        let (mut text, mut thoughts) = (String::new(), String::new());
        let mut splitter = ThinkSplitter::default();
        splitter.push(whole, &mut |side, piece: &str| match side {
            Side::Text => text.push_str(piece),
            Side::Reasoning => thoughts.push_str(piece),
        });
        let text_part = part_at(place, Slot::Text)?;
        let thought_part = part_at(place, Slot::Thought)?;
        let rests = (
            rest(
                self.accumulator.text(choice, text_part).unwrap_or_default(),
                &text,
            ),
            rest(
                self.accumulator
                    .text(choice, thought_part)
                    .unwrap_or_default(),
                &thoughts,
            ),
        );
        let (new_text, new_thoughts) = match rests {
            (Rest::New(text), Rest::New(thoughts)) => (text.to_owned(), thoughts.to_owned()),
            _ => return Ok(false),
        };
        self.retain(new_text.len().saturating_add(new_thoughts.len()))?;
        let open = self.open(choice)?;
        match open.think.iter_mut().find(|(other, _)| *other == place) {
            Some((_, old)) => *old = splitter,
            None => open.think.push((place, splitter)),
        }
        let pieces = [(Side::Reasoning, new_thoughts), (Side::Text, new_text)];
        let pieces = pieces.into_iter().filter(|(_, piece)| !piece.is_empty());
        self.split_text(choice, place, pieces.collect())?;
        Ok(true)
    }

    /// The calls of a whole message, in their order, and the position of each among all calls of the answer.
    ///
    /// # Errors
    /// `protocol` if a call has other arguments than its pieces; `too_large` past the limits.
    pub(crate) fn whole_calls(
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
                        "a tool call has other arguments in the whole message than in its pieces",
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
            open.touched = at;
            self.extend_call(choice, at, fragment)?;
        }
        Ok(taken)
    }

    /// A whole says something else than its pieces, which are with the caller already.
    pub(crate) fn warn_of_difference(&mut self, what: &str) {
        self.warn_once(Warning::new(
            "message_differs",
            format!("{what} of the whole message differs from its pieces; the pieces are kept"),
        ));
    }
}

/// Whether a whole call can be this one: by its id, or, where one of them has none, by its index or position.
fn is_same(call: &OpenCall, at: usize, whole: &ToolFragment<'_>, position: usize) -> bool {
    let same_name = whole
        .name
        .is_none_or(|name| call.call.name.is_empty() || call.call.name == name);
    let same_place = match (whole.index, call.wire_index) {
        (Some(whole), Some(call)) => whole == call,
        _ => at == position,
    };
    let same_id = match (whole.id, call.given_id()) {
        (Some(whole), Some(call)) => whole == call,
        _ => same_place,
    };
    same_name && same_id
}

/// The arguments that a whole call has beyond those that came; `None` if they differ.
fn more<'w>(call: &OpenCall, whole: &ToolFragment<'w>) -> Option<&'w str> {
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
    use crate::event::assembler::told::*;

    #[test]
    fn of_a_whole_only_what_is_new_is_told() {
        let mut stream = stream();
        assert!(stream.whole_text(0, 1, "Hel").unwrap());
        stream.text(0, 1, "lo").unwrap();
        for (whole, fits) in [
            ("Hello", true),
            ("Hel", true),
            (" Hello\n", true),
            ("Hello you", true),
            ("Hallo", false),
        ] {
            assert_eq!(stream.whole_text(0, 1, whole).unwrap(), fits, "{whole}");
        }
        assert!(stream.whole_reasoning(0, 0, "so").unwrap());
        assert!(stream.whole_reasoning(0, 0, "so").unwrap());
        assert!(!stream.whole_reasoning(0, 0, "no").unwrap());
        assert!(stream.whole_refusal(0, 2, "I'm").unwrap());
        assert!(stream.whole_refusal(0, 2, "I'm sorry").unwrap());
        assert!(!stream.whole_refusal(0, 2, "Sorry").unwrap());
        assert_eq!(
            told(&mut stream),
            "text 1, 'Hel', 'lo', ' you', end 1, reasoning 0, 'so', end 0, refusal 'I'm', refusal ' sorry'"
        );
    }

    #[test]
    fn a_whole_with_thoughts_is_split_as_its_pieces_were() {
        let whole = "<think>a b</think>c <";
        for cut in 0..=whole.len() {
            let mut stream = stream();
            stream.extract_think(true);
            stream.text(0, 1, &whole[..cut]).unwrap();
            assert!(stream.whole_text(0, 1, whole).unwrap());
            assert!(stream.whole_text(0, 1, whole).unwrap());
            assert!(!stream.whole_text(0, 1, "<think>a c").unwrap());
            stream.settle().unwrap();
            let response = Box::new(stream).into_response();
            assert_eq!((&*response.text(), &*response.reasoning()), ("c <", "a b"));
        }
    }

    #[test]
    fn calls_of_a_whole_are_known_by_id_or_place() {
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
        assert_eq!(stream.whole_calls(0, &all).unwrap(), [0, 1, 2]);
        assert_eq!(stream.whole_calls(0, &all).unwrap(), [0, 1, 2]);
        let other = [whole(Some(0), "x", "f", "{\"a\":2}")];
        assert!(stream.whole_calls(0, &other).is_err());
        stream.settle().unwrap();
        let response = Box::new(stream).into_response();
        let calls: Vec<_> = response
            .tool_calls()
            .map(|call| (&*call.id, &*call.arguments))
            .collect();
        assert_eq!(calls, [("x", "{\"a\":1}"), ("y", "{}"), ("z", "{}")]);
    }

    #[test]
    fn a_whole_without_pieces_may_have_one_id_twice() {
        let call = ToolFragment::new(None, Some("x"), Some("f"), Some("{}"));
        let mut stream = stream();
        assert_eq!(stream.whole_calls(0, &[call, call]).unwrap(), [0, 1]);
        assert_eq!(stream.whole_calls(0, &[call, call]).unwrap(), [0, 1]);
        stream.settle().unwrap();
        let response = Box::new(stream).into_response();
        let ids: Vec<_> = response.tool_calls().map(|call| &*call.id).collect();
        assert_eq!((ids.len(), ids[0]), (2, "x"));
        assert_ne!(ids[1], "x");
    }
}
