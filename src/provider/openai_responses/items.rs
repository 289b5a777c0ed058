//! The items of `output`. Each starts, arrives as deltas, and is repeated in full by the `done` events of its parts,
//! by its own and by the final response. Each repetition is compared with the emitted content and adds what is
//! missing.

use super::{
    decode,
    encode_items::is_encrypted,
    hosted,
    output_items::{ItemFingerprint, Key, Kind, Member, OutputItems, Streamed, text_of},
    parts::{PartList, Parts, hash, item_part},
    types::{Event, Item, ShellOutput},
};
use crate::{
    Error, ErrorKind, Json,
    chat::{HostedToolUsage, ProviderBlock},
    event::ToolCallProgress,
    provider::{
        ResponseBuilder,
        kit::{
            json_object::JsonObject,
            lenient::{self, Raw},
            unknown_fields::{UnknownFieldWarnings, shown},
        },
    },
};
use serde::Serialize;

/// The items so far, and their warnings.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) provider: String,
    pub(super) slots: OutputItems,
    pub(super) parts: Parts,
    pub(super) unknown: UnknownFieldWarnings,
    /// Whether an item was emitted that the program must answer.
    calls: bool,
    /// Whether the last shell command has no output, so that the program must run it.
    shell_waits: bool,
    /// Whether there was a reasoning item: the items after it then need their ids.
    has_reasoning_item: bool,
    /// How often hosted tools ran.
    pub(super) hosted_tools: HostedToolUsage,
}

/// The source of a complete item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Its own `done` event.
    Done,
    /// The final response.
    Response,
}

impl Items {
    pub(super) fn new(provider: &str) -> Self {
        Items {
            provider: provider.to_owned(),
            slots: OutputItems::default(),
            parts: Parts::default(),
            unknown: UnknownFieldWarnings::default(),
            calls: false,
            shell_waits: false,
            has_reasoning_item: false,
            hosted_tools: HostedToolUsage::default(),
        }
    }

    /// Records a call that the program must answer.
    pub(super) fn has_call(&mut self) {
        self.calls = true;
    }

    /// Records a reasoning item.
    pub(super) fn has_reasoning(&mut self) {
        self.has_reasoning_item = true;
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls || self.shell_waits
    }

    /// Whether no item and no delta was received.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn added(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let item: Item<'_> = event.item.read().unwrap_or_default();
        let id = item.id.non_empty().map_or(0, hash);
        let number = self.slots.add(event.output_index.0, id)?;
        let json = event.item.json();
        out.charge(json.as_ref().map_or(0, |json| json.as_str().len()))?;
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

    pub(super) fn done(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let item: Item<'_> = event.item.read().unwrap_or_default();
        let number = self.slots.of(event.output_index.0, item.id.non_empty())?;
        self.complete(number, &item, event.item, Source::Done, out)
    }

    /// The items of a complete response; in a stream they may have been received before.
    pub(super) fn of_response(
        &mut self,
        list: &[Raw<'_>],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let read = |raw: &Raw<'_>| key(&raw.read().unwrap_or_default());
        let keys: Vec<Key> = list.iter().map(read).collect();
        for (number, raw) in self.slots.resolve(&keys)?.into_iter().zip(list) {
            let item = raw.read().unwrap_or_default();
            self.complete(number, &item, *raw, Source::Response, out)?;
        }
        Ok(())
    }

    /// A text delta of an item without typed content.
    pub(super) fn member_delta(
        &mut self,
        event: &Event<'_>,
        member: Member,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        match event.delta.as_deref() {
            Some(delta) => self.add_to_member(event, member, delta, out),
            None => {
                self.warn_unreadable(event, out);
                Ok(())
            }
        }
    }

    /// A delta of a shell command's output.
    pub(super) fn shell_output(
        &mut self,
        event: &Event<'_>,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let printed: ShellOutput<'_> = lenient::parse(data)?;
        let index = event.command_index.0.unwrap_or(0);
        let printed = printed.delta.0.unwrap_or_default();
        for (member, text) in [
            (Member::Stdout(index), printed.stdout),
            (Member::Stderr(index), printed.stderr),
        ] {
            if let Some(text) = text.non_empty() {
                self.add_to_member(event, member, text, out)?;
            }
        }
        Ok(())
    }

    fn add_to_member(
        &mut self,
        event: &Event<'_>,
        member: Member,
        delta: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.charge(delta.len())?;
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        let is_late = match self.slots.get(number) {
            Some(slot) if slot.done => !delta.is_empty(),
            Some(slot) => !slot.streamed.add(member, delta),
            None => false,
        };
        if is_late {
            self.warn_late_delta(event, out);
        }
        Ok(())
    }

    /// A complete text of an item without typed content.
    pub(super) fn member_done(
        &mut self,
        event: &Event<'_>,
        member: Member,
        value: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        let text = text_of(value);
        out.charge(text.len())?;
        let is_same = self
            .slots
            .get(number)
            .filter(|slot| !slot.done)
            .is_none_or(|slot| slot.streamed.whole(member, &text));
        if !is_same {
            self.differs(number, member.name(), "its deltas", out);
        }
        Ok(())
    }

    /// Two events of an item differ, of which nothing was emitted yet: the later one counts.
    pub(super) fn differs(
        &mut self,
        number: u32,
        member: &str,
        from: &str,
        out: &mut ResponseBuilder,
    ) {
        let message = format!(
            "`{}` of `output[{number}]` differs from {from}; the last value is used",
            shown(member)
        );
        self.unknown.warn("item_differs", message, out);
    }

    /// A complete item: emits what is missing, and refuses what differs.
    fn complete(
        &mut self,
        number: u32,
        item: &Item<'_>,
        raw: Raw<'_>,
        source: Source,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(json) = raw.json() else {
            return Ok(());
        };
        let key = key(item);
        let mut is_first = true;
        let (mut announced, mut begun) = (None, Kind::Unknown);
        if let Some(slot) = self.slots.get(number) {
            is_first = !slot.done;
            slot.done = true;
            begun = std::mem::replace(&mut slot.key, key).kind;
            announced = slot.announced.take();
        }
        if begun == Kind::Call
            && key.kind != Kind::Call
            && out.current_call(0, item_part(number)).is_some()
        {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("`output[{number}]` was announced as a call but finished as another item"),
            ));
        }
        match key.kind {
            Kind::Message => {
                self.message(number, item, out)?;
                if is_first {
                    self.unknown_members("a message", raw, decode::OF_MESSAGE, out);
                    self.mark(number, item, out)?;
                }
                Ok(())
            }
            Kind::Call => self.call(number, item, json, source, is_first, out),
            Kind::Reasoning => {
                self.has_reasoning_item = true;
                self.thoughts(number, item, out)?;
                self.reasoning_block(number, json, source, is_first, out)
            }
            Kind::Unknown | Kind::Other(_) if is_first => {
                self.compare_announced(number, announced.as_ref(), item, out)?;
                self.other(number, item, json, source, out)
            }
            Kind::Unknown | Kind::Other(_) => self.again(number, item, raw, out),
        }
    }

    /// Emits a reasoning item once, with its encrypted content even if only the final response has it.
    fn reasoning_block(
        &mut self,
        number: u32,
        json: Json,
        source: Source,
        is_first: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_encrypted = is_encrypted(&json);
        let Some(slot) = self.slots.get(number) else {
            return self.provider_block(number, json, out);
        };
        if is_first && source == Source::Done && !is_encrypted {
            out.charge(json.as_str().len())?;
            slot.unencrypted = Some(json);
            return Ok(());
        }
        match (slot.unencrypted.take(), is_first) {
            (Some(kept), _) if !is_encrypted => self.provider_block(number, kept, out),
            (Some(_), _) | (None, true) => self.provider_block(number, json, out),
            (None, false) => Ok(()),
        }
    }

    /// An item without typed content is finished.
    fn other(
        &mut self,
        number: u32,
        item: &Item<'_>,
        json: Json,
        source: Source,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let streamed = self
            .slots
            .get(number)
            .map(|slot| std::mem::take(&mut slot.streamed));
        let (json, differing) = match streamed {
            Some(streamed) if !streamed.is_empty() => streamed.complete(json)?,
            _ => (json, Vec::new()),
        };
        if let Some(slot) = self.slots.get(number).filter(|_| source == Source::Done) {
            slot.fingerprint = ItemFingerprint::of(lenient::parse(json.as_str())?);
            out.charge(slot.fingerprint.size())?;
        }
        for member in differing {
            self.differs(number, member, "the events before it", out);
        }
        self.is_program_call(item.r#type.as_deref().unwrap_or_default());
        self.finished_item(number, json, out)
    }

    /// Adds a finished item without typed content of its own, or of a hosted tool.
    fn finished_item(
        &mut self,
        number: u32,
        json: Json,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let usage = &mut self.hosted_tools;
        hosted::emit(&self.provider, item_part(number), json, usage, out)
    }

    /// The identifying fields of an announced item must be the same in the finished one.
    fn compare_announced(
        &mut self,
        number: u32,
        announced: Option<&Json>,
        item: &Item<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(announced) = announced else {
            return Ok(());
        };
        let announced: Item<'_> = lenient::parse(announced.as_str())?;
        for (member, before, now) in [
            ("type", &announced.r#type, &item.r#type),
            ("name", &announced.name, &item.name),
            ("call_id", &announced.call_id, &item.call_id),
        ] {
            let differs = matches!((before.non_empty(), now.non_empty()), (Some(before), Some(now)) if before != now);
            if differs {
                self.differs(number, member, "its announcement", out);
            }
        }
        Ok(())
    }

    /// The final response repeats an emitted item. If a call for the program differs, the intended command is
    /// unknown.
    fn again(
        &mut self,
        number: u32,
        item: &Item<'_>,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        const COMMAND: [&str; 6] = ["type", "name", "input", "arguments", "action", "operation"];
        let differing = match self.slots.get(number) {
            Some(slot) => slot.fingerprint.differing(raw),
            None => Vec::new(),
        };
        let kind = item.r#type.as_deref().unwrap_or_default();
        for member in &differing {
            let member = shown(member);
            if is_answered(kind) && COMMAND.contains(&&*member) {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "`{member}` of `output[{number}]` differs between the finished item and the final response, so the intended command is unknown"
                    ),
                ));
            }
            let message = format!(
                "`{member}` of `output[{number}]` differs between the finished item and the final response; the finished item is kept"
            );
            self.unknown.warn("item_differs", message, out);
        }
        Ok(())
    }

    /// Unknown fields of the response, or of an event.
    pub(super) fn extras(
        &mut self,
        object: Raw<'_>,
        known: &[&str],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        decode::members(object, known, &mut |name, value| {
            self.unknown.extra("", name, lenient::parse(value)?, out)
        })
    }

    /// Unknown fields of an object.
    pub(super) fn unknown_members(
        &mut self,
        place: &str,
        object: Raw<'_>,
        known: &[&str],
        out: &mut ResponseBuilder,
    ) {
        let _ = decode::members(object, known, &mut |name, _| {
            self.unknown.member(place, name, out);
            Ok(())
        });
    }

    /// Whether the program must answer an item of this type, once it was emitted.
    pub(super) fn is_program_call(&mut self, kind: &str) {
        match kind {
            "shell_call" => self.shell_waits = true,
            "shell_call_output" => self.shell_waits = false,
            // An approval request is not a call: the model asks whether a call is allowed.
            "mcp_approval_request" => {}
            kind => self.calls |= is_answered(kind),
        }
    }

    pub(super) fn provider_block(
        &self,
        number: u32,
        json: Json,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.provider_block(
            0,
            item_part(number),
            ProviderBlock::new(&self.provider, json),
        )
    }

    /// Adds the fields by which the provider recognises a message that is sent back.
    pub(super) fn mark(
        &self,
        number: u32,
        item: &Item<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if !self.has_reasoning_item && item.phase.non_empty().is_none() {
            return Ok(());
        }
        let block = Json::new(&MessageMeta {
            r#type: "message",
            id: item.id.non_empty(),
            phase: item.phase.non_empty(),
        })?;
        self.provider_block(number, block, out)
    }

    /// A delta after the complete text or arguments.
    pub(super) fn warn_late_delta(&mut self, event: &Event<'_>, out: &mut ResponseBuilder) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = format!(
            "an event `{}` after the event that completed its part was ignored as a repetition",
            shown(name)
        );
        self.unknown.warn("late_delta", message, out);
    }

    /// A delta or a complete text that is not a string.
    pub(super) fn warn_unreadable(&mut self, event: &Event<'_>, out: &mut ResponseBuilder) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = format!(
            "an event `{}` has no text; `raw_frames` has it",
            shown(name)
        );
        self.unknown.warn("unknown_event", message, out);
    }
}

/// The fields, in addition to its text, by which the provider recognises a message that is sent back.
#[derive(Serialize)]
struct MessageMeta<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
}

/// Whether the program may have to answer an item of this type.
fn is_answered(kind: &str) -> bool {
    matches!(
        kind,
        "custom_tool_call"
            | "computer_call"
            | "local_shell_call"
            | "apply_patch_call"
            | "shell_call"
            | "mcp_approval_request"
    )
}

/// The key by which an item is recognised.
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

// The items that are still open when the response ends.

/// How a response with content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    /// Cut by a limit or a filter.
    Incomplete,
}

impl Items {
    /// Ends the response: completes the items that no event of their own completed.
    pub(super) fn finish(&mut self, ended: Ended, out: &mut ResponseBuilder) -> Result<(), Error> {
        for number in self.slots.numbers() {
            let kept = self
                .slots
                .get(number)
                .and_then(|slot| slot.unencrypted.take());
            if let Some(json) = kept {
                self.provider_block(number, json, out)?;
            }
            let Some(slot) = self.slots.get(number).filter(|slot| !slot.done) else {
                continue;
            };
            slot.done = true;
            let kind = slot.key.kind;
            let announced = slot.announced.take();
            let streamed = std::mem::take(&mut slot.streamed);
            match kind {
                Kind::Call => self.open_call(number, ended, out)?,
                Kind::Message => self.open_message(number, announced, out)?,
                Kind::Reasoning => self.open_reasoning(number, announced, out)?,
                Kind::Other(_) => self.open_other(number, announced, streamed, out)?,
                Kind::Unknown if streamed.is_empty() => {}
                Kind::Unknown => self.not_completed(number, "", out),
            }
        }
        Ok(())
    }

    /// A call without a completing event is complete only if its arguments are one JSON object.
    fn open_call(
        &mut self,
        number: u32,
        ended: Ended,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        if !has_arguments {
            let is_cut = ended == Ended::Incomplete;
            if out.end_open_call(0, part, is_cut, &format!("output[{number}]"))? {
                self.has_call();
            }
            return Ok(());
        }
        if !matches!(
            out.tool_call_progress(0, part),
            None | Some(ToolCallProgress::Ended)
        ) {
            self.has_call();
        }
        out.end_part(0, part)
    }

    /// The text of a message is complete once the response is. A text that only the announcement has is used.
    fn open_message(
        &mut self,
        number: u32,
        announced: Option<Json>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(json) = announced else {
            return Ok(());
        };
        let item: Item<'_> = lenient::parse(json.as_str())?;
        if self.parts.of(PartList::First, number).next().is_none() {
            self.message(number, &item, out)?;
        }
        self.mark(number, &item, out)
    }

    /// A reasoning item is sent back with its received texts.
    fn open_reasoning(
        &mut self,
        number: u32,
        announced: Option<Json>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Text<'a> {
            r#type: &'static str,
            text: &'a str,
        }
        let Some(json) = announced else {
            return Ok(());
        };
        self.has_reasoning();
        let item: Item<'_> = lenient::parse(json.as_str())?;
        let nothing_came = |list| self.parts.of(list, number).next().is_none();
        if nothing_came(PartList::First) && nothing_came(PartList::Second) {
            self.thoughts(number, &item, out)?;
        }
        let Some(mut members) = JsonObject::read(json.as_str()) else {
            return Ok(());
        };
        for (list, member, r#type) in [
            (PartList::First, "summary", "summary_text"),
            (PartList::Second, "content", "reasoning_text"),
        ] {
            let texts: Vec<Text<'_>> = self
                .parts
                .of(list, number)
                .filter_map(|part| out.current_text(0, part))
                .map(|text| Text { r#type, text })
                .collect();
            if !texts.is_empty() {
                members.set(member, Json::new(&texts)?);
            }
        }
        self.provider_block(number, members.without(&["status"]).to_json()?, out)
    }

    /// An item without typed content is complete if an event completed its main field.
    fn open_other(
        &mut self,
        number: u32,
        announced: Option<Json>,
        streamed: Streamed,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(json) = announced else {
            self.not_completed(number, "", out);
            return Ok(());
        };
        let item: Item<'_> = lenient::parse(json.as_str())?;
        let kind = item.r#type.as_deref().unwrap_or_default();
        if !streamed.has_whole() {
            self.not_completed(number, kind, out);
            return Ok(());
        }
        let (filled, differing) = streamed.complete(json.clone())?;
        for member in differing {
            self.differs(number, member, "its announcement", out);
        }
        let Some(mut members) = JsonObject::read(filled.as_str()) else {
            return Ok(());
        };
        members.set("status", Json::new("completed")?);
        self.is_program_call(kind);
        self.finished_item(number, members.to_json()?, out)
    }

    fn not_completed(&mut self, number: u32, kind: &str, out: &mut ResponseBuilder) {
        let message = format!(
            "the item `{}` in `output[{number}]` was announced and never completed; it was dropped",
            shown(kind)
        );
        self.unknown.warn("item_not_completed", message, out);
    }
}
