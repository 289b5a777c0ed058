//! Steps that have started but not ended: what is kept until their end.

use super::{
    BLOCK_PROVIDER,
    steps::{Opened, base, element_key},
    types,
};
use crate::{
    Error, ErrorKind, Json,
    chat::ProviderData,
    provider::{
        ResponseBuilder,
        kit::{json_object::JsonObject, lenient::Raw},
    },
};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A tool that the provider runs sends its content in one delta; more than this are refused.
const MAX_TOOL_DELTAS: usize = 256;

/// An open step.
#[derive(Debug)]
pub(super) enum Step {
    /// It repeats the request.
    Input,
    Output(Output),
    Thought(Thought),
    /// A call of one of the request's functions.
    Call(Call),
    /// A tool that the provider runs, or a step of unknown type. It is passed on unchanged.
    Tool(ToolStep),
}

/// Text and media of the model. Text deltas follow each other in one element; another element ends it.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// The number of the next element.
    next: u32,
    /// The text element that the next text continues.
    text: Option<u32>,
    /// The last text element.
    last_text: u32,
    /// The hashes of the citations so far.
    cited: BTreeSet<u64>,
}

impl Output {
    /// The key of the text that more text continues.
    pub(super) fn text_key(&mut self, number: u32) -> Result<u32, Error> {
        let element = match self.text {
            Some(element) => element,
            None => {
                let element = self.next;
                self.next = element.saturating_add(1);
                self.text = Some(element);
                self.last_text = element;
                element
            }
        };
        element_key(number, element)
    }

    /// The key of the last text, to which citations belong.
    pub(super) fn last_text_key(&self, number: u32) -> u32 {
        base(number).saturating_add(self.last_text)
    }

    /// The key of a new element that is not text.
    pub(super) fn next_key(&mut self, number: u32) -> Result<u32, Error> {
        let element = self.next;
        self.next = element.saturating_add(1);
        self.text = None;
        element_key(number, element)
    }

    /// Whether this citation was not sent before.
    pub(super) fn is_new_citation(&mut self, raw: Raw<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        self.last_text.hash(&mut hasher);
        raw.text().hash(&mut hasher);
        self.cited.insert(hasher.finish())
    }
}

/// Reasoning. It is sent back as one step, with its signature.
#[derive(Debug, Default)]
pub(super) struct Thought {
    start: Option<Json>,
    /// Elements of the summary after the start.
    pub(super) summary: Vec<Json>,
    /// The last signature that is not empty.
    pub(super) signature: String,
}

impl Thought {
    pub(super) fn new(start: Option<Json>, out: &mut ResponseBuilder) -> Result<Self, Error> {
        charge(start.as_ref(), out)?;
        Ok(Thought {
            start,
            ..Thought::default()
        })
    }

    /// The step; `None` if it has neither a signature nor a summary.
    pub(super) fn into_json(self) -> Result<Option<Json>, Error> {
        let start = self.start.as_ref();
        let step = start.and_then(|start| JsonObject::read(start.as_str()));
        let mut step = step.unwrap_or_default();
        let is_changed = !self.summary.is_empty() || !self.signature.is_empty();
        if is_changed {
            if step.get("type").is_none() {
                step.set("type", Json::new("thought")?);
            }
            if !self.summary.is_empty() {
                let started = step.get("summary").cloned();
                let summary = joined(started.as_ref(), &self.summary)?;
                step.set("summary", summary);
            }
            if !self.signature.is_empty() {
                step.set("signature", Json::new(&self.signature)?);
            }
            return step.to_json().map(Some);
        }
        let says_nothing = |json: &Json| matches!(json.as_str(), "null" | "\"\"" | "[]" | "{}");
        let is_empty = step
            .iter()
            .all(|(name, value)| name == "type" || says_nothing(value));
        Ok(self.start.filter(|_| !is_empty))
    }
}

/// A function call. The arguments of its start count if no deltas follow.
#[derive(Debug, Default)]
pub(super) struct Call {
    arguments: String,
    pub(super) has_pieces: bool,
    /// Fields without a place in a call; they are sent back.
    others: Vec<(String, Json)>,
}

impl Call {
    pub(super) fn new(step: &types::Step<'_>, out: &mut ResponseBuilder) -> Result<Self, Error> {
        let mut call = Call {
            arguments: step.arguments.arguments()?.into_owned(),
            ..Call::default()
        };
        out.charge(call.arguments.len())?;
        if let Some(signature) = step.signature.non_empty() {
            call.set("signature", Json::new(signature)?, out)?;
        }
        let places = [
            ("summary", step.summary),
            ("content", step.content),
            ("error", step.error),
        ];
        for (name, raw) in places.into_iter().chain(step.others.iter()) {
            if let Some(value) = raw.json() {
                call.set(name, value, out)?;
            }
        }
        Ok(call)
    }

    /// Adds a field that is sent back with the call.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Json,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.charge(value.as_str().len().saturating_add(name.len()))?;
        self.others.push((name.to_owned(), value));
        Ok(())
    }

    /// Adds the arguments that no delta had, and the fields that are sent back. Every call of a stream starts with
    /// empty arguments, which count only if the step `has_end`.
    pub(super) fn complete(
        self,
        key: u32,
        has_end: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_empty = matches!(&*self.arguments, "" | "{}");
        match (self.has_pieces, is_empty) {
            (false, false) => out.tool_arguments(0, key, &self.arguments)?,
            (false, true) if has_end => out.tool_arguments(0, key, "{}")?,
            _ => {}
        }
        let others = JsonObject::of_last(self.others);
        if others.is_empty() {
            return Ok(());
        }
        let data = ProviderData::new(BLOCK_PROVIDER, others.to_json()?);
        out.tool_call_provider_data(0, key, data)
    }
}

/// A step in the provider's own JSON, and the deltas after its start.
#[derive(Debug)]
pub(super) struct ToolStep {
    pub(super) kind: String,
    start: Option<Json>,
    deltas: Vec<Json>,
    /// The arguments, if their text arrives in deltas.
    pub(super) arguments: String,
}

impl ToolStep {
    pub(super) fn new(
        kind: &str,
        start: Option<Json>,
        out: &mut ResponseBuilder,
    ) -> Result<Self, Error> {
        out.charge(kind.len())?;
        charge(start.as_ref(), out)?;
        Ok(ToolStep {
            kind: kind.to_owned(),
            start,
            deltas: Vec::new(),
            arguments: String::new(),
        })
    }

    /// Adds a delta whose fields are those of the step.
    pub(super) fn merge(&mut self, delta: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        if self.deltas.len() >= MAX_TOOL_DELTAS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a step of type `{}` has more than {MAX_TOOL_DELTAS} deltas",
                    crate::provider::kit::unknown_fields::shown(&self.kind)
                ),
            ));
        }
        let json = delta.json();
        charge(json.as_ref(), out)?;
        self.deltas.extend(json);
        Ok(())
    }

    /// Whether it is a call whose arguments are missing or incomplete, which the server would refuse in the next
    /// request.
    pub(super) fn lacks_arguments(&self) -> bool {
        let is_given = |json: &Json| {
            let step = JsonObject::read(json.as_str()).unwrap_or_default();
            let arguments = step.get("arguments").map_or("{}", Json::as_str);
            !matches!(arguments.trim(), "{}" | "null" | "\"\"")
        };
        let is_complete = match &*self.arguments {
            "" => self.start.iter().chain(&self.deltas).any(is_given),
            text => Json::parse(text).is_ok(),
        };
        self.kind.ends_with("_call") && !is_complete
    }

    /// The step with its deltas. Of a repeated field the last value counts.
    pub(super) fn into_json(self) -> Result<Json, Error> {
        let start = match self.start {
            Some(start) if self.deltas.is_empty() && self.arguments.is_empty() => return Ok(start),
            start => start,
        };
        let mut fields = Vec::new();
        for json in start.iter().chain(&self.deltas) {
            let object = JsonObject::read(json.as_str()).unwrap_or_default();
            fields.extend(
                object
                    .iter()
                    .map(|(name, json)| (name.to_owned(), json.clone())),
            );
        }
        if !self.arguments.is_empty() {
            // Arguments that are not JSON are kept as a string, so that the step stays valid.
            let arguments =
                Json::parse(&*self.arguments).or_else(|_| Json::new(&self.arguments))?;
            fields.push(("arguments".to_owned(), arguments));
        }
        JsonObject::of_last(fields).to_json()
    }
}

/// A list with further elements. Its elements stay text: as values they would take several times its size.
fn joined(list: Option<&Json>, more: &[Json]) -> Result<Json, Error> {
    let list = list.map_or("", Json::as_str).trim();
    let list = list
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'));
    let elements = list.map_or("", str::trim);
    let more = more.iter().map(Json::as_str);
    let all: Vec<&str> = [elements]
        .into_iter()
        .filter(|text| !text.is_empty())
        .chain(more)
        .collect();
    Json::parse(["[", &all.join(","), "]"].concat())
}

fn charge(json: Option<&Json>, out: &mut ResponseBuilder) -> Result<(), Error> {
    out.charge(json.map_or(0, |json| json.as_str().len()))
}

impl Opened for Output {
    fn of(step: &mut Step) -> Option<&mut Self> {
        match step {
            Step::Output(output) => Some(output),
            _ => None,
        }
    }

    fn into_step(self) -> Step {
        Step::Output(self)
    }
}

impl Opened for Thought {
    fn of(step: &mut Step) -> Option<&mut Self> {
        match step {
            Step::Thought(thought) => Some(thought),
            _ => None,
        }
    }

    fn into_step(self) -> Step {
        Step::Thought(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_continued_with_elements() {
        let json = |text: &str| Json::parse(text).unwrap();
        for (list, expected) in [
            (None, "[1,2]"),
            (Some("[]"), "[1,2]"),
            (Some(" [ {\"a\": 1} ] "), "[{\"a\": 1},1,2]"),
            (Some("null"), "[1,2]"),
        ] {
            let list = list.map(json);
            let all = joined(list.as_ref(), &[json("1"), json("2")]).unwrap();
            assert_eq!(all.as_str(), expected);
        }
    }
}
