//! Decodes the steps of an interaction: complete in a single body, or by their start, deltas and stop in a stream.

use super::{
    BLOCK_PROVIDER, hosted,
    open_step::{Call, Output, Step as OpenStep, Thought, ToolStep},
    types::{Annotation, Content, Delta, Step},
};
use crate::{
    Error, ErrorKind, Json,
    chat::{Citation, ProviderBlock},
    provider::{
        ResponseBuilder,
        kit::{
            lenient::{Count, Raw, Text, WithRawText},
            unknown_fields::{UnknownFieldWarnings, shown},
        },
    },
};
use serde::Serialize;

/// More steps than this are refused; recorded interactions have fewer than ten.
const MAX_STEPS: u32 = 4096;

/// The number of keys of a step: one for each element of its content.
const STRIDE: u32 = 65_536;

/// The steps of a response.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Steps that have started but not ended, with their numbers.
    open: Vec<(u32, OpenStep)>,
    /// The number of the last event's step.
    last: u32,
    /// Whether there was a function call.
    pub(super) has_calls: bool,
    /// Whether there was a step of the model.
    pub(super) has_content: bool,
    /// The errors of steps, with their numbers.
    pub(super) errors: Vec<(u32, Json)>,
    pub(super) unknown: UnknownFieldWarnings,
}

impl Steps {
    /// All steps of a single body. Those before the last input repeat the conversation: a stored interaction has them,
    /// the response to a new one does not.
    pub(super) fn whole(
        &mut self,
        steps: &[Raw<'_>],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_input = |raw: &Raw<'_>| {
            let step: Option<Step<'_>> = raw.read();
            step.is_some_and(|step| is_input(step.r#type.as_deref().unwrap_or_default()))
        };
        let first = steps
            .iter()
            .rposition(is_input)
            .map_or(0, |at| at.saturating_add(1));
        let own = steps.get(first..).unwrap_or_default();
        for (position, raw) in (0_u64..).zip(own) {
            let number = number(position)?;
            self.begin(number, *raw, out)?;
            self.end(number, out)?;
        }
        Ok(())
    }

    /// A step starts. It may have content already.
    pub(super) fn start(
        &mut self,
        index: Count,
        step: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = match index.0 {
            Some(index) => number(index)?,
            None if self.has_content => number(u64::from(self.last).saturating_add(1))?,
            None => 0,
        };
        self.last = number;
        self.end(number, out)?;
        self.begin(number, step, out)
    }

    /// More of a step. If it was not started, the type of the delta tells the type of the step.
    pub(super) fn delta(
        &mut self,
        index: Count,
        delta: &WithRawText<'_, Delta<'_>>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self.of(index)?;
        if let Some(OpenStep::Input) = find(&mut self.open, number) {
            return Ok(());
        }
        let Some(fields) = &delta.value.0 else {
            if let Some(text) = delta.raw.text() {
                self.unknown.value("delta", text, out);
            }
            return Ok(());
        };
        let kind = match (fields.r#type.as_deref(), &fields.content, &fields.text) {
            (Some(kind), ..) => kind,
            (None, content, _) if content.text().is_some() => "thought_summary",
            (None, _, Text(Some(_))) => "text",
            (None, ..) => "",
        };
        let unknown = &mut self.unknown;
        match kind {
            "text" => {
                let key = opened::<Output>(&mut self.open, number).text_key(number)?;
                self.has_content = true;
                out.text(0, key, fields.text.as_deref().unwrap_or_default())?;
                cite_all(&mut self.open, number, key, &fields.annotations.0, out)?;
                unknown.members("a delta", &fields.others, out);
            }
            "thought_summary" => {
                let thought = opened::<Thought>(&mut self.open, number);
                self.has_content = true;
                if let Some(json) = fields.content.json() {
                    out.charge(json.as_str().len())?;
                    thought.summary.push(json);
                }
                out.reasoning(0, base(number), text_of(fields.content))?;
                unknown.members("a delta", &fields.others, out);
            }
            "thought_signature" => {
                if let Some(signature) = fields.signature.non_empty() {
                    out.charge(signature.len())?;
                    opened::<Thought>(&mut self.open, number).signature = signature.to_owned();
                    self.has_content = true;
                }
                unknown.members("a delta", &fields.others, out);
            }
            "arguments_delta" => {
                self.has_content = true;
                self.arguments(number, fields, out)?;
            }
            "text_annotation_delta" | "text_annotation" => {
                let key = opened::<Output>(&mut self.open, number).last_text_key(number);
                cite_all(&mut self.open, number, key, &fields.annotations.0, out)?;
                unknown.members("a delta", &fields.others, out);
            }
            "image" | "audio" | "video" | "document" => {
                self.has_content = true;
                let key = opened::<Output>(&mut self.open, number).next_key(number)?;
                content_block(key, delta.raw, out)?;
            }
            kind => match find(&mut self.open, number) {
                Some(OpenStep::Tool(tool)) if tool.kind == kind => tool.merge(delta.raw, out)?,
                None if kind.ends_with("_call") || kind.ends_with("_result") => {
                    self.has_content = true;
                    let tool = ToolStep::new(kind, delta.raw.json(), out)?;
                    self.open.push((number, OpenStep::Tool(tool)));
                }
                _ => unknown.delta(kind, out),
            },
        }
        Ok(())
    }

    /// A step is complete.
    pub(super) fn stop(&mut self, index: Count, out: &mut ResponseBuilder) -> Result<(), Error> {
        let number = self.of(index)?;
        self.end(number, out)
    }

    /// The response ended. A step without its own end is complete, except for a call: it is complete if its arguments
    /// are. `is_cut`: a limit ended the response.
    pub(super) fn end_all(&mut self, is_cut: bool, out: &mut ResponseBuilder) -> Result<(), Error> {
        for (number, step) in std::mem::take(&mut self.open) {
            match step {
                OpenStep::Call(call) => {
                    call.complete(base(number), false, out)?;
                    out.end_open_call(0, base(number), is_cut, &format!("steps[{number}]"))?;
                }
                OpenStep::Tool(tool) => {
                    let is_dropped = tool.lacks_arguments();
                    let outcome = match is_dropped {
                        true => "it was dropped",
                        false => "its received part is kept",
                    };
                    let message = format!(
                        "the step `{}` in `steps[{number}]` was never completed; {outcome}",
                        shown(&tool.kind)
                    );
                    self.unknown.warn("item_not_completed", message, out);
                    if !is_dropped {
                        end_step(number, OpenStep::Tool(tool), out)?;
                    }
                }
                step => end_step(number, step, out)?,
            }
        }
        Ok(())
    }

    /// The place of an event's step in the path of an error or an extra field.
    pub(super) fn path(&self, index: Count) -> String {
        let number = index.0.unwrap_or(u64::from(self.last));
        format!("steps[{number}].")
    }

    fn of(&mut self, index: Count) -> Result<u32, Error> {
        if let Some(index) = index.0 {
            self.last = number(index)?;
        }
        Ok(self.last)
    }

    fn begin(&mut self, number: u32, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let Some(step) = raw.read::<Step<'_>>() else {
            if let Some(text) = raw.text() {
                self.unknown.value("steps", text, out);
            }
            return Ok(());
        };
        let kind = step.r#type.as_deref().unwrap_or_default();
        let open = match kind {
            kind if is_input(kind) => OpenStep::Input,
            "model_output" => OpenStep::Output(Output::default()),
            "thought" => OpenStep::Thought(Thought::new(raw.json(), out)?),
            "function_call" => OpenStep::Call(self.call(number, &step, out)?),
            kind => OpenStep::Tool(ToolStep::new(kind, raw.json(), out)?),
        };
        self.has_content |= !matches!(open, OpenStep::Input);
        let is_output = matches!(open, OpenStep::Output(_));
        let is_thought = matches!(open, OpenStep::Thought(_));
        self.open.push((number, open));
        if is_thought {
            for element in elements(step.summary)? {
                out.reasoning(0, base(number), text_of(element))?;
            }
        }
        if is_output {
            for element in elements(step.content)? {
                self.content(number, element, out)?;
            }
            if let Some(error) = step.error.json() {
                out.charge(error.as_str().len())?;
                self.errors.push((number, error));
            }
            self.unknown
                .members("a `model_output` step", &step.others, out);
        }
        Ok(())
    }

    fn call(
        &mut self,
        number: u32,
        step: &Step<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<Call, Error> {
        self.has_calls = true;
        let text = |text: &Text<'_>| text.to_string_or_empty();
        out.tool_start(0, base(number), &text(&step.id), &text(&step.name))?;
        Call::new(step, out)
    }

    /// More of the arguments of a call: of a function, or of a tool that the provider runs.
    fn arguments(
        &mut self,
        number: u32,
        delta: &Delta<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let more = delta.arguments.arguments()?;
        match find(&mut self.open, number) {
            Some(OpenStep::Tool(tool)) => {
                out.charge(more.len())?;
                tool.arguments.push_str(&more);
                return Ok(());
            }
            Some(OpenStep::Call(call)) => {
                call.has_pieces |= !more.is_empty();
                if let Some(signature) = delta.signature.non_empty() {
                    call.set("signature", Json::new(signature)?, out)?;
                }
            }
            Some(_) | None => self.has_calls = true,
        }
        out.tool_arguments(0, base(number), &more)
    }

    /// One element of a model's output.
    fn content(
        &mut self,
        number: u32,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let element: Content<'_> = raw.read().unwrap_or_default();
        let is_string = raw.text().is_some_and(|text| text.starts_with('"'));
        match element.r#type.as_deref() {
            Some("text") => {
                let key = opened::<Output>(&mut self.open, number).text_key(number)?;
                out.text(0, key, element.text.as_deref().unwrap_or_default())?;
                cite_all(&mut self.open, number, key, &element.annotations.0, out)?;
                self.unknown.members("a text", &element.others, out);
                Ok(())
            }
            None if is_string => {
                let key = opened::<Output>(&mut self.open, number).text_key(number)?;
                out.text(0, key, text_of(raw))
            }
            _ => {
                let key = opened::<Output>(&mut self.open, number).next_key(number)?;
                content_block(key, raw, out)
            }
        }
    }

    fn end(&mut self, number: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        while let Some(at) = self.open.iter().rposition(|(other, _)| *other == number) {
            let (_, step) = self.open.remove(at);
            end_step(number, step, out)?;
        }
        Ok(())
    }
}

fn end_step(number: u32, step: OpenStep, out: &mut ResponseBuilder) -> Result<(), Error> {
    let key = base(number);
    match step {
        OpenStep::Input => Ok(()),
        OpenStep::Output(output) => out.end_part(0, output.last_text_key(number)),
        OpenStep::Thought(thought) => {
            out.end_part(0, key)?;
            match thought.into_json()? {
                Some(json) => out.provider_block(0, key, ProviderBlock::new(BLOCK_PROVIDER, json)),
                None => Ok(()),
            }
        }
        OpenStep::Call(call) => {
            call.complete(key, true, out)?;
            out.end_part(0, key)
        }
        OpenStep::Tool(tool) => hosted::emit(key, tool.into_json()?, out),
    }
}

/// The type of a step that the client sends.
fn is_input(kind: &str) -> bool {
    matches!(kind, "user_input" | "function_result")
}

fn number(index: u64) -> Result<u32, Error> {
    u32::try_from(index)
        .ok()
        .filter(|number| *number < MAX_STEPS)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::TooLarge,
                format!("a step has the index {index}, above the limit of {MAX_STEPS}"),
            )
        })
}

/// The first key of a step.
pub(super) fn base(number: u32) -> u32 {
    number.saturating_mul(STRIDE)
}

/// The key of an element of a step's content.
pub(super) fn element_key(number: u32, element: u32) -> Result<u32, Error> {
    if element >= STRIDE {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("`steps[{number}]` has more than {STRIDE} elements"),
        ));
    }
    Ok(base(number).saturating_add(element))
}

/// A step that a delta can start.
pub(super) trait Opened: Default {
    fn of(step: &mut OpenStep) -> Option<&mut Self>;
    fn into_step(self) -> OpenStep;
}

fn find(open: &mut [(u32, OpenStep)], number: u32) -> Option<&mut OpenStep> {
    let mut steps = open.iter_mut().rev();
    steps.find_map(|(other, step)| (*other == number).then_some(step))
}

/// The open step with this number, if it has this type; else a new one.
fn opened<T: Opened>(open: &mut Vec<(u32, OpenStep)>, number: u32) -> &mut T {
    let is_own = |(other, step): &mut (u32, OpenStep)| *other == number && T::of(step).is_some();
    let at = open.iter_mut().rposition(is_own);
    let at = at.unwrap_or_else(|| {
        open.push((number, T::default().into_step()));
        open.len().saturating_sub(1)
    });
    #[expect(clippy::unwrap_used, reason = "`at` was just found or made")]
    open.get_mut(at).and_then(|(_, step)| T::of(step)).unwrap()
}

/// The elements of a list; a single value is a list of one.
fn elements(raw: Raw<'_>) -> Result<Vec<Raw<'_>>, Error> {
    let list: crate::provider::kit::lenient::RawElements<'_> = raw.parse()?;
    Ok(list.0)
}

/// The text of an element, which may be a string.
fn text_of(raw: Raw<'_>) -> String {
    let text: Text<'_> = raw.read().unwrap_or_default();
    match text.0 {
        Some(text) => text.into_owned(),
        None => {
            let element: Content<'_> = raw.read().unwrap_or_default();
            element.text.to_string_or_empty()
        }
    }
}

/// An element that is not text, as a step of its own, so that it can be sent back.
fn content_block(key: u32, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
    #[derive(Serialize)]
    struct OutputOf {
        r#type: &'static str,
        content: [Json; 1],
    }
    let Some(json) = raw.json() else {
        return Ok(());
    };
    let block = Json::new(&OutputOf {
        r#type: "model_output",
        content: [json],
    })?;
    out.provider_block(0, key, ProviderBlock::new(BLOCK_PROVIDER, block))
}

/// The sources of a text. The API repeats the same source for the same place.
fn cite_all(
    open: &mut Vec<(u32, OpenStep)>,
    number: u32,
    key: u32,
    annotations: &[Raw<'_>],
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    for raw in annotations {
        if opened::<Output>(open, number).is_new_citation(*raw) {
            out.citation(0, key, citation(*raw))?;
        }
    }
    Ok(())
}

fn citation(raw: Raw<'_>) -> Citation {
    let wire: Annotation<'_> = raw.read().unwrap_or_default();
    let first = |texts: &[&Text<'_>]| {
        let found = texts.iter().find_map(|text| text.non_empty());
        found.map(str::to_owned)
    };
    Citation {
        url: first(&[&wire.url, &wire.document_uri]),
        title: first(&[&wire.title, &wire.file_name, &wire.name]),
        cited_text: None,
        raw: raw.json(),
    }
}
