//! The JSON documents of a body, and the body with changed documents.

use super::{other, support::corpus::Recording};
use serde_json::Value;
use std::collections::BTreeSet;

/// A body with changeable documents.
#[derive(Clone)]
pub struct Body {
    framing: Framing,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy)]
enum Framing {
    Lines,
    #[cfg(feature = "bedrock")]
    Frames,
}

#[derive(Clone)]
enum Piece {
    /// Lines without a document, or the text before a document in its line.
    Text(String),
    Document {
        /// The document's event name.
        name: String,
        json: Value,
    },
}

/// A field of a document.
pub struct Place {
    /// Event and path, with `*` for each element.
    pub name: String,
    pub value: Value,
    piece: usize,
    path: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Member(String),
    Element(usize),
}

impl Body {
    /// `None` if the body has no document.
    pub fn read(wire: &str, recording: &Recording) -> Option<Body> {
        #[cfg(feature = "bedrock")]
        if wire == "bedrock-converse" && recording.streaming {
            let frames = super::support::bedrock_fixtures::frames(&recording.body);
            let pieces = frames.into_iter().map(|frame| Piece::Document {
                name: frame.name,
                json: frame.payload,
            });
            return Some(Body {
                framing: Framing::Frames,
                pieces: pieces.collect(),
            });
        }
        let text = std::str::from_utf8(&recording.body).ok()?;
        let pieces = match serde_json::from_str(text) {
            Ok(json) => vec![Piece::Document {
                name: "whole".to_owned(),
                json,
            }],
            Err(_) => lines(text),
        };
        let has_document = |piece: &Piece| matches!(piece, Piece::Document { .. });
        pieces.iter().any(has_document).then_some(Body {
            framing: Framing::Lines,
            pieces,
        })
    }

    pub fn bytes(&self) -> Vec<u8> {
        let piece = |piece: &Piece| match (self.framing, piece) {
            (Framing::Lines, Piece::Text(text)) => text.clone().into_bytes(),
            (Framing::Lines, Piece::Document { json, .. }) => json.to_string().into_bytes(),
            #[cfg(feature = "bedrock")]
            (Framing::Frames, Piece::Document { name, json }) => {
                super::support::bedrock_fixtures::frame(name, &json.to_string())
            }
            #[cfg(feature = "bedrock")]
            (Framing::Frames, Piece::Text(_)) => Vec::new(),
        };
        self.pieces.iter().flat_map(piece).collect()
    }

    /// Every field with a value, at its first position.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut names = BTreeSet::new();
        for (piece, document) in self.pieces.iter().enumerate() {
            let Piece::Document { name, json } = document else {
                continue;
            };
            let mut found = Vec::new();
            walk(json, &mut Vec::new(), &mut found);
            for (path, value) in found {
                let steps = path.iter().map(|step| match step {
                    Step::Member(name) => name.as_str(),
                    Step::Element(_) => "*",
                });
                let name = [name.as_str()].into_iter().chain(steps);
                let name = name.collect::<Vec<_>>().join("/");
                if names.insert(name.clone()) {
                    places.push(Place {
                        name,
                        value,
                        piece,
                        path,
                    });
                }
            }
        }
        places
    }

    pub fn changed(&self, place: &Place) -> Body {
        let mut body = self.clone();
        if let Piece::Document { json, .. } = &mut body.pieces[place.piece] {
            let mut value = json;
            for step in &place.path {
                value = match step {
                    Step::Member(name) => &mut value[name],
                    Step::Element(index) => &mut value[index],
                };
            }
            *value = other(value);
        }
        body
    }
}

/// Scalars with a value.
fn walk(json: &Value, path: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, Value)>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                path.push(Step::Member(name.clone()));
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                path.push(Step::Element(index));
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        value => found.push((path.clone(), value.clone())),
    }
}

/// Lines of events, or of JSON.
fn lines(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut event = String::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if let Some(name) = bare.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
        }
        let (before, data) = match bare.strip_prefix("data:") {
            Some(data) => ("data: ", data.trim()),
            None => ("", bare),
        };
        match serde_json::from_str::<Value>(data) {
            Ok(json) if json.is_object() || json.is_array() => {
                let own = json["type"].as_str().map(str::to_owned);
                let name = own.unwrap_or_else(|| match event.as_str() {
                    "" => "event".to_owned(),
                    event => event.to_owned(),
                });
                pieces.push(Piece::Text(before.to_owned()));
                pieces.push(Piece::Document { name, json });
                pieces.push(Piece::Text(line[bare.len()..].to_owned()));
            }
            _ => pieces.push(Piece::Text(line.to_owned())),
        }
        if bare.is_empty() {
            event.clear();
        }
    }
    pieces
}
