//! What the server answers.

use super::case::Member;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header, response};
use std::collections::VecDeque;
use unifiedai::Error;

/// A head and a body in the pieces in which it arrives.
#[derive(Debug)]
pub struct Answer {
    head: response::Parts,
    body: Bytes,
    piece: usize,
}

impl Answer {
    pub fn read(answer: &Member<'_>) -> Result<Self, Error> {
        let members = answer.members()?;
        let (mut head, ()) = Response::new(()).into_parts();
        if let Some(status) = members.get("status") {
            head.status = StatusCode::from_u16(status.read()?)
                .map_err(|_| status.wrong("this is no HTTP status"))?;
        }
        let forms = ["json", "events", "text"].map(|form| (form, members.get(form)));
        let mut given = forms
            .iter()
            .filter_map(|(form, body)| body.map(|b| (*form, b)));
        let (content_type, body) = match (given.next(), given.next()) {
            (Some(("json", value)), None) => ("application/json", value.text().to_owned()),
            (Some(("events", list)), None) => ("text/event-stream", events(list)?),
            (Some((_, text)), None) => ("text/plain", text.read()?),
            (None, _) => ("text/plain", String::new()),
            (Some(_), Some((form, second))) => {
                return Err(
                    second.wrong(&format!("an answer has one body; `{form}` is a second one"))
                );
            }
        };
        if let Some(headers) = members.get("headers") {
            for (name, value) in headers.members()?.iter() {
                let bad = |_| value.wrong("this is no HTTP header");
                let name = HeaderName::try_from(name).map_err(|_| bad(()))?;
                let text: String = value.read()?;
                let text = HeaderValue::try_from(text).map_err(|_| bad(()))?;
                head.headers.append(name, text);
            }
        }
        head.headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        let piece = match members.get("pieces") {
            Some(pieces) => match pieces.read()? {
                0 => return Err(pieces.wrong("a piece has at least one byte")),
                size => size,
            },
            None => usize::MAX,
        };
        Ok(Answer {
            head,
            body: body.into(),
            piece,
        })
    }

    pub fn head(&self) -> response::Parts {
        self.head.clone()
    }

    pub fn pieces(&self) -> VecDeque<Bytes> {
        let mut rest = self.body.clone();
        let mut pieces = VecDeque::new();
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(self.piece.min(rest.len())));
        }
        pieces
    }
}

/// An object is the data of an event that is named by its `type`; a text is what follows `data:`.
fn events(list: &Member<'_>) -> Result<String, Error> {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        r#type: Option<&'a serde_json::value::RawValue>,
    }
    let mut body = String::new();
    for event in list.elements()? {
        if event.text().starts_with('"') {
            let text: String = event.read()?;
            body.extend(["data: ", &text, "\n\n"]);
            continue;
        }
        if event.text().starts_with('{') {
            let name = event.read::<Event<'_>>()?.r#type;
            let name = name.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
            if let Some(name) = name {
                body.extend(["event: ", &name, "\n"]);
            }
        }
        // Between the tokens of JSON a line break means nothing; in an event it would end the data.
        let line = event.text().replace(['\n', '\r'], " ");
        body.extend(["data: ", &line, "\n\n"]);
    }
    Ok(body)
}
