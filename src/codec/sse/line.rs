//! A line that comes in parts, and the names of the fields that are known.

use super::{event::SseError, pending::Pending};

/// Where in a line the next byte falls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// In the field name, whose first `len` bytes are in `name`. A line's start has `len` 0.
    Name {
        name: [u8; LONGEST_NAME],
        len: usize,
    },
    /// Right after the colon, where one space is dropped.
    Colon(Field),
    Value(Field),
    Ignored,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Data,
    Event,
}

const LONGEST_NAME: usize = 5;

impl Line {
    pub(super) const START: Line = Line::Name {
        name: [0; LONGEST_NAME],
        len: 0,
    };

    pub(super) fn is_start(&self) -> bool {
        matches!(self, Line::Name { len: 0, .. })
    }

    /// Bytes of a line that has not ended yet.
    pub(super) fn take_part(
        &mut self,
        mut part: &[u8],
        pending: &mut Pending,
    ) -> Result<(), SseError> {
        if let Line::Name { mut name, mut len } = *self {
            loop {
                let Some((&byte, rest)) = part.split_first() else {
                    *self = Line::Name { name, len };
                    return Ok(());
                };
                part = rest;
                if byte == b':' {
                    *self = match known_field(&name, len) {
                        Some(field) => {
                            pending.begin(field)?;
                            Line::Colon(field)
                        }
                        None => Line::Ignored,
                    };
                    break;
                }
                let Some(place) = name.get_mut(len) else {
                    *self = Line::Ignored;
                    break;
                };
                *place = byte;
                len = len.saturating_add(1);
            }
        }
        if let (Line::Colon(field), Some(first)) = (*self, part.first()) {
            *self = Line::Value(field);
            if *first == b' ' {
                part = part.get(1..).unwrap_or_default();
            }
        }
        match *self {
            Line::Value(field) => pending.append(field, part),
            _ => Ok(()),
        }
    }

    /// The end of a line that was taken in parts.
    pub(super) fn end(&mut self, pending: &mut Pending) -> Result<(), SseError> {
        let line = std::mem::replace(self, Line::START);
        match line {
            Line::Name { name, len } => match known_field(&name, len) {
                Some(field) => pending.begin(field),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn known_field(name: &[u8; LONGEST_NAME], len: usize) -> Option<Field> {
    match name.get(..len)? {
        b"data" => Some(Field::Data),
        b"event" => Some(Field::Event),
        _ => None,
    }
}
