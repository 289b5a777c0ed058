//! The items of `output`: each is begun, comes in deltas, and is repeated in full by its parts' `done` events, by its own and
//! by the final response. Each repetition is compared with what was handed out and brings what is missing.

use super::{
    parts::{Parts, hash, item_part},
    slots::{Key, Kind, Slots},
    unknown::{self, Notices},
    wire::{Event, Item},
};
use crate::{Assembler, Error, Json, OpaqueBlock, provider::lenient::Raw};
use serde::Serialize;

/// The items that have come, and what is said of them.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) provider: String,
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
pub(super) enum Told {
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

    /// A delta behind the whole text or the whole arguments.
    pub(super) fn late(&mut self, event: &Event<'_>, out: &mut Assembler) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = || {
            format!(
                "an event `{name}` came behind the event that completed its part; it was taken for a repetition"
            )
        };
        self.notices.warn("late_delta", name, message, out);
    }

    /// A delta or a whole text that is no text.
    pub(super) fn unreadable(&mut self, event: &Event<'_>, out: &mut Assembler) {
        let name = event.r#type.as_deref().unwrap_or_default();
        let message = || {
            format!(
                "an event `{name}` has no text where one belongs; `raw_frames` gives it as it came"
            )
        };
        self.notices.warn("unknown_event", name, message, out);
    }
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
