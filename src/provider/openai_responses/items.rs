//! The items of `output`: each is begun, comes in deltas, and is repeated in full by its parts' `done` events, by its own and
//! by the final response. Each repetition is compared with what was handed out and brings what is missing.

use super::{
    arguments,
    parts::{List, Parts, Rest, hash, item_part},
    slots::{Key, Kind, Slots},
    unknown::{self, Notices},
    wire::{Event, Flow, Item, Spelled},
};
use crate::{
    Assembler, Citation, Error, ErrorKind, Json, Logprobs, OpaqueBlock, OpaqueData,
    event::CallState,
    provider::{
        lenient::{Object, Raw, Text, object},
        logprobs,
    },
};
use serde::Serialize;

/// The items that have come, and what is said of them.
#[derive(Debug)]
pub(super) struct Items {
    provider: String,
    pub(super) slots: Slots,
    pub(super) parts: Parts,
    pub(super) notices: Notices,
    /// Whether an item was handed out that the program has to answer.
    calls: bool,
    /// Whether the last command for a shell has no output, so that the program is to run it.
    shell_waits: bool,
    /// Whether a reasoning item came: the items behind it are only known with their ids then.
    reasoned: bool,
}

/// Where an item was told in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By its own `done` event.
    Done,
    /// In the final response.
    Response,
}

impl Items {
    pub(super) fn new(provider: &str) -> Self {
        Items {
            provider: provider.to_owned(),
            slots: Slots::default(),
            parts: Parts::default(),
            notices: Notices::default(),
            calls: false,
            shell_waits: false,
            reasoned: false,
        }
    }

    /// A call was handed out that the program has to answer.
    pub(super) fn has_call(&mut self) {
        self.calls = true;
    }

    /// A reasoning item came.
    pub(super) fn has_reasoning(&mut self) {
        self.reasoned = true;
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls || self.shell_waits
    }

    /// Whether no item and no piece of one came.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn added(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let item: Item<'_> = event.item.read().unwrap_or_default();
        let id = item.id.non_empty().map_or(0, hash);
        let number = self.slots.add(event.output_index.0, id)?;
        let json = event.item.json();
        out.retain(json.as_ref().map_or(0, |json| json.as_str().len()))?;
        if let Some(slot) = self.slots.get(number) {
            slot.key = key(&item);
            slot.announced = json;
        }
        match item.name.non_empty() {
            Some(name) if key(&item).kind == Kind::Call => {
                let id = item.call_id.as_deref().unwrap_or_default();
                out.tool_start(0, item_part(number), id, name)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn done(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let item: Item<'_> = event.item.read().unwrap_or_default();
        let number = self.slots.of(event.output_index.0, item.id.non_empty())?;
        self.complete(number, &item, event.item, Told::Done, out)
    }

    /// The items of a response that is complete; in a stream they may have come before.
    pub(super) fn of_response(
        &mut self,
        list: &[Raw<'_>],
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let read = |raw: &Raw<'_>| key(&raw.read().unwrap_or_default());
        let keys: Vec<Key> = list.iter().map(read).collect();
        for (number, raw) in self.slots.resolve(&keys)?.into_iter().zip(list) {
            let item = raw.read().unwrap_or_default();
            self.complete(number, &item, *raw, Told::Response, out)?;
        }
        Ok(())
    }

    /// The text of a response that has no items.
    pub(super) fn bare_text(&mut self, text: &str, out: &mut Assembler) -> Result<(), Error> {
        let number = self.slots.of(Some(0), None)?;
        self.pour(List::First.part(number, 0), Flow::Text, text, out)
    }

    pub(super) fn text(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let part = self.delta(event, List::First, Flow::Text, out)?;
        if let Some(part) = part.filter(|_| !event.logprobs.0.is_empty()) {
            let seen = self.parts.open(part, Flow::Text)?.1;
            seen.logprobs = seen.logprobs.saturating_add(event.logprobs.0.len());
            return pour_logprobs(&event.logprobs.0, out);
        }
        Ok(())
    }

    pub(super) fn refusal(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        self.delta(event, List::First, Flow::Refusal, out)
            .map(|_| ())
    }

    pub(super) fn summary(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        self.delta(event, List::First, Flow::Reasoning, out)
            .map(|_| ())
    }

    pub(super) fn reasoning(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.delta(event, List::Second, Flow::Reasoning, out)
            .map(|_| ())
    }

    /// A piece of arguments. Without the call's name it waits for it.
    pub(super) fn arguments(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let Some(delta) = event.delta.as_deref() else {
            self.unreadable(event, out);
            return Ok(());
        };
        if self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments)
        {
            self.late(event, out);
            return Ok(());
        }
        out.tool_arguments(0, item_part(number), delta)
    }

    /// All arguments of a call.
    pub(super) fn arguments_done(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let name = event.name.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        out.tool_start(0, item_part(number), "", name)?;
        self.whole_arguments(number, event.arguments, out)?;
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        Ok(())
    }

    /// The whole text of one part.
    pub(super) fn text_done(
        &mut self,
        event: &Event<'_>,
        flow: Flow,
        list: List,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let whole = match flow {
            Flow::Refusal => event.refusal.as_deref(),
            _ => event.text.as_deref(),
        };
        let Some(whole) = whole else {
            self.unreadable(event, out);
            return Ok(());
        };
        let (number, index) = self.place(event, list, flow)?;
        let part = self.parts.completed(list, number, index, flow, whole)?;
        self.whole(number, part, flow, whole, out)?;
        if flow == Flow::Text {
            self.logprobs(part, &event.logprobs.0, out)?;
        }
        Ok(())
    }

    /// One whole part of an item.
    pub(super) fn part_done(
        &mut self,
        event: &Event<'_>,
        list: List,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let Some(part) = Spelled::read(event.part) else {
            return Ok(());
        };
        let (mut flow, whole) = part.content();
        // The content of a reasoning item, as events of parts without a name of their own tell it.
        let list = match flow {
            Flow::Reasoning if list == List::First && event.summary_index.0.is_none() => {
                List::Second
            }
            _ => list,
        };
        if event.summary_index.0.is_some() {
            flow = Flow::Reasoning;
        }
        let (number, index) = self.place(event, list, flow)?;
        let place = self.parts.completed(list, number, index, flow, &whole)?;
        self.whole_part(number, place, flow, &whole, &part, out)
    }

    /// A source of a text.
    pub(super) fn annotation(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let (number, index) = self.place(event, List::First, Flow::Text)?;
        let (part, seen) = self
            .parts
            .open(List::First.part(number, index), Flow::Text)?;
        if event.annotation.text().is_some() && !seen.closed {
            seen.citations = seen.citations.saturating_add(1);
            out.citation(0, part, citation(event.annotation))?;
        }
        Ok(())
    }

    /// A member of an announced item is complete.
    pub(super) fn member_done(
        &mut self,
        event: &Event<'_>,
        member: &'static str,
        value: Raw<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        let Some(value) = value.json() else {
            return Ok(());
        };
        out.retain(value.as_str().len())?;
        if let Some(slot) = self.slots.get(number).filter(|slot| !slot.done) {
            slot.completed.retain(|(other, _)| *other != member);
            slot.completed.push((member, value));
        }
        Ok(())
    }

    /// To which item and which of its parts an event belongs.
    fn place(&mut self, event: &Event<'_>, list: List, flow: Flow) -> Result<(u32, u64), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        let (kind, index) = match (list, flow) {
            (List::First, Flow::Reasoning) => (Kind::Reasoning, event.summary_index),
            (List::Second, _) => (Kind::Reasoning, event.content_index),
            _ => (Kind::Message, event.content_index),
        };
        self.slots.is(number, kind);
        Ok((number, index.0.unwrap_or(0)))
    }

    /// A piece of a part, and which part that is.
    fn delta(
        &mut self,
        event: &Event<'_>,
        list: List,
        flow: Flow,
        out: &mut Assembler,
    ) -> Result<Option<u32>, Error> {
        let (number, index) = self.place(event, list, flow)?;
        let Some(delta) = event.delta.as_deref() else {
            self.unreadable(event, out);
            return Ok(None);
        };
        let (part, seen) = self.parts.open(list.part(number, index), flow)?;
        if seen.closed {
            if !delta.is_empty() {
                self.late(event, out);
            }
            return Ok(None);
        }
        seen.add(delta);
        hand_out(part, flow, delta, out)?;
        Ok(Some(part))
    }

    /// An item in full: hands out what was left out before, and refuses what differs.
    fn complete(
        &mut self,
        number: u32,
        item: &Item<'_>,
        raw: Raw<'_>,
        told: Told,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let Some(json) = raw.json() else {
            return Ok(());
        };
        let key = key(item);
        let mut is_first = true;
        if let Some(slot) = self.slots.get(number) {
            is_first = !slot.done;
            slot.done = true;
            slot.key = key;
            slot.announced = None;
        }
        match key.kind {
            Kind::Message => {
                self.message(number, item, out)?;
                if is_first {
                    self.notices
                        .members("a message", raw, unknown::OF_MESSAGE, out);
                    self.mark(number, item, out)?;
                }
                Ok(())
            }
            Kind::Call => self.call(number, item, json, told, is_first, out),
            Kind::Reasoning => {
                self.reasoned = true;
                self.thoughts(number, item, out)?;
                if is_first {
                    return self.opaque(number, json, out);
                }
                Ok(())
            }
            Kind::Unknown | Kind::Other(_) if is_first => {
                self.answers(item.r#type.as_deref().unwrap_or_default());
                self.opaque(number, json, out)
            }
            Kind::Unknown | Kind::Other(_) => Ok(()),
        }
    }

    /// Whether the program has to answer an item of this type, once it was handed out.
    pub(super) fn answers(&mut self, kind: &str) {
        match kind {
            "custom_tool_call" | "computer_call" | "local_shell_call" | "apply_patch_call" => {
                self.calls = true;
            }
            "shell_call" => self.shell_waits = true,
            "shell_call_output" => self.shell_waits = false,
            _ => {}
        }
    }

    pub(super) fn opaque(&self, number: u32, json: Json, out: &mut Assembler) -> Result<(), Error> {
        out.opaque(0, item_part(number), OpaqueBlock::new(&self.provider, json))
    }

    pub(super) fn message(
        &mut self,
        number: u32,
        item: &Item<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let list = Spelled::list(item.content);
        self.list(number, List::First, None, &list, out)
    }

    pub(super) fn thoughts(
        &mut self,
        number: u32,
        item: &Item<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let thoughts = Some(Flow::Reasoning);
        let (summary, content) = (Spelled::list(item.summary), Spelled::list(item.content));
        self.list(number, List::First, thoughts, &summary, out)?;
        self.list(number, List::Second, thoughts, &content, out)
    }

    /// A whole list of parts, all of them of this flow if one is given.
    fn list(
        &mut self,
        number: u32,
        list: List,
        flow: Option<Flow>,
        parts: &[Spelled<'_>],
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if parts.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = parts
            .iter()
            .map(|part| match (flow, part.content()) {
                // It goes back with its item, of which it is a part.
                (Some(flow), (_, _)) => (
                    flow,
                    std::borrow::Cow::Borrowed(part.part.text.as_deref().unwrap_or_default()),
                ),
                (None, content) => content,
            })
            .collect();
        let finished: Vec<(Flow, &str)> =
            texts.iter().map(|(flow, text)| (*flow, &**text)).collect();
        let (numbers, lacks) = self.parts.align(list, number, &finished)?;
        for ((place, part), (flow, whole)) in numbers.into_iter().zip(parts).zip(finished) {
            self.whole_part(number, place, flow, whole, part, out)?;
        }
        if lacks {
            let message = || {
                format!(
                    "the deltas of `output[{number}]` bring more parts than the finished item has"
                )
            };
            self.notices.warn("text_differs", "parts", message, out);
        }
        Ok(())
    }

    /// One part in full: text, sources and probabilities.
    fn whole_part(
        &mut self,
        number: u32,
        place: u32,
        flow: Flow,
        whole: &str,
        part: &Spelled<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if flow == Flow::Opaque {
            return self.opaque_part(place, part, out);
        }
        let (place, seen) = self.parts.open(place, flow)?;
        let (is_first, cited) = (!seen.closed, seen.citations);
        self.whole(number, place, flow, whole, out)?;
        if flow == Flow::Text {
            let annotations = &part.part.annotations.0;
            for annotation in annotations.get(cited..).unwrap_or_default() {
                out.citation(0, place, citation(*annotation))?;
            }
            let seen = self.parts.open(place, flow)?.1;
            seen.citations = cited.max(annotations.len());
            self.logprobs(place, &part.part.logprobs.0, out)?;
        }
        if is_first && flow != Flow::Reasoning {
            self.notices
                .members("a part of a message", part.raw, unknown::OF_PART, out);
        }
        out.close(0, place)
    }

    /// A part of a type that has no place: a message of its own that has nothing else in it, so that it can go back.
    fn opaque_part(
        &mut self,
        place: u32,
        part: &Spelled<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let (place, seen) = self.parts.open(place, Flow::Opaque)?;
        let Some(json) = part.raw.json().filter(|_| !seen.closed) else {
            return Ok(());
        };
        seen.closed = true;
        let block = Json::new(&MessageOf {
            r#type: "message",
            role: "assistant",
            content: [json],
        })?;
        out.opaque(0, place, OpaqueBlock::new(&self.provider, block))
    }

    /// A whole text, of which some may have been handed out.
    fn whole(
        &mut self,
        number: u32,
        place: u32,
        flow: Flow,
        whole: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let seen = self.parts.open(place, flow)?.1;
        let rest = seen.rest(whole);
        seen.closed = true;
        match rest {
            Rest::More(rest) => self.pour(place, flow, rest, out)?,
            Rest::Space => {
                let message = || {
                    format!(
                        "the deltas of a text in `output[{number}]` end in other white space than the finished text"
                    )
                };
                self.notices.warn("text_differs", "space", message, out);
            }
            Rest::Differs => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the deltas of a text in `output[{number}]` do not add up to the text that its item was finished with"
                    ),
                ));
            }
        }
        out.close(0, place)
    }

    fn logprobs(
        &mut self,
        place: u32,
        list: &[Object<logprobs::Token<'_>>],
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let seen = self.parts.open(place, Flow::Text)?.1;
        let rest = list.get(seen.logprobs..).unwrap_or_default();
        seen.logprobs = seen.logprobs.max(list.len());
        pour_logprobs(rest, out)
    }

    /// By what the provider recognises a message when it comes back.
    pub(super) fn mark(
        &self,
        number: u32,
        item: &Item<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if !self.reasoned && item.phase.non_empty().is_none() {
            return Ok(());
        }
        let block = Json::new(&MessageMark {
            r#type: "message",
            id: item.id.non_empty(),
            phase: item.phase.non_empty(),
        })?;
        self.opaque(number, block, out)
    }

    fn call(
        &mut self,
        number: u32,
        item: &Item<'_>,
        json: Json,
        told: Told,
        is_first: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let name = item.name.as_deref().unwrap_or_default();
        let id = item.call_id.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        out.tool_start(0, part, id, name)?;
        if let Some(call) = out.call_so_far(0, part)
            && !id.is_empty()
            && call.id != id
        {
            let message = || {
                format!(
                    "the call in `output[{number}]` was announced with another `call_id` than it was finished with; it keeps the first"
                )
            };
            self.notices
                .warn("call_id_differs", &number.to_string(), message, out);
        }
        self.whole_arguments(number, item.arguments, out)?;
        if !is_first {
            return Ok(());
        }
        out.tool_data(0, part, OpaqueData::new(&self.provider, json))?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = matches!(item.status.as_deref(), Some("in_progress" | "incomplete"));
        let is_empty = out
            .call_so_far(0, part)
            .is_some_and(|call| call.arguments.trim().is_empty());
        if told == Told::Response && is_open && is_empty && !has_arguments {
            // As if it were only announced: what the response ended with decides.
            if let Some(slot) = self.slots.get(number) {
                slot.done = false;
            }
            return Ok(());
        }
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        self.calls = true;
        out.close(0, part)
    }

    /// One name in the announcement and another one at the end are two commands.
    fn check_name(&self, number: u32, name: &str, out: &Assembler) -> Result<(), Error> {
        match out.call_so_far(0, item_part(number)) {
            Some(call) if ![&*call.name, ""].contains(&name) && !call.name.is_empty() => {
                Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the call in `output[{number}]` was announced as `{}` and finished as `{}`",
                        call.name.escape_debug(),
                        name.escape_debug()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// All arguments of a call, of which some may have been handed out. None say nothing: some servers leave out at the end
    /// what they have sent before.
    fn whole_arguments(
        &mut self,
        number: u32,
        arguments: Raw<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let whole = arguments.arguments()?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = out.call_state(0, part) != Some(CallState::Ended);
        let come = out.call_so_far(0, part).map_or("", |call| &call.arguments);
        if whole.is_empty() || *come == *whole || arguments::same(come, &whole) {
            return Ok(());
        }
        if let Some(rest) = whole.strip_prefix(come)
            && is_open
            && (come.is_empty() || !has_arguments)
        {
            return out.tool_arguments(0, part, rest);
        }
        if out.replace_arguments(0, part, &whole)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the arguments of the call in `output[{number}]` differ between its deltas and the finished call: it is not known which command was meant"
            ),
        ))
    }

    fn pour(
        &mut self,
        part: u32,
        flow: Flow,
        text: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.parts.open(part, flow)?.1.add(text);
        hand_out(part, flow, text, out)
    }

    /// A delta behind the whole text or the whole arguments.
    fn late(&mut self, event: &Event<'_>, out: &mut Assembler) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = || {
            format!(
                "an event `{name}` came behind the event that completed its part; it was taken for a repetition"
            )
        };
        self.notices.warn("late_delta", name, message, out);
    }

    /// A delta or a whole text that is no text.
    fn unreadable(&mut self, event: &Event<'_>, out: &mut Assembler) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = || {
            format!(
                "an event `{name}` has no text where one belongs; `raw_frames` gives it as it came"
            )
        };
        self.notices.warn("unknown_event", name, message, out);
    }
}

fn hand_out(part: u32, flow: Flow, text: &str, out: &mut Assembler) -> Result<(), Error> {
    match flow {
        Flow::Text => out.text(0, part, text),
        Flow::Refusal => out.refusal(0, part, text),
        Flow::Reasoning => out.reasoning(0, part, text),
        Flow::Opaque => Ok(()),
    }
}

/// A message of one part.
#[derive(Serialize)]
struct MessageOf {
    r#type: &'static str,
    role: &'static str,
    content: [Json; 1],
}

/// What a message needs, beside its text, to be recognised by the provider when it comes back.
#[derive(Serialize)]
struct MessageMark<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
}

/// By what an item is recognised.
fn key(item: &Item<'_>) -> Key {
    let (kind, id) = match item.r#type.as_deref().unwrap_or_default() {
        "message" if matches!(item.role.as_deref(), None | Some("" | "assistant")) => {
            (Kind::Message, &item.id)
        }
        "function_call" => (Kind::Call, &item.call_id),
        "reasoning" => (Kind::Reasoning, &item.id),
        other => (Kind::Other(hash(other)), &item.id),
    };
    Key {
        kind,
        id: id.non_empty().map_or(0, hash),
    }
}

fn pour_logprobs(list: &[Raw<'_>], out: &mut Assembler) -> Result<(), Error> {
    let content = logprobs::tokens(list);
    out.logprobs(
        0,
        Logprobs {
            content,
            ..Logprobs::default()
        },
    )
}

/// Of a page, or of a file.
fn citation(annotation: Raw<'_>) -> Citation {
    object! {
        struct Wire<'a> {
            url: Text<'a>,
            title: Text<'a>,
            filename: Text<'a>,
        }
    }
    let wire: Wire<'_> = annotation.read().unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Citation {
        url: owned(&wire.url),
        title: owned(&wire.title).or_else(|| owned(&wire.filename)),
        cited_text: None,
        raw: annotation.json(),
    }
}
