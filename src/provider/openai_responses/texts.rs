//! Texts of items: messages, refusals and reasoning, as deltas and complete.

use super::{
    decode,
    items::{Items, Source},
    output_items::Kind,
    parts::{self, PartList, Remainder, item_part},
    types::{Event, Item, PartKind, RawPart},
};
use crate::{
    Error, ErrorKind, Json,
    chat::{Citation, Logprobs, ProviderBlock, ProviderData},
    event::ToolCallProgress,
    provider::{
        ResponseBuilder,
        kit::{
            lenient::{Raw, Text, object},
            logprobs,
        },
    },
};
use serde::Serialize;
use std::borrow::Cow;

impl Items {
    /// The text of a response without items.
    pub(super) fn bare_text(&mut self, text: &str, out: &mut ResponseBuilder) -> Result<(), Error> {
        let number = self.slots.of(Some(0), None)?;
        self.emit_part(PartList::First.part(number, 0), PartKind::Text, text, out)
    }

    pub(super) fn text(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = self.delta(event, PartList::First, PartKind::Text, out)?;
        if let Some(part) = part.filter(|_| !event.logprobs.0.is_empty()) {
            let seen = self.parts.open(part, PartKind::Text)?.1;
            seen.logprobs = seen.logprobs.saturating_add(event.logprobs.0.len());
            return emit_logprobs(&event.logprobs.0, out);
        }
        Ok(())
    }

    pub(super) fn refusal(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.delta(event, PartList::First, PartKind::Refusal, out)
            .map(|_| ())
    }

    pub(super) fn summary(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.delta(event, PartList::First, PartKind::Reasoning, out)
            .map(|_| ())
    }

    pub(super) fn reasoning(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.delta(event, PartList::Second, PartKind::Reasoning, out)
            .map(|_| ())
    }

    /// The complete text of one part.
    pub(super) fn text_done(
        &mut self,
        event: &Event<'_>,
        flow: PartKind,
        list: PartList,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let whole = match flow {
            PartKind::Refusal => event.refusal.as_deref(),
            _ => event.text.as_deref(),
        };
        let Some(whole) = whole else {
            self.warn_unreadable(event, out);
            return Ok(());
        };
        let (number, index) = self.locate(event, list, flow)?;
        let part = self.parts.completed(list, number, index, flow, whole)?;
        self.complete_text(number, part, flow, whole, out)?;
        if flow == PartKind::Text {
            self.logprobs(part, &event.logprobs.0, out)?;
        }
        Ok(())
    }

    /// One complete part of an item.
    pub(super) fn part_done(
        &mut self,
        event: &Event<'_>,
        list: PartList,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(part) = RawPart::read(event.part) else {
            return Ok(());
        };
        let (mut flow, whole) = part.content();
        // The content of a reasoning item in untyped part events.
        let list = match flow {
            PartKind::Reasoning if list == PartList::First && event.summary_index.0.is_none() => {
                PartList::Second
            }
            _ => list,
        };
        if event.summary_index.0.is_some() {
            flow = PartKind::Reasoning;
        }
        let (number, index) = self.locate(event, list, flow)?;
        let place = self.parts.completed(list, number, index, flow, &whole)?;
        self.complete_part(number, place, flow, &whole, &part, out)
    }

    /// A citation of a text.
    pub(super) fn annotation(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let (number, index) = self.locate(event, PartList::First, PartKind::Text)?;
        let (part, seen) = self
            .parts
            .open(PartList::First.part(number, index), PartKind::Text)?;
        if event.annotation.text().is_some() && !seen.closed {
            seen.citations = seen.citations.saturating_add(1);
            seen.citations_hash = cited(seen.citations_hash, event.annotation);
            out.citation(0, part, citation(event.annotation))?;
        }
        Ok(())
    }

    /// The item and the part of an event.
    fn locate(
        &mut self,
        event: &Event<'_>,
        list: PartList,
        flow: PartKind,
    ) -> Result<(u32, u64), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        let (kind, index) = match (list, flow) {
            (PartList::First, PartKind::Reasoning) => (Kind::Reasoning, event.summary_index),
            (PartList::Second, _) => (Kind::Reasoning, event.content_index),
            _ => (Kind::Message, event.content_index),
        };
        self.slots.is(number, kind);
        Ok((number, index.0.unwrap_or(0)))
    }

    /// A delta of a part; returns the part.
    fn delta(
        &mut self,
        event: &Event<'_>,
        list: PartList,
        flow: PartKind,
        out: &mut ResponseBuilder,
    ) -> Result<Option<u32>, Error> {
        let (number, index) = self.locate(event, list, flow)?;
        let Some(delta) = event.delta.as_deref() else {
            self.warn_unreadable(event, out);
            return Ok(None);
        };
        let (part, seen) = self.parts.open(list.part(number, index), flow)?;
        if seen.closed {
            if !delta.is_empty() {
                self.warn_late_delta(event, out);
            }
            return Ok(None);
        }
        seen.add(delta);
        emit_text(part, flow, delta, out)?;
        Ok(Some(part))
    }

    pub(super) fn message(
        &mut self,
        number: u32,
        item: &Item<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let list = RawPart::list(item.content)?;
        self.list(number, PartList::First, None, &list, out)
    }

    pub(super) fn thoughts(
        &mut self,
        number: u32,
        item: &Item<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let thoughts = Some(PartKind::Reasoning);
        let (summary, content) = (RawPart::list(item.summary)?, RawPart::list(item.content)?);
        self.list(number, PartList::First, thoughts, &summary, out)?;
        self.list(number, PartList::Second, thoughts, &content, out)
    }

    /// A complete list of parts, all of this kind if one is given.
    fn list(
        &mut self,
        number: u32,
        list: PartList,
        flow: Option<PartKind>,
        parts: &[RawPart<'_>],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if parts.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = parts
            .iter()
            .map(|part| match (flow, part.content()) {
                // It is sent back with its item, of which it is a part.
                (Some(flow), (_, _)) => (
                    flow,
                    Cow::Borrowed(part.part.text.as_deref().unwrap_or_default()),
                ),
                (None, content) => content,
            })
            .collect();
        let finished: Vec<(PartKind, &str)> =
            texts.iter().map(|(flow, text)| (*flow, &**text)).collect();
        let (numbers, lacks) = self.parts.align(list, number, &finished)?;
        for ((place, part), (flow, whole)) in numbers.into_iter().zip(parts).zip(finished) {
            self.complete_part(number, place, flow, whole, part, out)?;
        }
        if lacks {
            let message =
                format!("the deltas of `output[{number}]` have more parts than the finished item");
            self.unknown.warn("text_differs", message, out);
        }
        Ok(())
    }

    /// One complete part: text, citations and log probabilities.
    fn complete_part(
        &mut self,
        number: u32,
        place: u32,
        flow: PartKind,
        whole: &str,
        part: &RawPart<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if flow == PartKind::Opaque {
            return self.provider_part(place, part, out);
        }
        let (place, seen) = self.parts.open(place, flow)?;
        let is_first = !seen.closed;
        self.complete_text(number, place, flow, whole, out)?;
        if flow == PartKind::Text {
            self.annotations(number, place, &part.part.annotations.0, out)?;
            self.logprobs(place, &part.part.logprobs.0, out)?;
        }
        if is_first && flow != PartKind::Reasoning {
            self.unknown_members("a part of a message", part.raw, decode::OF_PART, out);
        }
        out.end_part(0, place)
    }

    /// All citations of a text, some of which may have been emitted.
    fn annotations(
        &mut self,
        number: u32,
        place: u32,
        all: &[Raw<'_>],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let seen = self.parts.open(place, PartKind::Text)?.1;
        let (count, hash) = (seen.citations, seen.citations_hash);
        seen.citations = count.max(all.len());
        let (known, new) = all.split_at_checked(count).unwrap_or((all, &[]));
        let is_same = known.len() == count && known.iter().copied().fold(0, cited) == hash;
        seen.citations_hash = new.iter().copied().fold(hash, cited);
        if !is_same && !all.is_empty() {
            let message = format!(
                "the citations of a text in `output[{number}]` differ between its events and the finished item; the first ones are kept"
            );
            self.unknown.warn("item_differs", message, out);
        }
        for annotation in new {
            out.citation(0, place, citation(*annotation))?;
        }
        Ok(())
    }

    /// A part of unknown type: a separate message without other content, so that it can be sent back.
    fn provider_part(
        &mut self,
        place: u32,
        part: &RawPart<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let (place, seen) = self.parts.open(place, PartKind::Opaque)?;
        let Some(json) = part.raw.json().filter(|_| !seen.closed) else {
            return Ok(());
        };
        seen.closed = true;
        let block = Json::new(&MessageOf {
            r#type: "message",
            role: "assistant",
            content: [json],
        })?;
        out.provider_block(0, place, ProviderBlock::new(&self.provider, block))
    }

    /// A complete text, part of which may have been emitted.
    fn complete_text(
        &mut self,
        number: u32,
        place: u32,
        flow: PartKind,
        whole: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let seen = self.parts.open(place, flow)?.1;
        let rest = seen.remainder(whole);
        seen.closed = true;
        match rest {
            Remainder::More(rest) => self.emit_part(place, flow, rest, out)?,
            Remainder::Space => {
                let message = format!(
                    "the deltas of a text in `output[{number}]` end with different white space than the finished text"
                );
                self.unknown.warn("text_differs", message, out);
            }
            Remainder::Differs => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the deltas of a text in `output[{number}]` differ from the text of the finished item"
                    ),
                ));
            }
        }
        out.end_part(0, place)
    }

    fn logprobs(
        &mut self,
        place: u32,
        list: &[Raw<'_>],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let seen = self.parts.open(place, PartKind::Text)?.1;
        let rest = list.get(seen.logprobs..).unwrap_or_default();
        seen.logprobs = seen.logprobs.max(list.len());
        emit_logprobs(rest, out)
    }

    fn emit_part(
        &mut self,
        part: u32,
        flow: PartKind,
        text: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.parts.open(part, flow)?.1.add(text);
        emit_text(part, flow, text, out)
    }
}

fn emit_text(
    part: u32,
    flow: PartKind,
    text: &str,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    match flow {
        PartKind::Text => out.text(0, part, text),
        PartKind::Refusal => out.refusal(0, part, text),
        PartKind::Reasoning => out.reasoning(0, part, text),
        PartKind::Opaque => Ok(()),
    }
}

/// A message of one part.
#[derive(Serialize)]
struct MessageOf {
    r#type: &'static str,
    role: &'static str,
    content: [Json; 1],
}

fn emit_logprobs(list: &[Raw<'_>], out: &mut ResponseBuilder) -> Result<(), Error> {
    let content = logprobs::tokens(list);
    out.logprobs(
        0,
        Logprobs {
            content,
            ..Logprobs::default()
        },
    )
}

/// The hash of citations, including one more.
fn cited(before: u64, annotation: Raw<'_>) -> u64 {
    before.rotate_left(5) ^ parts::hash_of(annotation.text().unwrap_or_default())
}

/// A citation of a web page, or of a file.
fn citation(annotation: Raw<'_>) -> Citation {
    object! {
        struct AnnotationFields<'a> {
            url: Text<'a>,
            title: Text<'a>,
            filename: Text<'a>,
        }
    }
    let wire: AnnotationFields<'_> = annotation.read().unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Citation {
        url: owned(&wire.url),
        title: owned(&wire.title).or_else(|| owned(&wire.filename)),
        cited_text: None,
        raw: annotation.json(),
    }
}

// Function calls, whose arguments arrive as deltas and complete.

impl Items {
    /// Adds a fragment of arguments. Without the call's name it is buffered.
    pub(super) fn arguments(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let Some(delta) = event.delta.as_deref() else {
            self.warn_unreadable(event, out);
            return Ok(());
        };
        if self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments)
        {
            self.warn_late_delta(event, out);
            return Ok(());
        }
        out.tool_arguments(0, item_part(number), delta)
    }

    /// Sets the complete arguments of a call.
    pub(super) fn arguments_done(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let name = event.name.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        // Before its name nothing of a call is visible, so its complete arguments can still replace others.
        self.complete_arguments(number, event.arguments, out)?;
        out.tool_start(0, item_part(number), "", name)?;
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        number: u32,
        item: &Item<'_>,
        json: Json,
        source: Source,
        is_first: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let name = item.name.as_deref().unwrap_or_default();
        let id = item.call_id.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        self.complete_arguments(number, item.arguments, out)?;
        out.tool_start(0, part, id, name)?;
        let current = out.current_call(0, part);
        if current.is_some_and(|call| !id.is_empty() && call.id != id) {
            let message = format!(
                "the call in `output[{number}]` has different `call_id`s in its announcement and its finished item; the first one is kept"
            );
            self.unknown.warn("call_id_differs", message, out);
        }
        if !is_first {
            return Ok(());
        }
        out.tool_call_provider_data(0, part, ProviderData::new(&self.provider, json))?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = matches!(item.status.as_deref(), Some("in_progress" | "incomplete"));
        let is_empty = out
            .current_call(0, part)
            .is_some_and(|call| call.arguments.trim().is_empty());
        if source == Source::Response && is_open && is_empty && !has_arguments {
            // As if it were only announced: the end of the response decides.
            if let Some(slot) = self.slots.get(number) {
                slot.done = false;
            }
            return Ok(());
        }
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        self.has_call();
        out.end_part(0, part)
    }

    /// Different names in the announcement and at the end are different commands.
    fn check_name(&self, number: u32, name: &str, out: &ResponseBuilder) -> Result<(), Error> {
        match out.current_call(0, item_part(number)) {
            Some(call) if ![&*call.name, ""].contains(&name) && !call.name.is_empty() => {
                Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the call in `output[{number}]` was announced as `{}` but finished as `{}`",
                        call.name.escape_debug(),
                        name.escape_debug()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Sets the complete arguments of a call, part of which may have been emitted. Empty arguments are ignored: some
    /// servers omit at the end what they sent before.
    fn complete_arguments(
        &mut self,
        number: u32,
        arguments: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let whole = arguments.arguments()?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = out.tool_call_progress(0, part) != Some(ToolCallProgress::Ended);
        let come = out.current_call(0, part).map_or("", |call| &call.arguments);
        if whole.is_empty() || *come == *whole || parts::same_arguments(come, &whole) {
            return Ok(());
        }
        let can_continue = is_open && (come.is_empty() || !has_arguments);
        if let Some(rest) = whole.strip_prefix(come).filter(|_| can_continue) {
            return out.tool_arguments(0, part, rest);
        }
        if out.replace_arguments(0, part, &whole)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the arguments of the call in `output[{number}]` differ between its deltas and the finished call, so the intended command is unknown"
            ),
        ))
    }
}
