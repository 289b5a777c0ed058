//! To which tool call a piece belongs, on wires that number calls badly or not at all (F80).

use super::{
    ToolFragment,
    open::{OpenCall, OpenChoice},
};
use crate::{Error, ErrorKind};

/// Where a piece goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the call at this position.
    At(usize),
    /// It begins a call.
    New,
    /// It says nothing.
    Nowhere,
}

/// Finds the call that a piece belongs to: by its id, then its index, else the last one. What could be meant in two ways
/// is an error, because arguments that went to the wrong call are a different command.
pub(super) fn place(open: &OpenChoice, piece: &ToolFragment<'_>) -> Result<Place, Error> {
    let calls = open.calls.as_slice();
    let blank = piece
        .arguments
        .is_none_or(|text| text.trim_ascii().is_empty());
    if piece.id.is_none() && piece.name.is_none() && piece.arguments.is_none() {
        return Ok(Place::Nowhere);
    }
    let by_index = || {
        let index = piece.index?;
        calls
            .iter()
            .rposition(|call| call.wire_index == Some(index))
    };
    let last = calls.len().checked_sub(1);
    if let Some(id) = piece.id {
        let known = calls
            .iter()
            .rposition(|call| !call.made_id && call.call.id == id);
        // An id may come late, for a call that has none yet.
        let late = || match piece.index {
            Some(_) => by_index(),
            None => last.filter(|_| piece.name.is_none()),
        };
        let nameless = |at: &usize| calls.get(*at).is_some_and(|call| call.made_id);
        return Ok(continue_or_begin(
            calls,
            known.or_else(|| late().filter(nameless)),
            piece,
            blank,
        ));
    }
    if let Some(at) = by_index() {
        return Ok(continue_or_begin(calls, Some(at), piece, blank));
    }
    let Some((at, call)) = last.and_then(|at| Some((at, calls.get(at)?))) else {
        return Ok(Place::New);
    };
    if let Some(name) = piece.name {
        // An index of its own, or another name: another call, unless it goes on with an object that is not at its end.
        let goes_on = call.call.name == name
            && call.object.is_begun()
            && !call.object.is_closed()
            && (piece.index.is_none() || !starts_object(piece));
        let unclear = call.call.name == name && !call.object.is_begun() && piece.index.is_none();
        return match (goes_on, unclear) {
            (true, _) => Ok(Place::At(at)),
            (_, true) => Err(ambiguous(
                "repeats the name of a call that has no arguments yet",
            )),
            _ => Ok(Place::New),
        };
    }
    if blank && call.object.is_closed() {
        return Ok(Place::Nowhere);
    }
    if open.interleaved {
        return Err(ambiguous("could belong to any of several calls"));
    }
    // An unknown index where a call is complete begins one whose name was lost.
    if piece.index.is_some() && call.object.is_closed() {
        return Err(ambiguous("belongs to no call"));
    }
    Ok(Place::At(at))
}

/// The call at `at`, unless the piece cannot be part of it: it has another name, or begins anew after complete arguments.
fn continue_or_begin(
    calls: &[OpenCall],
    at: Option<usize>,
    piece: &ToolFragment<'_>,
    blank: bool,
) -> Place {
    let Some((at, call)) = at.and_then(|at| Some((at, calls.get(at)?))) else {
        return Place::New;
    };
    let other_name = piece
        .name
        .is_some_and(|name| !call.call.name.is_empty() && call.call.name != name);
    let anew = piece.name.is_some() && call.object.is_closed() && !blank;
    if other_name || anew {
        return Place::New;
    }
    Place::At(at)
}

fn starts_object(piece: &ToolFragment<'_>) -> bool {
    piece
        .arguments
        .is_some_and(|text| text.trim_ascii_start().starts_with('{'))
}

fn ambiguous(what: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("a piece of a tool call {what}: its arguments cannot be put together"),
    )
}

/// Follows a JSON text to the end of its first object, looking at every byte once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObjectEnd {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl ObjectEnd {
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

    /// Whether there is more than white space.
    fn is_begun(self) -> bool {
        self.begun
    }

    /// Whether everything that was opened is closed.
    fn is_closed(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}
